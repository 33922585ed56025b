package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/testkit"
)

const consulConfig = `
listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
discovery:
  remember: known
  consul: { address: "%s", datacenters: { %s }, empty_after: 5s }
functions:
  f: { service: f }
routes:
  - { path_prefix: /, function: f }
`

// outage is how long a registry is away in these tests. By hand, once in a
// while: WEIR_TEST_OUTAGE=60s.
func outage(t *testing.T) time.Duration {
	if text := os.Getenv("WEIR_TEST_OUTAGE"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return 3 * time.Second
}

// served are the processes that weir has as endpoints of f, in order.
func (w *running) served() string {
	w.t.Helper()
	_, body, err := get(w.admin + "/api/v1/functions/f/endpoints")
	if err != nil {
		return err.Error()
	}
	var pids []string
	for _, part := range strings.Split(body, `"id":`)[1:] {
		id, _, _ := strings.Cut(strings.TrimLeft(part, ` "`), "@")
		pids = append(pids, id[strings.LastIndex(id, "f-")+2:])
	}
	slices.Sort(pids)
	return strings.Join(pids, " ")
}

// serves waits until these and no others are endpoints.
func (w *running) serves(instances ...registered) {
	w.t.Helper()
	var pids []string
	for _, r := range instances {
		pids = append(pids, r.pid())
	}
	slices.Sort(pids)
	want := strings.Join(pids, " ")
	eventually(w.t, "f is served by "+want, func() bool { return w.served() == want })
}

// remembered waits until the weir with that configuration has written that r
// serves f: that it has passed, and was not just probed.
func (r registered) remembered(file string) {
	r.t.Helper()
	eventually(r.t, r.id("f")+" is remembered", func() bool {
		known, err := os.ReadFile(filepath.Join(filepath.Dir(file), "known", "consul", "f.endpoints"))
		return err == nil && strings.Contains(string(known), r.id("f"))
	})
}

// ready tells what /readyz answers.
func (w *running) ready() bool {
	res, _, err := get(w.admin + "/readyz")
	return err == nil && res.StatusCode == http.StatusOK
}

// All that can happen to a registry and to what is registered there, under
// load: no call fails while one endpoint lives.
func TestConsulUnderLoad(t *testing.T) {
	agent := testkit.StartConsul(t, "dc1", "")
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, fmt.Sprintf(consulConfig, agent.Address, "local: dc1"))
	w := startRun(t, file)
	one, two := register(t, agent.Address, "f", "ttl"), register(t, agent.Address, "f", "http")
	w.serves(one, two)
	calls := loadOn(w.url + "/")
	defer calls.end(t)
	story := func(name string, tell func()) {
		began, from := time.Now(), calls.calls.Load()
		tell()
		calls.more(t, 200)
		if n := calls.failed.Load(); n > 0 {
			t.Errorf("%s: %d calls have failed", name, n)
		}
		t.Logf("%-12s %5.1f s, %6d calls", name, time.Since(began).Seconds(), calls.calls.Load()-from)
	}

	story("maintenance", func() {
		agent.Maintain(one.id("f"), true)
		w.serves(two)
		agent.Maintain(one.id("f"), false)
		w.serves(one, two)
	})
	story("deregistered", func() {
		one.retire()
		w.serves(two)
		one = register(t, agent.Address, "f", "ttl")
		w.serves(one, two)
	})
	story("killed", func() { // its TTL takes two seconds to run out; retries bridge them
		two.Process.Kill()
		two.Wait()
		w.serves(one)
		two = register(t, agent.Address, "f", "http")
		w.serves(one, two)
	})
	story("flapping", func() {
		for range 20 {
			agent.Maintain(two.id("f"), true)
			time.Sleep(50 * time.Millisecond)
			agent.Maintain(two.id("f"), false)
			time.Sleep(50 * time.Millisecond)
		}
		w.serves(one, two)
	})
	story("frozen", func() {
		agent.Stop()
		time.Sleep(outage(t))
		if !w.ready() {
			t.Error("not ready, because the registry is away")
		}
		agent.Continue()
		time.Sleep(time.Second) // a TTL that ran out meanwhile is noticed first, then renewed
		w.serves(one, two)
	})
	story("lost", func() {
		agent.Kill()
		eventually(t, "it is seen to be away", func() bool { return w.metric("weir_discovery_failures_total") > 0 })
		last := w.metric("weir_discovery_last_success_timestamp_seconds")
		time.Sleep(outage(t))
		if now := w.metric("weir_discovery_last_success_timestamp_seconds"); now != last {
			t.Errorf("last success moves from %v to %v while nobody answers", last, now)
		}
		if !w.ready() || w.metric("weir_discovery_staleness_seconds") == 0 {
			t.Error("not ready, or nobody can see that the registry is away")
		}
		w.serves(one, two)
		agent.Restart() // empty, until they have registered again
		eventually(t, "it answers again", func() bool { return w.metric("weir_discovery_last_success_timestamp_seconds") > last })
		w.serves(one, two)
	})
	story("forgotten", func() { // those that do not come back leave when the guard does
		failures := w.metric("weir_discovery_failures_total")
		agent.Kill()
		two.Process.Kill()
		two.Wait()
		eventually(t, "it is seen to be away", func() bool { return w.metric("weir_discovery_failures_total") > failures })
		agent.Restart()
		w.serves(one)
	})
}

// weir is started while the registry is away, and then against an empty one.
func TestRestartWithoutConsul(t *testing.T) {
	agent := testkit.StartConsul(t, "dc1", "")
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, fmt.Sprintf(consulConfig, agent.Address, ""))
	first := startRun(t, file)
	one := register(t, agent.Address, "f", "ttl")
	first.serves(one)
	one.remembered(file)
	first.signal(os.Interrupt)
	if code := first.ended(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	agent.Kill()

	w := startRun(t, file)
	w.serves(one)
	calls := loadOn(w.url + "/")
	calls.more(t, 100)
	if !w.ready() || w.metric("weir_discovery_recalled_functions") != 1 {
		t.Error("not ready, or nobody can see that the endpoints are from memory")
	}
	agent.Restart()
	eventually(t, "they are confirmed", func() bool { return w.metric("weir_discovery_recalled_functions") == 0 })
	w.serves(one)
	calls.more(t, 100)
	calls.end(t)
}

// What services declare, and what Consul's keys say, is there after a restart in
// an outage too, and against a registry that has lost everything.
func TestDeclarationsOutliveARestart(t *testing.T) {
	agent := testkit.StartConsul(t, "dc1", "")
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, fmt.Sprintf(`listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
discovery:
  remember: known
  consul: { address: %q, tag_routes: true, empty_after: 2s }
functions: { own: { endpoints: ["127.0.0.1:%d"] } }
routes: [{ path_prefix: /own, function: own }]
`, agent.Address, echoing(t, "own")))
	service := testkit.ConsulService{ID: "shop-1", Name: "shop", Address: "127.0.0.1", Port: echoing(t, "shop"), Tags: []string{"urlprefix-/shop", "blue"}}
	tell := func() {
		agent.Register(service)
		agent.Put("weir/config/routes/shut", "{ path_prefix: /shop/shut, function: own, access: { deny: [127.0.0.0/8] } }")
	}
	asTold := func(w *running) {
		t.Helper()
		if shop, shut := w.ask("any", "/shop/x"), w.ask("any", "/shop/shut"); shop != "shop /shop/x" || shut != "403" {
			t.Errorf("answered by %q and %q", shop, shut)
		}
	}
	stop := func(w *running) {
		t.Helper()
		w.signal(os.Interrupt)
		if code := w.ended(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
	}
	tell()
	w := startRun(t, file)
	asTold(w)
	stop(w)
	agent.Kill()

	w = startRun(t, file)
	asTold(w) // with the first call
	calls := loadOn(w.url + "/shop")
	if n := w.metric("weir_discovery_recalled_declarations"); n != 1 || w.metric("weir_discovery_recalled_functions") != 1 {
		t.Errorf("%v declarations are said to be from memory", n)
	}
	agent.Restart() // empty; they come back by themselves, and in time
	tell()
	eventually(t, "they are confirmed", func() bool { return w.metric("weir_discovery_recalled_declarations") == 0 })
	time.Sleep(3 * time.Second)
	asTold(w)
	calls.end(t)
	stop(w)

	agent.Kill() // and what does not come back goes when that is believed
	agent.Restart()
	w = startRun(t, file)
	asTold(w)
	eventually(t, "nobody declares anything any more", func() bool { return w.ask("any", "/shop") == "404" && w.ask("any", "/shop/shut") == "404" })
	if got := w.ask("any", "/own"); got != "own /own" {
		t.Errorf("answered by %q", got)
	}
}

// An agent with TLS and access rules: a token that may not read takes nobody
// away, and a certificate of weir's can be exchanged.
func TestConsulOverTLS(t *testing.T) {
	authority := testkit.NewAuthority(t)
	agent := testkit.StartSecureConsul(t, authority)
	dir := t.TempDir()
	file, token := filepath.Join(dir, "weir.yaml"), filepath.Join(dir, "token")
	identify := func() {
		t.Helper()
		_, cert, key := authority.Sign("weir", time.Hour)
		for from, to := range map[string]string{cert: "cert.pem", key: "key.pem"} {
			if err := os.Rename(from, filepath.Join(dir, to)); err != nil {
				t.Fatal(err)
			}
		}
	}
	identify()
	least := agent.NewToken(`service "shop" { policy = "read" } node_prefix "" { policy = "read" } key_prefix "weir/config/" { policy = "read" }`)
	write(t, token, least)
	write(t, file, fmt.Sprintf(`listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
discovery:
  consul:
    address: "https://%s"
    token_file: token
    tls: { ca_file: %q, cert_file: cert.pem, key_file: key.pem, server_name: consul.test }
    tag_routes: true
    empty_after: 1s
functions: { f: { service: shop } }
routes: [{ path_prefix: /f, function: f }]
`, agent.Address, authority.File))
	shop := func(name string) {
		agent.Register(testkit.ConsulService{ID: "shop-1", Name: "shop", Address: "127.0.0.1", Port: echoing(t, name), Tags: []string{"urlprefix-/shop"}})
	}
	shop("one")
	agent.Put("weir/config/routes/shut", "{ path_prefix: /f/shut, function: f, access: { deny: [127.0.0.0/8] } }")
	w := startRun(t, file)
	asTold := func(name string) {
		t.Helper()
		eventually(t, "all is as Consul says", func() bool {
			return w.ask("any", "/f") == name+" /f" && w.ask("any", "/shop") == name+" /shop" && w.ask("any", "/f/shut") == "403"
		})
	}
	asTold("one")
	calls := loadOn(w.url + "/shop")

	write(t, token, agent.NewToken(""))
	agent.Put("weir/config/more", "") // what waits at the agent is answered, and asked for with the new one
	shop("two")
	denied := func() float64 { return w.metric("weir_discovery_failures_total", `reason="denied"`) }
	eventually(t, "the token is refused", func() bool { return denied() > 3 })
	time.Sleep(2 * time.Second)
	calls.more(t, 50)
	if got := w.ask("any", "/f/shut"); got != "403" {
		t.Errorf("what a key said has gone: %s", got)
	}

	write(t, token, least)
	asTold("two")
	identify()
	w.signal(syscall.SIGHUP)
	shop("three")
	asTold("three")
	calls.end(t)
}

// Two datacenters are two regions; what one has lost, the other serves.
func TestTwoDatacenters(t *testing.T) {
	east, west := testkit.StartConsul(t, "east", ""), testkit.StartConsul(t, "west", "")
	east.Join(west)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, fmt.Sprintf(consulConfig, east.Address, "us-east: east, eu-west: west"))
	w := startRun(t, file)
	here, there := register(t, east.Address, "f", "ttl"), register(t, west.Address, "f", "ttl")
	w.serves(here, there)
	calls := loadOn(w.url + "/")
	calls.more(t, 100)
	for _, region := range []string{"us-east", "eu-west"} {
		if n := w.metric("weir_endpoints", `region="`+region+`"`, `state="healthy"`); n != 1 {
			t.Errorf("%v endpoints in %s", n, region)
		}
	}
	here.retire()
	w.serves(there)
	calls.more(t, 100)
	west.Kill()
	here = register(t, east.Address, "f", "http")
	w.serves(here, there) // nobody answers for west: it stays as it was
	calls.more(t, 100)
	calls.end(t)
}

// The registry can be changed, and taken away, while weir runs.
func TestDiscoveryIsReloaded(t *testing.T) {
	old, new := testkit.StartConsul(t, "dc1", ""), testkit.StartConsul(t, "dc1", "")
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, fmt.Sprintf(consulConfig, old.Address, ""))
	w := startRun(t, file)
	one := register(t, old.Address, "f", "ttl")
	w.serves(one)
	one.remembered(file)
	calls := loadOn(w.url + "/")
	two := register(t, new.Address, "f", "http")
	write(t, file, fmt.Sprintf(consulConfig, new.Address, ""))
	w.signal(syscall.SIGHUP)
	w.serves(two)
	calls.more(t, 100)
	calls.end(t)
}
