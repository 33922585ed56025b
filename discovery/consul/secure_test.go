package consul

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/testkit"
)

// leastRights are what docs/consul.md says.
const leastRights = `service "f" { policy = "read" }
node_prefix "" { policy = "read" }
key_prefix "weir/config/" { policy = "read" }`

// secured are settings for an agent with TLS and access rules, and what gives
// them a token.
func secured(t *testing.T, agent *testkit.Consul, a *testkit.Authority) (cfg config.Consul, use func(token string)) {
	t.Helper()
	read := func(name string) config.PEM {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return config.PEM(content)
	}
	_, cert, key := a.Sign("weir", time.Hour)
	cfg = settings("https://" + agent.Address)
	cfg.EmptyAfter = time.Second
	cfg.ConfigPrefix = "weir/config"
	cfg.TokenFile = filepath.Join(t.TempDir(), "token")
	cfg.TLS = &config.UpstreamTLS{ServerName: "consul.test", CA: read(a.File), Cert: read(cert), Key: read(key), MinVersion: "1.2"}
	return cfg, func(token string) {
		t.Helper()
		if err := os.WriteFile(cfg.TokenFile+".new", []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(cfg.TokenFile+".new", cfg.TokenFile); err != nil {
			t.Fatal(err)
		}
	}
}

// failing waits until more queries than so many have failed for a reason.
func failing(t *testing.T, r *Registry, reason string, than int64) (n int64) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		c := r.Counts()[0]
		if n = c.Failures[reason]; n > than {
			return n
		}
		if time.Now().After(end) {
			t.Fatalf("not counted as %s: %+v", reason, c)
		}
	}
}

// recovered waits until all that is asked is answered.
func recovered(t *testing.T, r *Registry) {
	t.Helper()
	for end := time.Now().Add(patience); !r.Counts()[0].FailingFrom.IsZero(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it is back: %+v", r.Counts()[0])
		}
	}
}

// The token with the least rights is enough. One that may not read takes nobody
// away, although Consul 1.8 answers it as if there was nobody.
func TestTokens(t *testing.T) {
	t.Parallel()
	a := testkit.NewAuthority(t)
	agent := testkit.StartSecureConsul(t, a)
	cfg, use := secured(t, agent, a)
	least, none := agent.NewToken(leastRights), agent.NewToken("")
	noNodes := agent.NewToken(`service "f" { policy = "read" }`)
	use(least)
	said := &lines{}
	r, err := New(cfg, "here", slog.New(slog.NewTextHandler(said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	agent.Register(service("a", 1, passing("a")))
	f := listen(t, r.Providers()[0], config.Function{Name: "f", Service: "f"})
	f.wants("1")
	for i, bad := range []string{none, noNodes, "11111111-0000-4000-8000-000000000000"} {
		before := r.Counts()[0].Failures["denied"]
		use(bad)
		agent.Register(service("b", 2, passing("b"))) // which ends the query that waits
		agent.Deregister("b")
		denied := failing(t, r, "denied", before)
		failing(t, r, "denied", denied+3) // after empty_after it is still so
		if now, _ := f.now(); !strings.HasPrefix(now, "1") {
			t.Errorf("token %d: reported is %q", i, now)
		}
		use(least)
		recovered(t, r)
		f.wants("1")
	}
	for _, words := range []string{`may not read service \"f\"; give it service:read`, `may not read node \"node-dc1\"; give it node:read`, "ACL not found"} {
		if !strings.Contains(said.String(), words) {
			t.Errorf("the log does not say %s: %s", words, said)
		}
	}
	agent.Deregister("a") // the token may read that there is nobody
	f.wants("")
	unreadable := listen(t, r.Providers()[0], config.Function{Name: "g", Service: "g"})
	denied := failing(t, r, "denied", r.Counts()[0].Failures["denied"])
	failing(t, r, "denied", denied)
	unreadable.stays("silence", time.Millisecond)
}

// A lines is a log.
type lines struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Nor do keys, or what services declare, go because a token may not read them.
func TestTokensForKeysAndTags(t *testing.T) {
	t.Parallel()
	a := testkit.NewAuthority(t)
	agent := testkit.StartSecureConsul(t, a)
	cfg, use := secured(t, agent, a)
	cfg.TagRoutes = true
	least, none := agent.NewToken(leastRights), agent.NewToken("")
	said := &lines{}
	r, err := New(cfg, "here", slog.New(slog.NewTextHandler(said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	x, keys := &index{}, make(chan []config.Fragment, 100)
	var work sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		work.Wait()
		r.Close()
	})
	f := testkit.ConsulService{ID: "a", Name: "f", Address: "127.0.0.1", Port: 1, Tags: []string{"r1"}}
	agent.Register(f)
	agent.Put("weir/config/x", "1")
	use(none)
	work.Go(func() {
		r.WatchServices(ctx, nil, func(tag string) bool { return strings.HasPrefix(tag, "r") }, x.report)
	})
	work.Go(func() { r.WatchKeys(ctx, nil, func(all []config.Fragment) { keys <- all }) })
	if all := <-keys; len(all) != 0 { // it does not wait
		t.Errorf("keys are %v", all)
	}
	failing(t, r, "denied", 0)
	use(least)
	x.until(t, "f=r1")
	if all := <-keys; len(all) != 1 {
		t.Errorf("keys are %v", all)
	}
	use(none)
	f.Tags = []string{"r2"}
	agent.Register(f) // which ends the queries that wait
	agent.Put("weir/config/y", "1")
	failing(t, r, "denied", failing(t, r, "denied", r.Counts()[0].Failures["denied"])+3)
	use(least)
	x.until(t, "f=r2")
	for all := range keys {
		if len(all) == 0 {
			t.Error("keys went away")
		} else if len(all) == 2 {
			break
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, told := range x.all {
		if told == "" {
			t.Errorf("told %q", x.all)
		}
	}
	for _, words := range []string{`may not read the keys below \"weir/config/\"`, `config_prefix: \"\"`} {
		if !strings.Contains(said.String(), words) {
			t.Errorf("the log does not say %s: %s", words, said)
		}
	}
}

// An agent whose certificate is not the right one, or that wants another of
// weir's, is told nothing.
func TestCertificates(t *testing.T) {
	t.Parallel()
	a := testkit.NewAuthority(t)
	agent := testkit.StartSecureConsul(t, a)
	agent.Register(service("a", 1, passing("a")))
	good, use := secured(t, agent, a)
	use(agent.NewToken(leastRights))
	for what, change := range map[string]func(*config.UpstreamTLS){
		"x509: certificate signed by unknown authority": func(t *config.UpstreamTLS) { t.CA = "" },
		"x509: cannot validate certificate":             func(t *config.UpstreamTLS) { t.ServerName = "" },
		"x509: certificate is valid for consul.test":    func(t *config.UpstreamTLS) { t.ServerName = "other.test" },
		"tls: ": func(t *config.UpstreamTLS) { t.Cert, t.Key = "", "" },
		"":      func(t *config.UpstreamTLS) { t.InsecureSkipVerify, t.ServerName, t.MinVersion = true, "", "1.3" },
	} {
		cfg, secure, said := good, *good.TLS, &lines{}
		change(&secure)
		cfg.TLS = &secure
		r, err := New(cfg, "here", slog.New(slog.NewTextHandler(said, nil)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		f := listen(t, r.Providers()[0], config.Function{Name: "f", Service: "f"})
		if what == "" {
			f.wants("1")
			continue
		}
		failing(t, r, "unreachable", 0)
		f.stays("silence", time.Millisecond)
		if !strings.Contains(said.String(), what) {
			t.Errorf("the log does not say %s: %s", what, said)
		}
	}
}
