package demo

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

// show runs a story in front of a screen and returns what stood on it, without
// the times.
func show(t *testing.T, colour bool, story func(s *Screen)) string {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(*testing.T) {
		s := NewScreen(os.Stdin)
		s.out, s.colour = &out, colour
		ctx, stop := context.WithCancel(context.Background())
		over := make(chan struct{})
		go func() {
			defer close(over)
			s.Run(ctx)
		}()
		story(s)
		synctest.Wait()
		stop()
		<-over
	})
	return regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d{3}  `).ReplaceAllString(out.String(), "")
}

func TestTheLifeOfAFunctionInWords(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(log, instance *slog.Logger)
		want  string
	}{
		{"a start", func(log, instance *slog.Logger) {
			log.Info("starting", "function", "slow", "held", 1)
			instance.Info("instance spawned", "pid", 7)
			instance.With("stream", "stdout").Info("here I am")
			instance.Info("instance listens", "took_ms", 2003.5)
			log.Info("started", "function", "slow", "took_ms", int64(2004), "held", 200)
		}, `
slow     held      1 call waits, starting an instance
slow     says      here I am
slow     started   in 2004 ms, 200 calls were waiting
`},
		{"a start that nobody waits for", func(log, _ *slog.Logger) {
			log.Info("starting", "function", "slow", "held", 0)
		}, `
slow     starting  an instance
`},
		{"ahead of the call", func(log, _ *slog.Logger) {
			log.Info("a call is expected", "function", "checkout", "after", "shop", "until_ms", int64(32000))
			log.Info("starting", "function", "checkout", "trigger", "chain", "held", 0)
			log.Info("a call is expected", "function", "hello", "after", "histogram", "in_ms", int64(4000), "until_ms", int64(32000))
			log.Info("a window opens", "function", "hello", "instances", 2)
			log.Info("a window closes", "function", "hello", "instances", 0)
		}, `
checkout expects   a call, after that of shop
checkout starting  an instance
hello    expects   a call in 4 s
hello    window    opens, at least 2 instances
hello    window    closes, at least 0 instances
`},
		{"a failed start", func(log, instance *slog.Logger) {
			log.Info("starting", "function", "slow", "held", 3, "usual_ms", 2040)
			instance.Info("instance exited", "status", 1, "lived_ms", 103.2)
			log.Warn("start failed", "function", "slow", "error", "it exited", "took_ms", int64(104), "retry_ms", int64(999), "held", 3)
			log.Info("stopped", "function", "slow", "reason", "start_failed")
		}, `
slow     held      3 calls wait, starting an instance, ready in about 2 s
slow     failed    it exited
slow               no other start is tried for 1 s
`},
		{"a first failed start", func(log, _ *slog.Logger) {
			log.Warn("start failed", "function", "slow", "error", "it exited", "took_ms", int64(104), "retry_ms", int64(0), "held", 3)
		}, `
slow     failed    it exited
`},
		{"a crash", func(log, instance *slog.Logger) {
			instance.Info("instance listens", "took_ms", 5.0)
			log.Info("starting", "function", "slow", "held", 2) // who waits is quicker than the last words
			instance.Info("instance exited", "signal", "SIGKILL", "lived_ms", 60.0)
		}, `
slow     held      2 calls wait, starting an instance
slow     exited    killed by SIGKILL after 60 ms
`},
		{"the end", func(log, instance *slog.Logger) {
			log.Info("idle", "function", "slow", "idle_ms", int64(15000))
			instance.Info("instance stopped", "signal", "SIGTERM", "lived_ms", 1.0, "took_ms", 1.0)
			log.Info("stopped", "function", "slow", "reason", "idle")
		}, `
slow     idle      no call for 15 s, stopping
slow     stopped   nothing of it runs
`},
		{"the rest", func(log, _ *slog.Logger) {
			log.Debug("details")
			log.Info("table", "version", 1)
			log.Warn("refused", "what", "a route", "reason", "none")
			log.Error("cannot stop", "function", "slow", "error", "no")
			log.Info("draining", "in_flight", 1)
		}, `
weir     warning   refused what=a route reason=none
slow     error     cannot stop error=no
weir     draining  no call is taken any more, 1 is inside
`},
	} {
		got := show(t, false, func(s *Screen) {
			log := slog.New(s.Handler())
			c.story(log, log.With("function", "slow", "instance", "x"))
		})
		if want := strings.TrimPrefix(c.want, "\n"); got != want {
			t.Errorf("%s:\n%swant\n%s", c.name, got, want)
		}
	}
}

func TestManyCallsAreSummedUp(t *testing.T) {
	got := show(t, false, func(s *Screen) {
		for i := range 200 {
			s.Answered(Answer{Function: "slow", Status: 200, Took: 2004 * time.Millisecond, Held: 1200*time.Millisecond + time.Duration(i)*4*time.Millisecond})
		}
		for range 12 {
			s.Answered(Answer{Function: "broken", Status: 503, Cause: "CSF", Took: 400 * time.Microsecond})
		}
		time.Sleep(2 * toldEvery)
		s.Answered(Answer{Function: "slow", Status: 200, Took: time.Millisecond})
	})
	for what, n := range map[string]int{
		"slow     answered  200 in 2004 ms (held 12":                            10,
		"slow     answered  … and 190 more, 200 OK, held 1.2–2.0 s\n":           1,
		"broken   answered  503 in 0.4 ms, cause CSF\n":                         10,
		"broken   answered  … and 2 more, 503 Service Unavailable, in 0.4 ms\n": 1,
		"slow     answered  200 in 1.0 ms\n":                                    1,
	} {
		if have := strings.Count(got, what); have != n {
			t.Errorf("%d lines are like %q, want %d, in\n%s", have, what, n, got)
		}
	}
}

func TestAFloodIsToldBySeconds(t *testing.T) {
	got := show(t, false, func(s *Screen) {
		for range 30 { // three seconds
			time.Sleep(toldEvery / 10)
			for range 10 {
				s.Answered(Answer{Function: "f", Status: 200, Took: time.Millisecond})
			}
		}
		time.Sleep(3 * toldEvery)
		s.Answered(Answer{Function: "f", Status: 200, Took: 2 * time.Millisecond})
	})
	for what, n := range map[string]int{
		"f        answered  200 in 1.0 ms\n":                    10,
		"f        answered  … and 90 more, 200 OK, in 1.0 ms\n": 1,
		"f        answered  100 calls, 200 OK, in 1.0 ms\n":     2,
		"f        answered  200 in 2.0 ms\n":                    1, // it is over
	} {
		if have := strings.Count(got, what); have != n {
			t.Errorf("%d lines are like %q, want %d, in\n%s", have, what, n, got)
		}
	}
}

func TestOutcomesAreToldApart(t *testing.T) {
	got := show(t, false, func(s *Screen) {
		for i := range 30 {
			s.Answered(Answer{Function: "f", Status: []int{200, 499, 503}[i%3], Took: time.Duration(i) * time.Millisecond})
		}
	})
	if want := "f        answered  … and 20 more, 6 × 200 OK, 7 × 499 the client left, 7 × 503 Service Unavailable, in 10–29 ms\n"; !strings.HasSuffix(got, want) {
		t.Errorf("%swant\n%s", got, want)
	}
}

func TestAFunctionCannotSteerTheTerminal(t *testing.T) {
	got := show(t, true, func(s *Screen) {
		slog.New(s.Handler()).Info("\x1b]0;owned\a\x1b[2J\u009b1m"+strings.Repeat("long", 100), "function", "f", "stream", "stdout")
	})
	_, said, _ := strings.Cut(got, off+" ") // the clock
	_, said, _ = strings.Cut(said, off+" ") // the verb
	if strings.ContainsAny(said, "\x1b\a\u009b") || len([]rune(said)) != longest+2 {
		t.Errorf("%q", said)
	}
}

// stuck is a terminal that takes nothing.
type stuck struct{ release chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	<-s.release
	return len(p), nil
}

func TestNobodyWaitsForTheTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewScreen(os.Stdin)
		terminal := stuck{make(chan struct{})}
		s.out = terminal
		ctx, stop := context.WithCancel(context.Background())
		over := make(chan struct{})
		go func() {
			defer close(over)
			s.Run(ctx)
		}()
		for range 3 * room {
			s.Print(strings.Repeat("x", 80) + "\n") // returns, or synctest says that all are blocked
		}
		synctest.Wait()
		if s.lost.Load() == 0 {
			t.Error("nothing was left out")
		}
		close(terminal.release)
		stop()
		<-over
	})
}

func TestDocument(t *testing.T) {
	t.Setenv("WEIR_DEMO_LISTEN", "")
	t.Setenv("WEIR_DEMO_PROGRAM", "")
	t.Setenv("WEIR_ADMIN_ADDRESS", "")
	plain, err := config.Parse("demo.yaml", Document) // as a file of its own
	if err != nil {
		t.Fatal(err)
	}
	if plain.Listeners[0].Address != "127.0.0.1:8080" || plain.Admin.Address != "127.0.0.1:9901" {
		t.Errorf("listens on %s and %s", plain.Listeners[0].Address, plain.Admin.Address)
	}
	cfg, err := Config("127.0.0.1:1234", "127.0.0.1:5678")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Listeners[0].Address != "127.0.0.1:1234" || cfg.Admin.Address != "127.0.0.1:5678" {
		t.Errorf("listens on %s and %s", cfg.Listeners[0].Address, cfg.Admin.Address)
	}
	self, _ := os.Executable()
	for name, fn := range cfg.Functions {
		if got := fn.Process.Command; len(got) != 3 || got[0] != self || got[1] != role || got[2] != name {
			t.Errorf("%s is run as %q", name, got)
		}
	}
	if _, err := Config("nowhere", "127.0.0.1:5678"); err == nil {
		t.Error("listens nowhere")
	}
}

func TestFunctionLetsOthersPass(t *testing.T) {
	for _, args := range [][]string{nil, {"weir"}, {"weir", "demo"}, {"weir", role}, {"weir", "demo", role}, {"weir", role, "hello", "x"}} {
		Function(args) // returns
	}
	if err := function("nobody"); err == nil {
		t.Error("there is a function nobody")
	}
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "1")
	if _, err := inherited(); err == nil {
		t.Error("took a socket that was for another process")
	}
}
