package shaping

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"
)

// A served is a simulation of n held calls at one fresh instance that works on some
// at once, each for as long; the others wait inside of it, in order.
type served struct {
	most  int           // calls in the instance at once, in the first second
	whole time.Duration // until the last answer
}

func serve(n, atOnce int, each time.Duration) (s served) {
	var slots Slots
	slots.StartSlowly()
	type call struct{ came, over time.Duration }
	var inside []call // in the order in which they end
	free := make([]time.Duration, atOnce)
	let := func(now time.Duration) {
		for n > 0 && slots.Take() {
			n--
			at := slices.Index(free, slices.Min(free))
			free[at] = max(free[at], now) + each
			inside = append(inside, call{now, free[at]})
		}
		if now < time.Second {
			s.most = max(s.most, slots.InFlight())
		}
	}
	tick := time.Second
	for let(0); len(inside) > 0; {
		slices.SortStableFunc(inside, func(a, b call) int { return cmp.Compare(a.over, b.over) })
		if next := inside[0]; next.over > tick {
			slots.Widen()
			let(tick)
			tick += time.Second
			continue
		}
		next := inside[0]
		inside = inside[1:]
		slots.GiveBack()
		slots.Answered(next.over - next.came)
		let(next.over)
		s.whole = next.over
	}
	return s
}

// C16: what a fresh instance has in flight follows what it can do at once, and the
// line is served within a tenth of the time that it takes at best.
func TestWindowStopsAtTheKnee(t *testing.T) {
	for _, atOnce := range []int{1, 4, 16, 32, 64, 1000} {
		for _, each := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
			t.Run(fmt.Sprintf("%d at once, %v each", atOnce, each), func(t *testing.T) {
				const n = 2000
				got := serve(n, atOnce, each)
				// Twice as many make answers twice as slow; they tell so a round later.
				if most := 5*atOnce + 2*firstWindow; atOnce < lastWindow/4 && got.most > most {
					t.Errorf("%d in flight in the first second, want %d at most", got.most, most)
				}
				rounds := (n + atOnce - 1) / atOnce
				ideal := time.Duration(rounds) * each
				// From 8 to 256 are five rounds, in which some is left idle.
				if most := ideal + ideal/10 + 6*each; got.whole > most {
					t.Errorf("took %v, want %v at most", got.whole, most)
				}
			})
		}
	}
}

// What differs at random is no overload, and no overload lasts for good.
func TestWindowOpensForGood(t *testing.T) {
	var s Slots
	s.StartSlowly()
	for i := range 2 * lastWindow {
		s.Answered([]time.Duration{1, 9, 30, 80, 12}[i%5] * time.Millisecond)
	}
	if s.Opening() {
		t.Errorf("after %d answers that differ the window is %d", 2*lastWindow, s.Limit())
	}

	s = Slots{}
	s.StartSlowly()
	took, seconds := time.Millisecond, 0
	for ; s.Opening() && seconds < 60; seconds++ {
		for range 50 {
			if s.Answered(took) {
				took += took / 8 // each call more makes all slower
			}
		}
		s.Widen()
	}
	if s.Opening() || seconds < 3 {
		t.Errorf("%d seconds of a growing overload: the window is %d", seconds, s.Limit())
	}
}
