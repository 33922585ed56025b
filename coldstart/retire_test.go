package coldstart

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

func grace(c *config.ColdStart) { c.Grace = time.Second }

func TestCallDuringTheGraceCancelsTheStop(t *testing.T) {
	stages(t, grace, func(t *testing.T, s *stage) {
		s.warm(t)
		time.Sleep(time.Minute)
		s.want(t, "draining", 1, 0)
		if !s.subject.isWithdrawn() {
			t.Error("calls get in")
		}
		time.Sleep(time.Second / 2)
		s.callers(t, 1)
		s.want(t, "warm", 1, 0)
		if s.subject.isWithdrawn() {
			t.Error("calls do not get in")
		}
		time.Sleep(10 * time.Minute) // the line stands
		s.want(t, "warm", 1, 0)
	})
}

func TestSecondStep(t *testing.T) {
	stages(t, grace, func(t *testing.T, s *stage) {
		s.warm(t)
		time.Sleep(time.Minute)
		s.want(t, "draining", 1, 0)
		time.Sleep(time.Second)
		s.want(t, "cold", 1, 1)
	})
}

func TestWhatHappensDuringTheGrace(t *testing.T) {
	for name, happens := range map[string]func(s *stage){
		"a change":        func(s *stage) { s.act.Change(s.act.fn, false) },
		"a prewarm":       func(s *stage) { s.act.activator.Prewarm("f", "chain", time.Now().Add(time.Second)) },
		"one more":        func(s *stage) { s.act.Serving(2, 0, time.Now()) },
		"it is removed":   func(s *stage) { s.act.Leave() },
		"another program": func(s *stage) { s.act.Change(s.act.fn, true) },
	} {
		t.Run(name, func(t *testing.T) {
			stages(t, grace, func(t *testing.T, s *stage) {
				s.gone = func() { s.act.Serving(0, 0, time.Now()) }
				s.warm(t)
				time.Sleep(time.Minute)
				s.want(t, "draining", 1, 0)
				happens(s)
				time.Sleep(3 * time.Minute)
				s.want(t, "cold", 1, 1)
			})
		})
	}
	t.Run("it is lost", func(t *testing.T) {
		stages(t, grace, func(t *testing.T, s *stage) {
			s.warm(t)
			time.Sleep(time.Minute)
			s.want(t, "draining", 1, 0)
			s.act.Serving(0, 0, time.Now())
			time.Sleep(3 * time.Minute)
			s.want(t, "cold", 1, 0)
		})
	})
}

// What an instance answers, by real sockets: synctest knows none, so time is
// not played here.
func TestAskOne(t *testing.T) {
	f := func(status int, want word) {
		t.Helper()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/idle" || r.Method != "GET" {
				t.Errorf("asked %s %s", r.Method, r.URL.Path)
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		}))
		defer server.Close()
		if got := askOne(t.Context(), "/idle", server.Listener.Addr().String()); got != want {
			t.Errorf("%d means %d, want %d", status, got, want)
		}
	}
	f(200, done)
	f(204, done)
	f(409, notDone)
	f(503, notDone)
	f(404, odd)
	f(302, odd)
	gone := httptest.NewServer(nil)
	addr := gone.Listener.Addr().String()
	gone.Close()
	if got := askOne(t.Context(), "/", addr); got != done {
		t.Errorf("nobody there means %d", got)
	}
}

func TestPreStopCheck(t *testing.T) {
	f := func(name string, said []word, states []string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			stages(t, nil, func(t *testing.T, s *stage) {
				s.warm(t)
				for i, w := range said {
					time.Sleep(time.Minute - time.Millisecond)
					s.want(t, "warm", 1, 0)
					// As recheck does, with an answer that is played.
					s.act.activator.post(func() {
						s.subject.Withdraw()
						s.act.unrouteForTest()
						s.act.answered(w)
					})
					synctest.Wait()
					if got := s.act.Status().State; got != states[i] {
						t.Errorf("answer %d leads to %s, want %s", i, got, states[i])
					}
				}
			})
		})
	}
	f("done", []word{done}, []string{"cold"})
	f("not yet", []word{notDone, notDone, notDone, notDone, done}, []string{"warm", "warm", "warm", "warm", "cold"})
	f("no answer", []word{silent, silent, silent}, []string{"warm", "warm", "cold"})
	f("silent, then not yet", []word{silent, silent, notDone, silent, silent, silent}, []string{"warm", "warm", "warm", "warm", "warm", "cold"})
	f("no such path", []word{odd}, []string{"cold"})
}

// unrouteForTest is unroute without what follows it.
func (c *Activation) unrouteForTest() {
	c.become(unrouted)
	c.keep = 0
}
