package forecast

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

const (
	reach = 4 * time.Hour
	gap   = 5 * time.Second
	fixed = 10 * time.Minute
)

func TestHistogramIsBounded(t *testing.T) {
	if n := unsafe.Sizeof(Habit{}); n > 1<<10 {
		t.Errorf("a function's habit takes %d bytes, want 1 KiB at most", n)
	}
	rapid.Check(t, func(t *rapid.T) {
		h := NewHistogram(time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "reach")))
		for _, d := range rapid.SliceOfN(rapid.Int64(), 0, 3000).Draw(t, "gaps") {
			h.Add(time.Duration(d))
		}
		sum := 0
		for _, n := range h.counts {
			sum += int(n)
		}
		if h.within != sum || h.Len() >= remembered || h.Beyond() < 0 || h.Beyond() > 1 {
			t.Fatalf("%d within (%d counted), %d beyond", h.within, sum, h.beyond)
		}
	})
}

func TestPercentilesAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := NewHistogram(reach)
		gaps := rapid.SliceOfN(rapid.Int64Range(0, int64(reach)-1), 1, remembered-1).Draw(t, "gaps")
		for _, d := range gaps {
			h.Add(time.Duration(d))
		}
		p := rapid.Float64Range(0, 1).Draw(t, "p")
		q := rapid.Float64Range(p, 1).Draw(t, "q")
		from, to := h.Percentile(p)
		from2, to2 := h.Percentile(q)
		if to-from != time.Minute || from2 < from || to2 < to || to2 > reach {
			t.Fatalf("%v: %v to %v; %v: %v to %v", p, from, to, q, from2, to2)
		}
		below, atMost := 0, 0
		for _, d := range gaps {
			if time.Duration(d) < from {
				below++
			}
			if time.Duration(d) < to {
				atMost++
			}
		}
		if n := float64(len(gaps)); float64(atMost) < p*n-1e-9 || p > 0 && float64(below) >= p*n {
			t.Fatalf("of %v, %d are under %v and %d under %v: that is not the %v-quantile", n, below, from, atMost, to, p)
		}
	})
}

// gaps of one kind each, and what they lead to.
func TestPlans(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	about := func(d, jitter time.Duration) func(int) time.Duration {
		return func(int) time.Duration { return d + time.Duration((r.Float64()*2-1)*float64(jitter)) }
	}
	random := func(mean time.Duration) func(int) time.Duration {
		return func(int) time.Duration { return gap + time.Duration(r.ExpFloat64()*float64(mean)) }
	}
	for _, c := range []struct {
		what string
		gap  func(i int) time.Duration
		n    int
		want Plan
	}{
		{"too few", about(30*time.Minute, 0), 9, Plan{Basis: Fixed, Keep: fixed}},
		{"every half hour", about(30*time.Minute+time.Second, 0), 10, Plan{Basis: Gaps, Keep: gap, From: 27 * time.Minute, To: 34*time.Minute + 6*time.Second}},
		{"every half hour or so", about(30*time.Minute, 3*time.Minute), 200, Plan{Basis: Gaps, Keep: gap, From: 24*time.Minute + 18*time.Second, To: 36*time.Minute + 18*time.Second}},
		{"every minute", about(time.Minute+time.Second, 0), 100, Plan{Basis: Gaps, Keep: gap, From: 54 * time.Second, To: 2*time.Minute + 12*time.Second}},
		{"every half minute", about(30*time.Second, 0), 100, Plan{Basis: Gaps, Keep: fixed}},
		{"at random, often", random(5 * time.Minute), 400, Plan{Basis: Gaps, Keep: 22 * time.Minute}},
		{"at random, all over", func(int) time.Duration { return time.Duration(r.Int64N(int64(reach))) }, 400, Plan{Basis: Fixed, Keep: fixed}},
		{"bursts, one an hour", func(i int) time.Duration {
			if i%10 == 9 {
				return time.Hour + time.Second
			}
			return 20 * time.Second
		}, 200, Plan{Basis: Gaps, Keep: time.Hour + 7*time.Minute + 6*time.Second}},
		{"too seldom, at random", func(int) time.Duration { return reach + time.Duration(r.ExpFloat64()*float64(20*time.Hour)) }, 50, Plan{Basis: Fixed, Keep: fixed}},
		{"once a day", about(24*time.Hour, time.Minute), 4, Plan{Basis: Long, Keep: gap, From: 24 * time.Hour, To: 24 * time.Hour}},
		{"once a day, thrice", about(24*time.Hour, 0), 3, Plan{Basis: Fixed, Keep: fixed}},
	} {
		h := NewHabit(reach, gap)
		for i := range c.n {
			h.Learn(c.gap(i))
		}
		got := h.Plan(fixed, 30*time.Second)
		near := func(got, want, within time.Duration) bool { return (got - want).Abs() <= within }
		loose := time.Duration(0)
		switch c.what {
		case "at random, often":
			loose = 10 * time.Minute
		case "once a day", "every half hour or so":
			loose = 3 * time.Minute
		}
		if got.Basis != c.want.Basis || !near(got.Keep, c.want.Keep, loose) || !near(got.From, c.want.From, loose) || !near(got.To, c.want.To, loose) {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
	}
}

// A function that is called otherwise from now on is seen to be, and nothing of
// before holds it back.
func TestHabitsChange(t *testing.T) {
	h := NewHabit(reach, gap)
	for range 5000 {
		h.Learn(10*time.Minute + time.Second)
	}
	n := 0
	for ; h.Plan(fixed, 0).To < time.Hour; n++ {
		if n > 10*remembered {
			t.Fatal("it is never seen")
		}
		h.Learn(time.Hour + time.Second)
	}
	for ; h.Plan(fixed, 0).From < 50*time.Minute; n++ {
		if n > 10*remembered {
			t.Fatalf("what was is never forgotten: %+v", h.Plan(fixed, 0))
		}
		h.Learn(time.Hour + time.Second)
	}
	t.Logf("seen for what it is after %d gaps", n)
}

// Whatever is learned, a plan is one that can be carried out.
func TestPlansAreSane(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := NewHabit(reach, gap)
		sample := rapid.OneOf(rapid.Int64Range(0, int64(reach)), rapid.Int64Range(0, int64(72*time.Hour)), rapid.Just(int64(time.Hour)), rapid.Just(int64(24*time.Hour)))
		for _, d := range rapid.SliceOfN(sample, 0, 600).Draw(t, "gaps") {
			h.Learn(time.Duration(d))
		}
		brief := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "brief"))
		p := h.Plan(fixed, brief)
		if p.Keep <= 0 || p.To != 0 && (p.From <= brief || p.To <= p.From) || p.To == 0 && p.From != 0 {
			t.Fatalf("%+v", p)
		}
		if p.Basis == Gaps && max(p.To, p.Keep) > reach+reach/10 {
			t.Fatalf("%+v is beyond what is looked at", p)
		}
	})
}

// Off when under 30 % of the last 50 come true, on again when half of them do.
func TestRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Record
		var all []bool
		trusted := true
		for _, hit := range rapid.SliceOfN(rapid.Custom(func(t *rapid.T) bool {
			return rapid.IntRange(0, 9).Draw(t, "of ten") < 4
		}), 0, 400).Draw(t, "hits") {
			r.Judge(hit)
			all = append(all, hit)
			last, hits := all[max(len(all)-50, 0):], 0
			for _, h := range last {
				if h {
					hits++
				}
			}
			switch {
			case len(last) < 50:
			case hits < 15:
				trusted = false
			case hits >= 25:
				trusted = true
			}
			if r.Trusted() != trusted {
				t.Fatalf("after %d, %d of the last %d came true: trusted %v", len(all), hits, len(last), r.Trusted())
			}
		}
	})
}
