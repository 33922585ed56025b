//go:build linux

package webhook

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart/scalertest"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/testkit"
)

const secret = "0123456789abcdef0123456789abcdef"

func TestMain(m *testing.M) {
	if os.Getenv(scalertest.Marked) != "" {
		scalertest.Play()
	}
	os.Exit(m.Run())
}

// The receiver of the documentation passes the suite, with processes of its own.
func TestScaler(t *testing.T) { scalertest.Run(t, trial(t)) }

func BenchmarkEvents(b *testing.B) { scalertest.Bench(b, trial(b)) }

// And with units of systemd's, where that runs.
func TestScalerWithSystemd(t *testing.T) {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		t.Skip("SKIPPED: systemd does not run here, so nobody has checked receiver.py --systemd")
	}
	scalertest.Run(t, trial(t, "--systemd"))
}

// trial is the scaler as it is put to the test.
func trial(t testing.TB, flags ...string) scalertest.Subject {
	r := receive(t, flags...)
	return scalertest.Subject{
		Open: func(t testing.TB, log *slog.Logger) scalertest.Platform {
			return open(t, "http://"+r.front.Addr(), log)
		},
		Function: func(name string, env map[string]string) config.Function {
			settings := map[string]string{"command": r.function, scalertest.Marked: "yes"}
			for k, v := range env {
				settings[k] = v
			}
			return config.Function{Name: name, ColdStart: config.ColdStart{MaxScale: 3, StartTimeout: time.Minute}, Webhook: settings}
		},
		Missing: func(name string) config.Function {
			return config.Function{Name: name, ColdStart: config.ColdStart{MaxScale: 3, StartTimeout: time.Minute},
				Webhook: map[string]string{"command": "/no/such/program"}}
		},
		Left:     r.left,
		Outlives: true,
		Away: func(testing.TB) func() {
			r.front.Take(true)
			return func() { r.front.Take(false) }
		},
	}
}

// open makes a Platform with an admin listener for its instances.
func open(t testing.TB, url string, log *slog.Logger) *Platform {
	t.Helper()
	p, err := New("platform", config.Scaler{
		Type: "webhook", URL: url, TokenFile: tokenFile(t, secret), Timeout: 5 * time.Second, Refresh: time.Hour,
	}, log)
	if err != nil {
		t.Fatal(err)
	}
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		part := strings.Split(r.URL.Path, "/") // /api/v1/functions/{f}/{kind}
		body, _ := io.ReadAll(r.Body)
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		var no *Refusal
		if err := p.Announce(r.Context(), part[4], part[5], token, body); errors.As(err, &no) {
			http.Error(w, no.Detail, no.Status)
		}
	}))
	t.Cleanup(admin.Close)
	p.change(func(s *config.Scaler) { s.CallbackURL = admin.URL })
	return p
}

// change gives the platform other settings.
func (p *Platform) change(f func(*config.Scaler)) {
	s := *p.settings.Load()
	f(&s)
	p.Configure(s)
}

func tokenFile(t testing.TB, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A receiver is docs/examples/receiver.py as it runs.
type receiver struct {
	front    *testkit.Front
	function string // the program that its instances run
}

func receive(t testing.TB, flags ...string) *receiver {
	t.Helper()
	python := testkit.Program(t, "python3", "python3")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{function: filepath.Join(t.TempDir(), "function")}
	if err := os.Symlink(self, r.function); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, append([]string{"../../docs/examples/receiver.py", "--listen", "127.0.0.1:0", "--token-file", tokenFile(t, secret)}, flags...)...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the receiver does not start: %v", err)
	}
	r.front = testkit.NewFront(t, "tcp", strings.TrimPrefix(strings.TrimSpace(line), "listening on "))
	return r
}

// left are the processes of its instances.
func (r *receiver) left(t testing.TB) (pids []string) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if args, _ := os.ReadFile(file); strings.HasPrefix(string(args), r.function+"\x00") {
			pids = append(pids, file)
		}
	}
	return pids
}
