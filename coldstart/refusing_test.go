package coldstart

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A function whose one start took 2 s has served, unless it is new, and then a
// call comes back to the line because its instance refuses.
func refusing(t *testing.T, served bool, test func(t *testing.T, s *stage)) {
	t.Helper()
	stages(t, nil, func(t *testing.T, s *stage) {
		first := s.callers(t, 1)
		time.Sleep(2 * time.Second)
		s.act.Serving(1, 1, time.Now())
		synctest.Wait()
		if served {
			s.subject.enter(1)
			time.Sleep(time.Second)
			s.subject.enter(-1)
		}
		s.subject.mu.Lock()
		s.subject.refusing = 1
		s.subject.mu.Unlock()
		s.act.Serving(0, 1, time.Now())
		s.want(t, "starting", 2, 0) // to the platform all is well
		test(t, s)
		select {
		case err := <-first:
			if !errors.Is(err, ErrStartTimeout) {
				t.Errorf("the call that waits is told %v", err)
			}
		default:
		}
	})
}

func TestWhatListensNoMoreIsReplaced(t *testing.T) {
	f := func(name string, served bool, test func(t *testing.T, s *stage)) {
		t.Run(name, func(t *testing.T) { refusing(t, served, test) })
	}
	const usual = 2 * time.Second
	f("after as long as a start takes", true, func(t *testing.T, s *stage) {
		time.Sleep(usual - time.Millisecond)
		s.want(t, "starting", 2, 0)
		time.Sleep(time.Millisecond)
		s.want(t, "starting", 3, 1)
		if s.hold.Len() != 1 {
			t.Error("the call that waits is lost")
		}
		s.subject.mu.Lock()
		s.subject.refusing = 0
		s.subject.mu.Unlock()
		time.Sleep(9 * time.Second) // the new one may take as long as any
		s.want(t, "starting", 3, 1)
		s.act.Serving(1, 1, time.Now())
		s.want(t, "warm", 3, 1)
	})
	f("one that never served is still starting", false, func(t *testing.T, s *stage) {
		time.Sleep(9 * time.Second)
		s.want(t, "starting", 2, 0)
		time.Sleep(time.Second)
		s.want(t, "cold", 2, 1) // start_timeout
	})
	f("one that has gone is not replaced, for another comes", true, func(t *testing.T, s *stage) {
		s.subject.mu.Lock()
		s.subject.refusing = 0
		s.subject.mu.Unlock()
		time.Sleep(9 * time.Second)
		s.want(t, "starting", 2, 0)
	})
	f("one that listens again stays", true, func(t *testing.T, s *stage) {
		time.Sleep(usual / 2)
		s.act.Serving(1, 1, time.Now())
		time.Sleep(usual)
		s.want(t, "warm", 2, 0)
	})
	f("never under a call", true, func(t *testing.T, s *stage) {
		s.subject.enter(1) // a stream from before
		time.Sleep(2 * usual)
		s.want(t, "starting", 2, 0)
		s.subject.enter(-1)
		time.Sleep(retireEvery)
		s.want(t, "starting", 3, 1)
	})
	f("one that cannot be stopped may listen again", true, func(t *testing.T, s *stage) {
		s.platform.mu.Lock()
		s.downErr = errors.New("away")
		s.platform.mu.Unlock()
		time.Sleep(usual)
		s.want(t, "starting", 3, 1)
		if s.subject.isWithdrawn() {
			t.Error("nobody would get onto it")
		}
		s.act.Serving(1, 1, time.Now())
		s.want(t, "warm", 3, 1)
	})
}
