package bench

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever the rate does, the calls of all workers together are due when the
// rate says so, and none is missing.
func TestWorkersShareASchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Step {
			return Step{
				From: float64(rapid.IntRange(0, 500).Draw(t, "from")),
				To:   float64(rapid.IntRange(1, 500).Draw(t, "to")),
				For:  time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond,
			}
		}), 1, 4).Draw(t, "steps")
		workers := rapid.IntRange(1, 5).Draw(t, "workers")
		var times []time.Duration
		for i := range workers {
			s := newSchedule(steps, false, i, workers, 1)
			last := time.Duration(-1)
			for {
				at, ok := s.next()
				if !ok {
					break
				}
				if at < last {
					t.Fatalf("%s comes after %s", at, last)
				}
				last = at
				times = append(times, at)
			}
		}
		slices.Sort(times)
		for i, at := range times {
			if n := expected(steps, at); math.Abs(n-float64(i)) > 0.01 {
				t.Fatalf("call %d is due at %s, when %.2f are", i, at, n)
			}
		}
		if all := expected(steps, lengthOf(steps)); math.Abs(all-float64(len(times))) > 1 {
			t.Fatalf("%d calls, the rate makes %.2f", len(times), all)
		}
	})
}

// Gaps of a Poisson process are as long as they vary.
func TestPoissonGaps(t *testing.T) {
	steps := []Step{{1000, 1000, 50 * time.Second}}
	var gaps []float64
	s := newSchedule(steps, true, 0, 1, 1)
	last := time.Duration(0)
	for at, ok := s.next(); ok; at, ok = s.next() {
		gaps = append(gaps, (at - last).Seconds())
		last = at
	}
	var sum, squares float64
	for _, g := range gaps {
		sum, squares = sum+g, squares+g*g
	}
	n := float64(len(gaps))
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	if math.Abs(mean-0.001) > 0.00002 || math.Abs(deviation-0.001) > 0.00003 {
		t.Errorf("%d gaps of %.6f s, deviation %.6f; want 0.001 of both", len(gaps), mean, deviation)
	}
}

func TestParseRate(t *testing.T) {
	for _, c := range []struct {
		text string
		want []Step
	}{
		{"500", []Step{{500, 500, 6 * time.Second}}},
		{"0..200", []Step{{0, 200, 6 * time.Second}}},
		{"1,2,3", []Step{{1, 1, 2 * time.Second}, {2, 2, 2 * time.Second}, {3, 3, 2 * time.Second}}},
		{"fast", nil}, {"-1", nil}, {"0", nil}, {"", nil}, {"1..", nil}, {"NaN", nil}, {"Inf", nil},
	} {
		got, err := ParseRate(c.text, 6*time.Second)
		if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%q is %v (%v), want %v", c.text, got, err, c.want)
		}
	}
}
