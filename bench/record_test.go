package bench

import (
	"math"
	"testing"
	"time"
)

// offer plays a target with known latencies to the schedule and the record, on
// a clock of its own: one connection, which is why a slow answer delays those
// behind it.
func offer(steps []Step, latency func(i int) time.Duration) *record {
	r := newRecord(1, newTape(1))
	s := newSchedule(steps, false, 0, 1, 1)
	free := time.Duration(0)
	for i := 0; ; i++ {
		due, ok := s.next()
		if !ok {
			return r
		}
		sent := max(due, free)
		free = sent + latency(i)
		r.add(0, answered, 200, moments{due, sent, free})
	}
}

func near(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if math.Abs(float64(got-want)) > 0.01*float64(want) {
		t.Errorf("%s is %s, want %s within 1 %%", what, got, want)
	}
}

// A target of which every percentile is known: latencies from 1 to 1000 µs,
// each as often, at a rate at which none waits for another.
func TestPercentilesAreRight(t *testing.T) {
	r := offer([]Step{{500, 500, 100 * time.Second}}, func(i int) time.Duration {
		return time.Duration(i*7919%1000+1) * time.Microsecond // 7919 is prime: all of them
	})
	for _, d := range []Digest{digest(r.corrected), digest(r.uncorrected)} {
		near(t, "p50", d.P50, 500*time.Microsecond)
		near(t, "p90", d.P90, 900*time.Microsecond)
		near(t, "p99", d.P99, 990*time.Microsecond)
		near(t, "p99.9", d.P999, 999*time.Microsecond)
		near(t, "the longest", d.Max, time.Millisecond)
		near(t, "the mean", d.Mean, 500500*time.Nanosecond)
	}
	for _, p := range digest(r.corrected).Curve {
		if p.Percent > 1 {
			near(t, "the curve", p.At, time.Duration(math.Ceil(p.Percent*10))*time.Microsecond)
		}
	}
}

// 100 s at 100 calls a second, each of 1 ms, and one that takes a second: the
// 100 that were due meanwhile have waited, from 1 s down to nothing. Who counts
// from sending has seen one slow call in 10,000.
func TestAStallIsSeen(t *testing.T) {
	r := offer([]Step{{100, 100, 100 * time.Second}}, func(i int) time.Duration {
		if i == 5000 {
			return time.Second
		}
		return time.Millisecond
	})
	hidden, seen := digest(r.uncorrected), digest(r.corrected)
	near(t, "p99.9 from sending", hidden.P999, time.Millisecond)
	// 10 of 10,000 calls have waited longer: those due in the first 100 ms of it.
	near(t, "p99.9 from the intended time", seen.P999, 909*time.Millisecond)
	near(t, "the longest", seen.Max, time.Second)
	seconds := r.tape
	seconds.add(r.second, r.slice)
	stalled := 0
	for _, s := range seconds.all() {
		if s.Max > 500*time.Millisecond {
			stalled++
		}
	}
	if stalled != 1 {
		t.Errorf("%d seconds show the stall, want one", stalled)
	}
}

// A closed loop at 1 ms a call stalls for a second once: filled in are the
// thousand calls that it did not send.
func TestAClosedLoopIsCorrected(t *testing.T) {
	h := newHistogram()
	for range 9000 {
		note(h, time.Millisecond)
	}
	note(h, time.Second)
	seen := digest(stalls(h, time.Millisecond))
	if seen.Count < 9990 || seen.Count > 10010 {
		t.Errorf("%d calls with what was not sent, want about 10000", seen.Count)
	}
	near(t, "p99", seen.P99, 900*time.Millisecond)
	near(t, "p50", seen.P50, time.Millisecond)
}

func TestAHangingTargetIsNotFast(t *testing.T) {
	r := newRecord(1, newTape(1))
	r.add(0, overdue, 0, moments{0, 0, time.Second})
	r.add(0, refused, 0, moments{0, 0, time.Microsecond})
	if d := digest(r.corrected); d.Count != 1 || d.P50 < 999*time.Millisecond {
		t.Errorf("%d latencies, p50 %s; want that of the one that hung", d.Count, d.P50)
	}
	if r.slice.failed != 2 {
		t.Errorf("%d failed, want both", r.slice.failed)
	}
}
