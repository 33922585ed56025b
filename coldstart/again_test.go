package coldstart

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

// repeats are the numbers that were asked for again.
func (p *platform) repeats() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.again)
}

func (p *platform) againFails(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.againErr = err
}

func (s *stage) wantAgain(t *testing.T, want ...int) {
	t.Helper()
	synctest.Wait()
	if got := s.repeats(); !slices.Equal(got, want) {
		t.Errorf("asked again for %v, want %v", got, want)
	}
}

// While somebody waits, the platform is told every second what is wanted, and
// that is one start all the same (C6).
func TestDemandIsALevel(t *testing.T) {
	stages(t, func(c *config.ColdStart) { c.MaxScale, c.Concurrency = 5, 1 }, func(t *testing.T, s *stage) {
		ended := s.callers(t, 3)
		time.Sleep(900 * time.Millisecond) // long enough to have seen all three
		up, _ := s.asked()
		s.wantAgain(t)
		time.Sleep(2050 * time.Millisecond)
		s.wantAgain(t, 3, 3)
		s.want(t, "starting", up, 0)
		s.hold.Wake(3)
		s.act.Serving(3, 3, time.Now())
		for range 3 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		time.Sleep(5 * time.Second)
		s.wantAgain(t, 3, 3)
		if s.act.Status().Failures != 0 {
			t.Error("a failure was counted")
		}
	})
}

func TestNobodyWaitsNobodyIsAskedAgain(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		w := &Waiter{}
		if err := s.hold.Join(w, newParker(), Claim{Now: time.Now()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
		s.wantAgain(t, 1)
		w.Leave()
		time.Sleep(3 * time.Second)
		s.wantAgain(t, 1)
		s.callers(t, 1) // the start is still under way, and somebody waits for it again
		time.Sleep(1100 * time.Millisecond)
		s.wantAgain(t, 1, 1)
		s.want(t, "starting", 1, 0)
	})
}

// A platform that thinks is not asked again while it does.
func TestOneRequestAtATime(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.slowUp = 3500 * time.Millisecond
		s.callers(t, 1)
		time.Sleep(3400 * time.Millisecond)
		s.wantAgain(t)
		time.Sleep(8 * time.Second / 2) // it has thought about the first, and about the next for as long
		s.wantAgain(t)
		time.Sleep(time.Second)
		s.wantAgain(t, 1)
		s.want(t, "starting", 1, 0)
	})
}

// What a platform says to what it was told before is no failed start, unless it
// is that there will never be one.
func TestAnswersToWhatIsAskedAgain(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		ended := s.callers(t, 1)
		s.againFails(errors.New("connection refused"))
		time.Sleep(3500 * time.Millisecond)
		s.wantAgain(t, 1, 1, 1)
		s.want(t, "starting", 1, 0)
		if n := s.act.Status().Failures; n != 0 {
			t.Errorf("%d failures were counted", n)
		}
		no := errors.New("the image was deleted")
		s.againFails(Terminal(no))
		roughly(t, told(t, ended, 1, no), time.Second)
		s.want(t, "cold", 1, 1) // what may come all the same is not wanted any more
		time.Sleep(5 * time.Second)
		s.wantAgain(t, 1, 1, 1, 1)
	})
}

// Of three, one has crashed: three are not asked for again, or a function that
// crashes would be started without end.
func TestWhatHasCrashedIsNotAskedForAgain(t *testing.T) {
	stages(t, func(c *config.ColdStart) { c.MaxScale, c.ActivationScale = 5, 3 }, func(t *testing.T, s *stage) {
		s.callers(t, 1)
		s.tell("f", time.Now(), errors.New("exit 1"))
		time.Sleep(1100 * time.Millisecond)
		s.wantAgain(t, 2)
		s.want(t, "starting", 1, 0)
	})
}

// Growth too: a further instance that was promised and has not come.
func TestGrowthIsAskedForAgain(t *testing.T) {
	stages(t, func(c *config.ColdStart) { c.MaxScale, c.Concurrency = 2, 1 }, func(t *testing.T, s *stage) {
		s.callers(t, 1)
		s.subject.enter(1)
		s.act.Serving(1, 1, time.Now())
		s.callers(t, 1)
		s.want(t, "warm", 2, 0)
		time.Sleep(15*time.Second + 100*time.Millisecond) // longer than a start may take
		if got := s.repeats(); len(got) != 15 || got[14] != 2 {
			t.Errorf("asked again for %v", got)
		}
		s.act.Serving(2, 1, time.Now())
		time.Sleep(5 * time.Second)
		if got := s.repeats(); len(got) != 15 {
			t.Errorf("asked again for %v although all have come", got)
		}
		s.want(t, "warm", 2, 0)
	})
}

// One more will never be: those that serve go on, and growth pauses.
func TestTerminalAnswerToGrowth(t *testing.T) {
	stages(t, func(c *config.ColdStart) { c.MaxScale, c.Concurrency = 2, 1 }, func(t *testing.T, s *stage) {
		s.callers(t, 1)
		s.subject.enter(1)
		s.act.Serving(1, 1, time.Now())
		s.callers(t, 1)
		s.againFails(Terminal(errors.New("the quota is spent")))
		s.want(t, "warm", 2, 0)
		time.Sleep(1100 * time.Millisecond)
		s.wantAgain(t, 2)
		s.want(t, "warm", 2, 0) // the one that serves goes on
		time.Sleep(1200 * time.Millisecond)
		s.want(t, "warm", 3, 0) // and another is asked for after a pause
	})
}
