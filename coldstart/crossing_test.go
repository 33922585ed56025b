package coldstart

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

// What crosses on the way: a call, a reload or a crash at the wrong moment.

func TestLineIsEmptyAfterItsVerdict(t *testing.T) {
	said := 0
	h := NewHold(10, NewPool(10), func() { said++ })
	slow, _ := join(t, h)
	h.Fail(&NoStart{Reason: errors.New("no"), Retry: time.Second}, time.Now())
	h.Open()
	if !h.Empty() {
		t.Error("who has the verdict still stands in line")
	}
	next, p := join(t, h) // before the first one noticed
	if said != 2 {
		t.Error("nobody is told that somebody waits")
	}
	slow.Leave()
	if h.Len() != 1 || h.pool.Held() != 1 {
		t.Errorf("line %d, pool %d, want one each", h.Len(), h.pool.Held())
	}
	h.Wake(1)
	<-p.woken
	next.Leave()
	if h.Len() != 0 || h.pool.Held() != 0 {
		t.Errorf("line %d, pool %d, want none", h.Len(), h.pool.Held())
	}
}

func minMax(low, high int) func(*config.ColdStart) {
	return func(c *config.ColdStart) { c.MinScale, c.MaxScale, c.Concurrency = low, high, 1 }
}

// grown brings a function of minMax(1, n) to n instances, and lets it idle.
func (s *stage) grown(t *testing.T, n int) {
	t.Helper()
	s.act.Serving(1, 0, time.Now())
	synctest.Wait()
	s.subject.enter(n)
	ended := s.callers(t, n)
	s.hold.Wake(n)
	for range n {
		<-ended
	}
	s.act.Serving(n, 0, time.Now())
	s.subject.enter(-n)
	synctest.Wait()
}

func TestCallWhileSomeInstancesAreStopped(t *testing.T) {
	stages(t, minMax(1, 2), func(t *testing.T, s *stage) {
		s.slow = 5 * time.Second
		s.grown(t, 2)
		time.Sleep(time.Minute)
		synctest.Wait()
		s.callers(t, 1)
		time.Sleep(time.Second)
		s.act.Serving(1, 1, time.Now()) // the one that stays
		synctest.Wait()
		if s.subject.isWithdrawn() {
			t.Error("the instance that stays takes no call")
		}
		time.Sleep(time.Minute)
		if s.subject.isWithdrawn() {
			t.Error("the instance that stays takes no call, ever")
		}
	})
}

func TestLeaveWhileSomeInstancesAreStopped(t *testing.T) {
	stages(t, minMax(1, 2), func(t *testing.T, s *stage) {
		s.slow = 5 * time.Second
		s.grown(t, 2)
		time.Sleep(time.Minute)
		synctest.Wait()
		s.act.Leave()
		time.Sleep(time.Minute)
		s.mu.Lock()
		defer s.mu.Unlock()
		if n := len(s.down); n == 0 || s.down[n-1] != 0 {
			t.Errorf("asked for at most %v; one still runs", s.down)
		}
	})
}

func TestChangeWhileSomeInstancesAreStopped(t *testing.T) {
	stages(t, minMax(1, 2), func(t *testing.T, s *stage) {
		s.slow = 5 * time.Second
		s.grown(t, 2)
		time.Sleep(time.Minute)
		synctest.Wait()
		s.act.Change(s.act.fn, true)
		time.Sleep(30 * time.Second)
		s.mu.Lock()
		defer s.mu.Unlock()
		if n := len(s.down); n == 0 || s.down[n-1] != 0 {
			t.Errorf("asked for at most %v; one runs the old program", s.down)
		}
	})
}

func TestWhoHasLeftIsNotStartedAgain(t *testing.T) {
	stages(t, func(c *config.ColdStart) { c.MinScale = 1 }, func(t *testing.T, s *stage) {
		s.tell("f", time.Now(), errors.New("exit 1"))
		s.want(t, "cold", 1, 0)
		s.act.Leave()
		time.Sleep(time.Hour)
		s.want(t, "cold", 1, 0)
	})
}

func TestLeaveOvertakesTheStart(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.slowUp = time.Second
		s.callers(t, 1)
		s.act.Leave()
		s.want(t, "cold", 0, 1)
		time.Sleep(2 * time.Second)
		s.want(t, "cold", 1, 2) // what came after the stop is stopped too
	})
}

func TestStopAndStartThatCross(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.slow = 5 * time.Second // and only then it is looked at
		s.warm(t)
		time.Sleep(time.Minute)
		s.want(t, "draining", 1, 0)
		s.callers(t, 1)
		s.want(t, "starting", 2, 0)
		time.Sleep(6 * time.Second)
		s.want(t, "starting", 3, 1) // what was started is gone too
	})
}

// The platform sees the start first, and the stop takes what was on its way.
func TestStopThatEndsTheNextStart(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.slow = 5 * time.Second
		s.warm(t)
		time.Sleep(time.Minute)
		s.want(t, "draining", 1, 0)
		s.mu.Lock()
		s.upErr = errors.New("stopped on its way")
		s.mu.Unlock()
		ended := s.callers(t, 1)
		s.want(t, "starting", 2, 0)
		s.mu.Lock()
		s.upErr = nil
		s.mu.Unlock()
		time.Sleep(5 * time.Second)
		s.want(t, "starting", 3, 1) // and asked for once more
		s.act.Serving(1, 1, time.Now())
		s.hold.Wake(1)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestStopThatFailsDuringTheNextStart(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.slow, s.downErr = 5*time.Second, errors.New("no")
		s.warm(t)
		time.Sleep(time.Minute)
		s.want(t, "draining", 1, 0)
		s.callers(t, 1)
		s.want(t, "starting", 2, 0)
		time.Sleep(6 * time.Second)
		s.want(t, "warm", 2, 1)
		if s.subject.isWithdrawn() {
			t.Error("the instance is still there and takes no call")
		}
	})
}

func TestStopThatFailsIsNotTriedWithoutPause(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.downErr = errors.New("no")
		s.warm(t)
		s.act.Leave()
		time.Sleep(10 * time.Second)
		if _, down := s.asked(); down < 2 || down > 15 {
			t.Errorf("asked %d times in 10 s", down)
		}
	})
}

func TestGrowthThatFailsIsTriedAgain(t *testing.T) {
	f := func(name string, fail func(s *stage)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			stages(t, minMax(0, 2), func(t *testing.T, s *stage) {
				s.warm(t)
				if name == "refused" {
					s.mu.Lock()
					s.upErr = errors.New("quota")
					s.mu.Unlock()
				}
				s.callers(t, 2)
				time.Sleep(sizeEvery)
				fail(s)
				synctest.Wait()
				before, _ := s.asked()
				time.Sleep(time.Minute)
				if after, _ := s.asked(); after == before || after > before+10 {
					t.Errorf("asked %d times again in a minute", after-before)
				}
			})
		})
	}
	f("refused", func(*stage) {})
	f("crashed", func(s *stage) {
		for range 20 {
			s.tell("f", time.Now(), errors.New("exit 1"))
			time.Sleep(3 * time.Second)
		}
	})
}

func TestInstanceLostUnderALine(t *testing.T) {
	stages(t, minMax(0, 2), func(t *testing.T, s *stage) {
		s.callers(t, 5)
		time.Sleep(sizeEvery)
		s.act.Serving(2, 5, time.Now())
		synctest.Wait()
		before, _ := s.asked()
		s.act.Serving(1, 5, time.Now())
		s.want(t, "warm", before+1, 0)
	})
}

func TestMinScaleIsKept(t *testing.T) {
	stages(t, minMax(2, 4), func(t *testing.T, s *stage) {
		s.act.Serving(2, 0, time.Now())
		s.want(t, "warm", 1, 0)
		s.act.Serving(1, 0, time.Now()) // one crashed
		s.want(t, "warm", 2, 0)
		s.act.Serving(2, 0, time.Now())
		fn := s.act.fn
		fn.ColdStart.MinScale = 3
		s.act.Change(fn, false)
		s.want(t, "warm", 3, 0)
	})
}

func TestMinScaleOfWhatAlwaysCrashes(t *testing.T) {
	stages(t, func(c *config.ColdStart) { c.MinScale = 1 }, func(t *testing.T, s *stage) {
		for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
			synctest.Wait()
			if s.act.Status().State == "starting" {
				s.act.Serving(1, 0, time.Now())
				s.act.Serving(0, 0, time.Now())
			}
		}
		if up, _ := s.asked(); up > 11 {
			t.Errorf("started %d times in 10 s", up)
		}
	})
}

func TestTimeIsOverWhenACallIsOnTheInstance(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.callers(t, 1)
		s.subject.enter(1) // the set is published, and the news of it under way
		time.Sleep(10 * time.Second)
		s.act.Serving(1, 1, time.Now())
		s.want(t, "warm", 1, 0)
	})
}

func TestInstanceThatCameAfterTheVerdictOpensTheDoor(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.upErr = Terminal(errors.New("no"))
		<-s.callers(t, 1)
		s.act.Serving(1, 0, time.Now()) // somebody else raised it
		s.want(t, "warm", 1, 0)
		if err := s.hold.Join(&Waiter{}, newParker(), Claim{Now: time.Now()}); err != nil {
			t.Errorf("an instance runs, and the door is closed: %v", err)
		}
	})
}

func TestChangeDoesNotMakeAFunctionBusy(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.warm(t)
		fn := s.act.fn
		for range 6 {
			time.Sleep(10 * time.Second)
			s.act.Change(fn, false)
		}
		s.want(t, "cold", 1, 1)
	})
}

func TestWhoComesBackKeepsItsInstances(t *testing.T) {
	f := func(name string, last func(old, now *subject) (first, second *subject)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { comeBack(t, last) })
		})
	}
	f("a new call is the last", func(old, now *subject) (_, _ *subject) { return old, now })
	f("an old call is the last", func(old, now *subject) (_, _ *subject) { return now, old })
}

// comeBack removes a function under a call and brings it back, under the name
// by which the platform knows its instance. No call of either may be cut.
func comeBack(t *testing.T, order func(old, now *subject) (first, second *subject)) {
	fn := config.Function{Name: "f", ColdStart: config.ColdStart{
		Scaler: "p", MaxScale: 1, IdleAfter: time.Minute, StartTimeout: 10 * time.Second,
	}}
	p := &platform{}
	a := NewActivator(map[string]Scaler{"p": p}, nil, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { _ = a.Run(ctx) })
	begin := func() (*Activation, *subject) {
		s := &subject{}
		act, err := a.Adopt(fn, NewHold(10, NewPool(10), func() {}), s)
		if err != nil {
			t.Fatal(err)
		}
		act.Begin()
		act.Serving(1, 0, time.Now())
		synctest.Wait()
		s.enter(1)
		return act, s
	}
	removed, old := begin()
	removed.Leave()
	time.Sleep(time.Second)
	back, now := begin()
	first, second := order(old, now)
	first.enter(-1)
	time.Sleep(time.Second)
	synctest.Wait()
	if _, down := p.asked(); down != 0 {
		t.Error("the instance was stopped under a call")
	}
	second.enter(-1)
	time.Sleep(time.Second)
	synctest.Wait()
	if _, down := p.asked(); down != 1 || back.Status().State != "cold" { // what was removed had to go
		t.Errorf("stopped %d times, and is %s", down, back.Status().State)
	}
	cancel()
	work.Wait()
}
