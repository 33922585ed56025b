package scalertest

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
)

// A Subject is a kind of scaler that is put to the test.
type Subject struct {
	// Open makes a scaler over the platform. The suite opens a second one where
	// the first has ended, as a weir does that was restarted. Where it looks at the
	// platform again and again, it does so less often than Patience: what the suite
	// waits for has to be told when it happens, and not at the next look.
	Open func(t testing.TB, log *slog.Logger) Platform
	// Function is one with max_scale 3 whose instances run Play with these
	// variables.
	Function func(name string, env map[string]string) config.Function
	// Missing is one that can never be run.
	Missing func(name string) config.Function
	// Left names what is there of instances, whether the scaler knows or not.
	Left func(t testing.TB) []string
	// Ended is when the platform says that an instance ended; nil if weir is who
	// notices.
	Ended func(t testing.TB, id string) time.Time
	// Outlives says that instances outlive their scaler.
	Outlives bool
	// Reserves are the idle modes with which instances are kept in reserve: pause,
	// throttle.
	Reserves []string
	// Away makes the platform unreachable until back is called; nil if nothing
	// can be between it and weir.
	Away func(t testing.TB) (back func())
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	type story struct {
		name string
		tell func(*testing.T, Subject)
	}
	stories := []story{
		{"bounds", bounds},
		{"max scale", maxScale},
		{"many ask for one", manyAskForOne},
		{"asked again", askedAgain},
		{"the last word holds", lastWord},
		{"functions are apart", apart},
		{"cancelled", cancelled},
		{"terminal", terminal},
		{"crash", crash},
		{"exit at the start", exitAtStart},
		{"told when it happens", toldWhenItHappens},
		{"two watches", twoWatches},
		{"restart", restart},
	}
	if s.Away != nil {
		stories = append(stories, story{"away", away})
	}
	for _, mode := range s.Reserves {
		in := func(tell func(*testing.T, Subject, string)) func(*testing.T, Subject) {
			return func(t *testing.T, s Subject) { tell(t, s, mode) }
		}
		stories = append(stories, story{mode, in(reserve)}, story{mode + " then changed", in(reservedThenChanged)},
			story{mode + " then crashed", in(reservedThenGone)})
	}
	if slices.Contains(s.Reserves, "throttle") {
		stories = append(stories, story{"throttled lives on", throttledLives})
	}
	for _, story := range stories {
		t.Run(strings.ReplaceAll(story.name, " ", "_"), func(t *testing.T) {
			t.Cleanup(func() { // runs last
				Eventually(t, "nothing left", func() bool { return len(s.Left(t)) == 0 })
			})
			story.tell(t, s)
		})
	}
}

// stage opens the platform for functions, of which nothing is left at the end.
func (s Subject) stage(t testing.TB, fns ...config.Function) *Stage {
	t.Helper()
	st := Open(t, s.Open)
	t.Cleanup(func() {
		for _, fn := range fns {
			fn.ColdStart.IdleMode = "stop"
			if err := st.ScaleDown(context.Background(), fn, 0); err != nil && s.Outlives {
				t.Errorf("last down: %v", err)
			}
		}
	})
	return st
}

func (st *Stage) replicas(fn config.Function, want int) {
	st.T.Helper()
	n, err := st.Replicas(st.T.Context(), fn)
	if err != nil || n != want {
		st.T.Errorf("%d replicas (%v), want %d", n, err, want)
	}
}

// Bounds: asking twice is asking once, at least never lowers, at most never
// raises.
func bounds(t *testing.T, s Subject) {
	fn := s.Function("bounds", nil)
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	v.Until(0)
	st.replicas(fn, 0)
	st.Up(fn, 2)
	two := ids(v.Until(2))
	st.Up(fn, 2)
	st.Up(fn, 1)
	st.Up(fn, 0)
	st.Down(fn, 3)
	st.Down(fn, 2)
	if now := ids(v.Until(2)); !slices.Equal(now, two) {
		t.Errorf("the instances are %v, were %v", now, two)
	}
	st.replicas(fn, 2)
	st.Down(fn, 1)
	st.Down(fn, 1)
	one := v.Until(1)
	if !slices.Contains(two, one[0].ID) {
		t.Errorf("left is %s, one of %v was to stay", one[0].ID, two)
	}
	Get(t, one[0].Addr, "/id")
	st.replicas(fn, 1)
	st.Up(fn, 3)
	if three := ids(v.Until(3)); !slices.Contains(three, one[0].ID) {
		t.Errorf("%s has gone for %v", one[0].ID, three)
	}
	st.Down(fn, 0)
	v.Until(0)
	st.replicas(fn, 0)
	st.Down(fn, 0)
	st.Down(fn, -1)
	if failed := st.Failures(fn.Name); len(failed) > 0 {
		t.Errorf("asked for, and told as failures:\n%s", describe(failed))
	}
}

func maxScale(t *testing.T, s Subject) {
	fn := s.Function("most", nil)
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	st.Up(fn, 100)
	v.Until(3)
	st.replicas(fn, 3)
}

func manyAskForOne(t *testing.T, s Subject) {
	fn := s.Function("many", nil)
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	var askers sync.WaitGroup
	for range 30 {
		askers.Go(func() {
			if err := st.ScaleUp(t.Context(), fn, 1); err != nil {
				t.Error(err)
			}
		})
	}
	askers.Wait()
	v.Until(1)
	st.replicas(fn, 1)
}

// Asking again for what was taken note of, while it starts and when it is there,
// is answered and adds nothing: the Activator does it every second.
func askedAgain(t *testing.T, s Subject) {
	fn := s.Function("again", nil)
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	st.Up(fn, 2)
	again := func() {
		t.Helper()
		for range 3 {
			if err := st.ScaleUp(coldstart.WithRepeated(t.Context()), fn, 2); err != nil {
				t.Errorf("asked again: %v", err)
			}
		}
	}
	again()
	two := ids(v.Until(2))
	again()
	if now := ids(v.Until(2)); !slices.Equal(now, two) {
		t.Errorf("the instances are %v, were %v", now, two)
	}
	st.replicas(fn, 2)
	st.Down(fn, 1) // and it is no later word than a smaller bound
	v.Until(1)
	if failed := st.Failures(fn.Name); len(failed) > 0 {
		t.Errorf("told:\n%s", describe(failed))
	}
}

// The last word holds, whatever was said at the same time before.
func lastWord(t *testing.T, s Subject) {
	fn := s.Function("last", nil)
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	for _, last := range []int{2, 0} {
		var askers sync.WaitGroup
		for range 6 {
			n, up := rand.IntN(4), rand.IntN(2) == 0
			askers.Go(func() {
				// An up that a down crosses may find its instances gone.
				if up {
					_ = st.ScaleUp(t.Context(), fn, n)
				} else if err := st.ScaleDown(t.Context(), fn, n); err != nil {
					t.Errorf("down to %d: %v", n, err)
				}
			})
		}
		askers.Wait()
		st.Down(fn, last)
		st.Up(fn, last)
		v.Until(last)
		st.replicas(fn, last)
	}
}

func apart(t *testing.T, s Subject) {
	one, other := s.Function("one", nil), s.Function("one.more", nil) // a name that begins as the other
	st := s.stage(t, one, other)
	v, _ := st.See(one)
	w, _ := st.See(other)
	st.Up(one, 1)
	st.Up(other, 2)
	a, b := v.Until(1), w.Until(2)
	if slices.Contains(b, a[0]) {
		t.Errorf("%v serves both", a[0])
	}
	st.Down(other, 0)
	w.Until(0)
	Get(t, v.Until(1)[0].Addr, "/id")
}

// A caller that gives up gets its own error, soon, and spoils nothing.
func cancelled(t *testing.T, s Subject) {
	fn := s.Function("cancelled", nil)
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := st.ScaleUp(gone, fn, 1); err != nil && !errors.Is(err, context.Canceled) || coldstart.IsTerminal(err) {
		t.Errorf("up: %v", err)
	}
	st.Up(fn, 1)
	v.Until(1)
	st.replicas(fn, 1)
	if err := st.ScaleDown(gone, fn, 0); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("down: %v", err)
	}
	st.Down(fn, 0)
	v.Until(0)
}

// What can never be run is said at once, and is terminal.
func terminal(t *testing.T, s Subject) {
	fn := s.Missing("missing")
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	began := time.Now()
	err := st.ScaleUp(t.Context(), fn, 1)
	if !coldstart.IsTerminal(err) {
		t.Errorf("%v: want a terminal error", err)
	}
	if took := time.Since(began); took > Patience/2 {
		t.Errorf("it took %v", took)
	}
	v.Until(0)
	Eventually(t, "no replicas", func() bool { n, err := st.Replicas(t.Context(), fn); return err == nil && n == 0 })
	if failed := st.Failures(fn.Name); len(failed) > 0 {
		t.Errorf("told a second time:\n%s", describe(failed))
	}
}

// An instance that crashes leaves the set, then is told; another can be had.
func crash(t *testing.T, s Subject) {
	fn := s.Function("crash", nil)
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	v.Until(0)
	asked := time.Now()
	st.Up(fn, 1)
	ep := v.Until(1)[0]
	before := time.Now()
	Crash(t, ep.Addr)
	Eventually(t, "told", func() bool { return len(st.Failures(fn.Name)) > 0 })
	v.Until(0)
	story := st.Told(fn.Name)
	last := story[len(story)-1]
	if last.Failed == nil || coldstart.IsTerminal(last.Failed) {
		t.Errorf("told is:\n%s", describe(story))
	} else if words := last.Failed.Error(); !strings.Contains(words, "status 3") || !strings.Contains(words, "out of luck") {
		t.Errorf("nobody can tell from this why: %s", words)
	}
	if last.Started.Before(asked) || last.Started.After(before) {
		t.Errorf("started at %v, asked for at %v and serving at %v", last.Started, asked, before)
	}
	st.replicas(fn, 0)
	st.Up(fn, 1)
	if next := v.Until(1)[0]; next.ID == ep.ID {
		t.Errorf("%s is back from the dead", ep.ID)
	}
}

// A function that ends instead of serving, even with status 0, has failed.
func exitAtStart(t *testing.T, s Subject) {
	fn := s.Function("short", map[string]string{"EXIT": "0", "SAY": "nothing to do"})
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	asked := time.Now()
	_ = st.ScaleUp(t.Context(), fn, 1) // a platform may notice at once, or later
	Eventually(t, "told", func() bool { return len(st.Failures(fn.Name)) > 0 })
	last := st.Failures(fn.Name)[0]
	if words := last.Failed.Error(); !strings.Contains(words, "status 0") || !strings.Contains(words, "nothing to do") {
		t.Errorf("nobody can tell from this why: %s", words)
	}
	if last.Started.Before(asked) {
		t.Errorf("started %v before it was asked for", asked.Sub(last.Started))
	}
	v.Until(0)
	Eventually(t, "no replicas", func() bool { n, err := st.Replicas(t.Context(), fn); return err == nil && n == 0 })
}

// What happens is told although nobody asks, one thing after the other: how soon is
// measured by Bench, that it is no look which finds it is in Subject.Open.
func toldWhenItHappens(t *testing.T, s Subject) {
	fn := s.Function("pushed", nil)
	st := s.stage(t, fn)
	v, _ := st.See(fn)
	st.Up(fn, 3)
	v.Until(3)
	for left := 2; left >= 0; left-- {
		set, _ := v.Now()
		Crash(t, set[0].Addr)
		v.Until(left)
		Eventually(t, "told", func() bool { return len(st.Failures(fn.Name)) == 3-left })
	}
}

func twoWatches(t *testing.T, s Subject) {
	fn := s.Function("twice", nil)
	st := s.stage(t, fn)
	v, stop := st.See(fn)
	st.Up(fn, 2)
	want := ids(v.Until(2))
	w, _ := st.See(fn)
	if got := ids(w.Until(2)); !slices.Equal(got, want) {
		t.Errorf("one is told %v, the other %v", want, got)
	}
	stop()
	st.Down(fn, 1)
	w.Until(1)
	if set, _ := v.Now(); len(set) != 2 {
		t.Errorf("the watch that has ended was told %v", set)
	}
}
