package coldstart

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

// A floor is a min_scale that comes and goes.
func TestFloor(t *testing.T) {
	stages(t, func(c *config.ColdStart) { c.MaxScale = 3 }, func(t *testing.T, s *stage) {
		a := s.act.activator
		a.Floor("f", "schedule", 2)
		s.want(t, "starting", 1, 0)
		if got := s.act.Status().Trigger; got != "schedule" {
			t.Errorf("trigger %s", got)
		}
		if s.up[0] != 2 {
			t.Errorf("asked for %v, want 2", s.up)
		}
		s.act.Serving(2, 0, time.Now())
		time.Sleep(time.Hour)
		s.want(t, "warm", 1, 0) // however idle
		a.Floor("f", "schedule", 3)
		synctest.Wait()
		s.act.Serving(3, 0, time.Now())
		s.want(t, "warm", 2, 0)
		a.Floor("f", "schedule", 1)
		synctest.Wait()
		s.want(t, "warm", 2, 1) // nobody has called for long: down to the floor
		if s.down[0] != 1 {
			t.Errorf("put back to %v, want 1", s.down)
		}
		s.act.Serving(1, 0, time.Now())
		a.Floor("f", "schedule", 0)
		time.Sleep(time.Minute + 500*time.Millisecond)
		s.want(t, "cold", 2, 2)
	})
}

// Whoever called within the window is followed by idle_after, not by its end.
func TestFloorThatIsTakenBackAfterACall(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		a := s.act.activator
		a.Floor("f", "schedule", 1)
		synctest.Wait()
		s.act.Serving(1, 0, time.Now())
		time.Sleep(10 * time.Minute)
		s.subject.enter(1)
		s.subject.enter(-1)
		time.Sleep(time.Second)
		a.Floor("f", "schedule", 0)
		time.Sleep(58 * time.Second)
		s.want(t, "warm", 1, 0)
		time.Sleep(1500 * time.Millisecond)
		s.want(t, "cold", 1, 1)
	})
}

// It outlives a stop under way and another configuration.
func TestFloorWhileDraining(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		a := s.act.activator
		s.slow = time.Minute // to stop
		a.Prewarm("f", "predict", time.Now().Add(time.Second))
		synctest.Wait()
		s.act.Serving(1, 0, time.Now())
		time.Sleep(30 * time.Second)
		s.want(t, "draining", 1, 0)
		s.act.Serving(0, 0, time.Now())
		a.Floor("f", "schedule", 1)
		s.act.Change(s.act.fn, false)
		time.Sleep(35 * time.Second)
		s.want(t, "starting", 2, 1)
	})
}

func TestFloorBeforeTheFunction(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		a := s.act.activator
		a.Floor("later", "schedule", 1)
		var act *Activation
		hold := NewHold(1, NewPool(1), func() { act.Need() })
		act, err := a.Adopt(config.Function{Name: "later", ColdStart: s.act.fn.ColdStart}, hold, &subject{})
		if err != nil {
			t.Fatal(err)
		}
		act.Begin()
		synctest.Wait()
		if got := act.Status().State; got != "starting" {
			t.Errorf("the function that came later is %s", got)
		}
	})
}

func TestKeep(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		a := s.act.activator
		s.warm(t)
		a.Keep("f", time.Hour)
		time.Sleep(59 * time.Minute)
		s.want(t, "warm", 1, 0)
		a.KeepUsual("f")
		time.Sleep(500 * time.Millisecond)
		s.want(t, "cold", 1, 1)
		if n := len(a.wishes); n != 0 {
			t.Errorf("%d wishes are kept for nobody", n)
		}
	})
}
