package coldstart

import (
	"slices"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
)

func pauses(cs *config.ColdStart) { cs.IdleMode = "pause" }

// paused brings a function up and back to nothing by idleness.
func (s *stage) paused(t *testing.T) {
	t.Helper()
	s.warm(t)
	time.Sleep(time.Minute + 200*time.Millisecond)
	s.act.Serving(0, 0, time.Now())
	s.want(t, "cold", 1, 1)
	s.wantModes(t, "pause")
}

func (s *stage) wantModes(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.modes, want) {
		t.Errorf("put back by %v, want %v", s.modes, want)
	}
}

// What is paused has no state of its own here, but it must not be forgotten
// with the function, or outlive its configuration.
func TestPausedInstancesGoWithTheFunction(t *testing.T) {
	stages(t, pauses, func(t *testing.T, s *stage) {
		s.paused(t)
		s.act.Leave()
		s.want(t, "cold", 1, 2)
		s.wantModes(t, "pause", "stop")
	})
	stages(t, pauses, func(t *testing.T, s *stage) { // and also if nobody has been idle
		s.warm(t)
		s.act.Leave()
		time.Sleep(time.Second)
		s.wantModes(t, "stop")
	})
}

func TestPausedInstancesGoWithTheirConfiguration(t *testing.T) {
	stages(t, pauses, func(t *testing.T, s *stage) {
		s.paused(t)
		fn := s.act.fn
		s.act.Change(fn, false)
		s.want(t, "cold", 1, 1)
		s.act.Change(fn, true)
		s.want(t, "cold", 1, 2)
		s.wantModes(t, "pause", "stop")
	})
	stages(t, pauses, func(t *testing.T, s *stage) {
		s.paused(t)
		fn := s.act.fn
		fn.ColdStart.IdleMode = "stop"
		s.act.Change(fn, false)
		s.want(t, "cold", 1, 2)
		s.wantModes(t, "pause", "stop")
	})
}

// What is throttled is kept as what is paused is, and goes when it is to be kept in
// another way.
func TestThrottledInstancesGoWithTheirMode(t *testing.T) {
	stages(t, func(cs *config.ColdStart) { cs.IdleMode = "throttle" }, func(t *testing.T, s *stage) {
		s.warm(t)
		time.Sleep(time.Minute + 200*time.Millisecond)
		s.act.Serving(0, 0, time.Now())
		s.want(t, "cold", 1, 1)
		s.wantModes(t, "throttle")
		fn := s.act.fn
		s.act.Change(fn, false)
		s.want(t, "cold", 1, 1)
		fn.ColdStart.IdleMode = "pause"
		s.act.Change(fn, false)
		s.want(t, "cold", 1, 2)
		s.wantModes(t, "throttle", "stop")
	})
}
