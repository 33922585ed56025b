package bench

import (
	"fmt"
	"math"
	"time"
)

// judge names the thresholds that were broken.
func (st *story) judge(r *Report) (broken []string) {
	t := st.Thresholds
	fail := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	if t.FailedPercent != nil && 100*r.FailedRatio() > *t.FailedPercent {
		fail("%.3g %% of the calls failed, at most %g %% may", 100*r.FailedRatio(), *t.FailedPercent)
	}
	for _, c := range []struct {
		name     string
		is, most time.Duration
	}{{"p50", r.Corrected.P50, t.P50}, {"p99", r.Corrected.P99, t.P99}, {"p99.9", r.Corrected.P999, t.P999}} {
		if c.most > 0 && c.is > c.most {
			fail("%s is %s, at most %s may be", c.name, brief(c.is), c.most)
		}
	}
	if t.Garbage != nil && r.Outcomes["garbage"] > *t.Garbage {
		fail("%d answers were garbage, at most %d may", r.Outcomes["garbage"], *t.Garbage)
	}
	if t.Starts != nil && r.Starts > *t.Starts {
		fail("%d instances were started, at most %d may", r.Starts, *t.Starts)
	}
	if t.Knee > 0 && r.Knee < t.Knee {
		fail("p99 breaks at %.0f/s, at least %.0f/s are wanted", r.Knee, t.Knee)
	}
	if t.MemoryGrowthPercent != nil && r.MemoryGrowth > *t.MemoryGrowthPercent {
		fail("memory grew by %.1f %%, at most %g %% may", r.MemoryGrowth, *t.MemoryGrowthPercent)
	}
	if t.GoroutineGrowth != nil && r.GoroutineGrowth > *t.GoroutineGrowth {
		fail("goroutines grew by %.0f, at most %.0f may", r.GoroutineGrowth, *t.GoroutineGrowth)
	}
	if whole := min(len(r.Seconds), int(r.Took/time.Second)); t.Rejoins && whole > 0 {
		for _, p := range st.Endpoints {
			if r.Seconds[whole-1].Shares[p.Name] == 0 {
				fail("%s does not serve again in the last second", p.Name)
			}
		}
	}
	for _, share := range t.Shares {
		if got := st.share(r, share); math.Abs(got-share.Percent) > share.Within {
			fail("from %s to %s %s answers %.1f %% of the calls, want %g within %g points", share.From, share.To, share.Region, got, share.Percent, share.Within)
		}
	}
	return broken
}

// share is the part of the answers in percent that a region has given.
func (st *story) share(r *Report, of ShareOf) float64 {
	var its, all int64
	for i := int(of.From / time.Second); i < min(int(of.To/time.Second), len(r.Seconds)); i++ {
		for _, p := range st.Endpoints {
			n := r.Seconds[i].Shares[p.Name]
			all += n
			if p.Region == of.Region {
				its += n
			}
		}
	}
	return 100 * float64(its) / float64(max(all, 1))
}
