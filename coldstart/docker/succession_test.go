package docker

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart/scalertest"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/testkit"
)

// after opens a platform that takes the place of another one, which then ends soon.
func (e *engine) after(t *testing.T, old *Platform, fns ...config.Function) *scalertest.Stage {
	t.Helper()
	old.mu.Lock()
	old.lingers, old.letsGo = time.Second, 2*time.Second
	old.mu.Unlock()
	return scalertest.Open(t, func(t testing.TB, log *slog.Logger) scalertest.Platform {
		p := e.open(t, log, fns...)
		p.Succeed(old)
		return p
	})
}

// ends waits until a platform that has retired has ended by itself.
func ends(t *testing.T, s *scalertest.Stage) {
	t.Helper()
	scalertest.Eventually(t, "it ends", func() bool { return s.Platform.(*Platform).ctx.Err() != nil })
	s.End()
}

func names(s *scalertest.Stage, v *scalertest.View, n int) (names []string) {
	s.T.Helper()
	for _, ep := range v.Until(n) {
		names = append(names, ep.ID)
	}
	slices.Sort(names)
	return names
}

// On the same engine, by another way, what runs and what is in reserve is taken over;
// under another gateway's name it is stopped, and others are raised.
func succession(t *testing.T, e *engine) {
	fn := e.function("moves", nil)
	sleeps := e.function("sleeps", nil)
	sleeps.ColdStart.IdleMode = "pause"
	changed := e.function("changed", nil)
	first := scalertest.Open(t, func(t testing.TB, log *slog.Logger) scalertest.Platform { return e.open(t, log, fn, sleeps, changed) })
	v, stop := first.See(fn)
	x, stopX := first.See(changed)
	first.Up(fn, 2)
	first.Up(sleeps, 1)
	first.Down(sleeps, 0)
	first.Up(changed, 1)
	was := names(first, v, 2)
	x.Until(1)
	stop()
	stopX()

	other := *e
	other.front = testkit.NewFront(t, "unix", e.socket)
	newer := changed
	newer.Docker = &config.Docker{Image: changed.Docker.Image, Port: 8080, StopTimeout: 5 * time.Second, Env: map[string]string{"VERSION": "2"}}
	second := other.after(t, first.Platform.(*Platform), fn, sleeps, newer)
	w, stop := second.See(fn)
	if now := names(second, w, 2); !slices.Equal(now, was) {
		t.Errorf("%v run, before %v", now, was)
	}
	if n := len(e.left(t)); n != 4 {
		t.Errorf("%d containers, want all 4: what is to go has calls", n)
	}
	first.Down(fn, 0)
	first.Down(sleeps, 0)
	first.Down(changed, 0)
	if n := len(e.left(t)); n != 3 {
		t.Errorf("%d containers, want 3: those that were taken over", n)
	}
	ends(t, first)
	first.Down(fn, 0) // as who has calls there for a long time does
	scalertest.Get(t, w.Until(2)[0].Addr, "/id")
	second.Up(sleeps, 1)
	if !second.Log.Has("instance resumed", "sleeps") || len(second.Failures("moves")) > 0 || len(first.Failures("moves")) > 0 {
		t.Error("what was in reserve is not, or what was taken over is said to have failed")
	}
	stop()

	other.gateway += "-other"
	third := other.after(t, second.Platform.(*Platform), fn, sleeps)
	u, stop := third.See(fn)
	u.Until(0)
	second.Down(fn, 0)
	sleeps.ColdStart.IdleMode = "stop"
	second.Down(sleeps, 0)
	if left := e.left(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	third.Up(fn, 1)
	scalertest.Get(t, u.Until(1)[0].Addr, "/id")
	ends(t, second)
	third.Down(fn, 0)
	stop()
	if left := other.left(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// An engine that is away when another takes its place keeps what it has, once it has
// been away for long enough: nobody waits for it for ever.
func letGo(t *testing.T, e *engine) {
	fn := e.function("left", nil)
	old := *e
	old.front = testkit.NewFront(t, "unix", e.socket)
	old.gateway += "-old"
	first := scalertest.Open(t, func(t testing.TB, log *slog.Logger) scalertest.Platform { return old.open(t, log, fn) })
	first.Up(fn, 1)
	old.front.Take(true)
	scalertest.Eventually(t, "it is away", func() bool { return first.Log.Has("the engine cannot be reached") })
	second := e.after(t, first.Platform.(*Platform), fn)
	first.Down(fn, 0)
	if !first.Log.Has("nobody's any more", "left") {
		t.Error("the operator is not told")
	}
	ends(t, first)
	ids := old.left(t)
	if len(ids) != 1 {
		t.Fatalf("%v are left", ids)
	}
	e.docker(t, "rm", "--force", ids[0])
	second.End()
}
