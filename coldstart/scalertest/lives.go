package scalertest

import (
	"slices"
	"testing"

	"github.com/weir-gateway/weir/coldstart"
)

// Stories of what lives longer than a request: weir's restart, the platform's
// absence, instances that are kept in reserve.

// restart: what outlives weir is found again, with the same ids; what does not
// is gone with it.
func restart(t *testing.T, s Subject) {
	fn := s.Function("restart", nil)
	first := s.stage(t)
	v, stop := first.See(fn)
	first.Up(fn, 2)
	was := v.Until(2)
	id := Get(t, was[0].Addr, "/id")
	stop()
	first.End()
	if !s.Outlives {
		Eventually(t, "nothing left", func() bool { return len(s.Left(t)) == 0 })
		return
	}
	second := s.stage(t, fn)
	w, _ := second.See(fn)
	now := w.Until(2)
	if !slices.Equal(ids(now), ids(was)) {
		t.Errorf("found %v, was %v", ids(now), ids(was))
	}
	second.replicas(fn, 2)
	second.Up(fn, 2)
	if got := Get(t, was[0].Addr, "/id"); got != id {
		t.Errorf("another instance answers")
	}
	if failed := second.Failures(fn.Name); len(failed) > 0 {
		t.Errorf("told:\n%s", describe(failed))
	}
	Crash(t, was[0].Addr)
	Eventually(t, "told", func() bool { return len(second.Failures(fn.Name)) > 0 })
	w.Until(1)
	second.Down(fn, 0)
	w.Until(0)
}

// away: a platform that cannot be reached takes no endpoint, fails starts for
// the moment only, and is found again without being asked for.
func away(t *testing.T, s Subject) {
	fn := s.Function("away", nil)
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	st.Up(fn, 1)
	v.Until(1)
	back := s.Away(t)
	err := st.ScaleUp(t.Context(), fn, 2)
	if err == nil || coldstart.IsTerminal(err) {
		t.Errorf("up while it is away: %v, want an error that is not terminal", err)
	}
	if set, _ := v.Now(); len(set) != 1 {
		t.Errorf("a lost source is not an empty set: %v", set)
	}
	back()
	Eventually(t, "up", func() bool { return st.ScaleUp(t.Context(), fn, 2) == nil })
	two := v.Until(2)
	Crash(t, two[0].Addr)
	Eventually(t, "told", func() bool { return len(st.Failures(fn.Name)) > 0 })
	v.Until(1)
}

// reserve: an instance that is kept in reserve is not served, does not count, and
// is the one that comes back.
func reserve(t *testing.T, s Subject, mode string) {
	fn := s.Function("reserved", nil)
	fn.ColdStart.IdleMode = mode
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	st.Up(fn, 2)
	two := v.Until(2)
	id := map[string]string{two[0].Addr: Get(t, two[0].Addr, "/id"), two[1].Addr: Get(t, two[1].Addr, "/id")}
	for range 3 {
		st.Down(fn, 0)
		v.Until(0)
		st.replicas(fn, 0)
		if n := len(s.Left(t)); n != 2 {
			t.Fatalf("%d are left, in reserve were 2", n)
		}
		st.Up(fn, 2)
		again := v.Until(2)
		if !slices.Equal(ids(again), ids(two)) {
			t.Errorf("in reserve were %v, got %v", ids(two), ids(again))
		}
		for _, ep := range again {
			if got := Get(t, ep.Addr, "/id"); got != id[ep.Addr] {
				t.Errorf("%s is another one", ep.Addr)
			}
		}
	}
	st.Down(fn, 0)
	if failed := st.Failures(fn.Name); len(failed) > 0 {
		t.Errorf("told:\n%s", describe(failed))
	}
	fn.ColdStart.IdleMode = "stop" // the instances must go: the function was removed, or changed
	st.Down(fn, 0)
	Eventually(t, "nothing left", func() bool { return len(s.Left(t)) == 0 })
}

// reservedThenChanged: what is in reserve of an older configuration is not woken
// for the newer one.
func reservedThenChanged(t *testing.T, s Subject, mode string) {
	fn := s.Function("stale", map[string]string{"VERSION": "1"})
	fn.ColdStart.IdleMode = mode
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	st.Up(fn, 1)
	old := v.Until(1)[0]
	Get(t, old.Addr, "/id")
	st.Down(fn, 0)
	v.Until(0)
	next := s.Function("stale", map[string]string{"VERSION": "2"})
	next.ColdStart.IdleMode = mode
	st.Up(next, 1)
	if ep := v.Until(1)[0]; ep.ID == old.ID {
		t.Errorf("the old one serves")
	}
	Eventually(t, "one left", func() bool { return len(s.Left(t)) == 1 })
}

// reservedThenGone: what is in reserve and crashes when it is woken is told like
// any other.
func reservedThenGone(t *testing.T, s Subject, mode string) {
	fn := s.Function("woken", nil)
	fn.ColdStart.IdleMode = mode
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	st.Up(fn, 1)
	Get(t, v.Until(1)[0].Addr, "/id")
	st.Down(fn, 0)
	v.Until(0)
	st.Up(fn, 1)
	Crash(t, v.Until(1)[0].Addr)
	Eventually(t, "told", func() bool { return len(st.Failures(fn.Name)) > 0 })
	v.Until(0)
}

// throttledLives: what is throttled is out of the set and answers all the same,
// though slowly; a paused one would not.
func throttledLives(t *testing.T, s Subject) {
	fn := s.Function("alive", nil)
	fn.ColdStart.IdleMode = "throttle"
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	st.Up(fn, 1)
	ep := v.Until(1)[0]
	id := Get(t, ep.Addr, "/id")
	st.Down(fn, 0)
	v.Until(0)
	st.replicas(fn, 0)
	if got := Get(t, ep.Addr, "/id"); got != id {
		t.Errorf("another instance answers: %s, was %s", got, id)
	}
	if failed := st.Failures(fn.Name); len(failed) > 0 {
		t.Errorf("told:\n%s", describe(failed))
	}
}
