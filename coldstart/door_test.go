package coldstart

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
)

// told waits for n callers, who must all be told the reason, and returns when
// a start will be tried again.
func told(t *testing.T, ended <-chan error, n int, reason error) (retry time.Duration) {
	t.Helper()
	for range n {
		err := <-ended
		var no *NoStart
		if !errors.Is(err, ErrNoStart) || !errors.Is(err, reason) || !errors.As(err, &no) {
			t.Errorf("told %v, want %v", err, reason)
			continue
		}
		retry = no.Retry
	}
	return retry
}

func roughly(t *testing.T, got, want time.Duration) {
	t.Helper()
	if got < want*4/5 || got > want*6/5 {
		t.Errorf("the door is closed for %v, want %v give or take a fifth", got, want)
	}
}

func TestTerminalFailureClosesTheDoorAtOnce(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		no := errors.New("no such image")
		s.upErr = Terminal(no)
		pause := told(t, s.callers(t, 3), 3, no)
		s.want(t, "cold", 1, 0)
		roughly(t, pause, time.Second)
		time.Sleep(pause / 2)
		if left := told(t, s.callers(t, 1), 1, no); left != pause-pause/2 {
			t.Errorf("at the door: again in %v, want %v", left, pause-pause/2)
		}
		if s.act.Status().Breaker(time.Now()) != 2 {
			t.Error("the breaker is not open")
		}
		time.Sleep(pause - pause/2)
		if s.act.Status().Breaker(time.Now()) != 1 {
			t.Error("the breaker is not half-open")
		}
		roughly(t, told(t, s.callers(t, 1), 1, no), 2*time.Second)
		s.want(t, "cold", 2, 0)
	})
}

func TestTransientFailureIsTriedThreeTimes(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		no := errors.New("connection refused")
		s.upErr = no
		began := time.Now()
		ended := s.callers(t, 3)
		s.want(t, "starting", 1, 0) // they wait on
		roughly(t, told(t, ended, 3, no), 2*time.Second)
		if took := time.Since(began); took < 240*time.Millisecond || took > 360*time.Millisecond {
			t.Errorf("told after %v", took)
		}
		s.want(t, "cold", 3, 0)
	})
}

func TestTransientFailureThatPasses(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.upErr = errors.New("connection refused")
		ended := s.callers(t, 1)
		s.want(t, "starting", 1, 0)
		s.upFails(nil)
		time.Sleep(time.Second)
		s.want(t, "starting", 2, 0)
		s.act.Serving(1, 1, time.Now())
		s.hold.Wake(1)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestNobodyWaitsForAnotherTry(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.upErr, s.slowUp = errors.New("connection refused"), time.Second
		w := &Waiter{}
		if err := s.hold.Join(w, newParker(), Claim{Now: time.Now()}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.Leave()
		time.Sleep(2 * time.Second)
		s.want(t, "cold", 1, 0)
	})
}

func TestCrashAndTimeoutCloseTheDoorTheSecondTime(t *testing.T) {
	f := func(name string, fail func(s *stage), reason error) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			stages(t, nil, func(t *testing.T, s *stage) {
				for _, pause := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60} {
					ended := s.callers(t, 2)
					before, _ := s.asked()
					fail(s)
					got := told(t, ended, 2, reason)
					roughly(t, got, pause*time.Second)
					if after, _ := s.asked(); after != before || after == 0 {
						t.Errorf("asked %d times for one start", after-before+1)
					}
					time.Sleep(got)
				}
			})
		})
	}
	crashed := errors.New("exit 1")
	f("crashed", func(s *stage) { s.tell("f", time.Now(), crashed) }, crashed)
	f("too slow", func(*stage) { time.Sleep(10 * time.Second) }, ErrStartTimeout)
}

// A hundred calls a second at what does not start, for a minute: C10.
func TestBrokenFunctionIsAskedForSeldom(t *testing.T) {
	f := func(name string, up error, boot func(s *stage)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			stages(t, nil, func(t *testing.T, s *stage) {
				s.upErr = up
				for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
					s.callers(t, 1)
					boot(s)
				}
				if up, _ := s.asked(); up < 5 || up > 8 {
					t.Errorf("%d requests to the platform", up)
				}
			})
		})
	}
	f("terminal", Terminal(errors.New("no such image")), func(*stage) {})
	f("transient", errors.New("busy"), func(*stage) {})
	f("crash", nil, func(s *stage) {
		if s.act.Status().State == "starting" {
			s.tell("f", time.Now(), errors.New("exit 1"))
		}
	})
}

func TestWhatOpensTheDoor(t *testing.T) {
	f := func(name string, open func(s *stage)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			stages(t, nil, func(t *testing.T, s *stage) {
				no := errors.New("no")
				s.upErr = Terminal(no)
				told(t, s.callers(t, 1), 1, no)
				s.upFails(nil)
				open(s)
				synctest.Wait()
				s.callers(t, 1)
				s.want(t, "starting", 2, 0)
			})
		})
	}
	f("a change", func(s *stage) { s.act.Change(s.act.fn, false) })
	f("a reset", func(s *stage) { s.act.Reset() })
}

func TestPausesGrowWithinTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d door
		now := time.Unix(1000, 0)
		for n := range rapid.IntRange(1, 200).Draw(t, "failures") {
			k := class(rapid.IntRange(0, 3).Draw(t, "class"))
			pause := d.failed(k, now)
			switch {
			case pause == 0 && (n > 0 || k == terminal):
				t.Fatalf("failure %d does not close the door", n+1)
			case pause > longPause*6/5 || pause != 0 && pause < firstPause*4/5:
				t.Fatalf("closed for %v", pause)
			case (d.state(now) == 2) != (pause > 0):
				t.Fatalf("state %d", d.state(now))
			}
			now = now.Add(pause)
		}
	})
}

func TestAdaptiveWait(t *testing.T) {
	var u usual
	if u.patience() != time.Minute || u.quantile(.5) != 0 {
		t.Error("something is known of no start")
	}
	for i := range 40 { // the first twenty are forgotten
		u.add(time.Duration(min(i, 29)) * 200 * time.Millisecond)
	}
	if got := u.quantile(.9); got != 5800*time.Millisecond {
		t.Errorf("p90 %v", got)
	}
	if got := u.patience(); got != 20300*time.Millisecond {
		t.Errorf("patience %v", got)
	}
	for range 20 {
		u.add(time.Millisecond)
	}
	if got := u.patience(); got != 10*time.Second {
		t.Errorf("patience %v", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		var u usual
		for _, d := range rapid.SliceOf(rapid.Int64Range(0, int64(time.Hour))).Draw(t, "took") {
			u.add(time.Duration(d))
		}
		if u.quantile(.5) > u.quantile(.9) || u.patience() < leastWait || u.patience() > mostWait {
			t.Fatalf("p50 %v, p90 %v, patience %v", u.quantile(.5), u.quantile(.9), u.patience())
		}
	})
}

func TestActivationScale(t *testing.T) {
	stages(t, func(c *config.ColdStart) { c.ActivationScale, c.MaxScale = 3, 5 }, func(t *testing.T, s *stage) {
		s.callers(t, 1)
		s.want(t, "starting", 1, 0)
		if s.up[0] != 3 {
			t.Errorf("asked for %v", s.up)
		}
	})
}
