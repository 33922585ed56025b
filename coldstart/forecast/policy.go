package forecast

import (
	"math/bits"
	"slices"
	"time"
)

// What the paper takes, section 4.2 (head, tail, margin) and section 5.2 (the
// least variation of the counts, of those that it tries the one that it stays
// with).
const (
	head         = .05
	tail         = .99
	margin       = .10
	leastVariety = 2.0

	// Fewer gaps say nothing (C31); the paper has "enough" and no number.
	leastGaps = 10

	// From this share of gaps beyond the histogram's reach, it is about the
	// exceptions.
	mostBeyond = .5

	// As many of the last long gaps have to agree before the next is thought to,
	// and within this share of their mean.
	longGaps   = 4
	longSpread = .05
)

// A Basis is what a Plan stands on.
type Basis string

// The bases.
const (
	Fixed Basis = "fixed"     // nothing is known: the function's idle_after
	Gaps  Basis = "histogram" // the gaps between its visits
	Long  Basis = "long gaps" // the last of them, beyond the histogram, are all the same
)

// A Plan says what is to be done with a function from the end of a visit on.
type Plan struct {
	Basis Basis
	// Keep is how long the function stays up after the end of a visit.
	Keep time.Duration
	// From and To are when, after the end of a visit, the next is expected, if
	// the function does not stay up until then: it is raised at From, and put
	// back at To if nobody has come. To is 0 if it is not to be raised.
	From, To time.Duration
}

// A Habit is what has been learned of one function's visits, and the policy of
// "Serverless in the Wild" over it. It is not safe for concurrent use.
type Habit struct {
	gaps Histogram
	stay time.Duration           // calls that are closer together belong to one visit
	long [longGaps]time.Duration // the last gaps beyond
	seen int                     // gaps beyond, ever
}

// NewHabit makes a Habit that looks at gaps up to a reach, from the shortest that
// counts.
func NewHabit(reach, least time.Duration) *Habit {
	return &Habit{gaps: NewHistogram(reach), stay: least}
}

// Learn counts a gap: how long nobody was inside before a visit.
func (h *Habit) Learn(gap time.Duration) {
	h.gaps.Add(gap)
	if gap >= h.gaps.width*buckets {
		h.long[h.seen%longGaps] = gap
		h.seen++
	}
}

// Plan says what to do after a visit. What is fixed holds as long as nothing is
// known; brief is how long an absence has to be to be worth it: a shorter one
// costs more than the instances that stay.
func (h *Habit) Plan(fixed, brief time.Duration) Plan {
	plan := Plan{Basis: Fixed, Keep: fixed}
	switch {
	case h.gaps.Len() < leastGaps && h.seen < longGaps:
		return plan
	case h.gaps.Beyond() >= mostBeyond:
		return h.planLong(plan, fixed, brief)
	case h.gaps.Len() < leastGaps || h.gaps.Variation() < leastVariety:
		return plan
	}
	from, _ := h.gaps.Percentile(head) // rounded down
	_, to := h.gaps.Percentile(tail)   // and up
	from = from - scale(from, margin)
	to = to + scale(to, margin)
	return h.within(Gaps, from, to, fixed, brief)
}

// planLong is for functions that are called more seldom than the histogram
// reaches. The paper fits an ARIMA model to their gaps. A handful of numbers
// does not carry one: what it finds are the timers, once a day or twice, and
// those are found without: their last gaps are all the same.
func (h *Habit) planLong(plan Plan, fixed, brief time.Duration) Plan {
	if h.seen < longGaps {
		return plan
	}
	least, most := slices.Min(h.long[:]), slices.Max(h.long[:])
	spread := most - least
	if spread > scale(least, longSpread) {
		return plan
	}
	around := max(spread, h.gaps.width)
	return h.within(Long, least-around, most+around, fixed, brief)
}

// within makes the plan to be up from one moment to another. What is put back
// meanwhile stays for as long as calls are thought to belong together.
func (h *Habit) within(b Basis, from, to, fixed, brief time.Duration) Plan {
	if from <= brief { // it may be called any moment: no reason to be stricter than without a pattern
		return Plan{Basis: b, Keep: max(to, fixed)}
	}
	return Plan{Basis: b, Keep: h.stay, From: from, To: to}
}

func scale(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }

// A Record remembers how the last predictions fared, and whether they are worth
// acting on: no longer when under 30 % of the last 50 came true (C31), and again
// when half of them do. What is predicted and not acted on is judged too, which
// is the way back. The zero value trusts.
type Record struct {
	last       uint64 // a bit each, the newest lowest
	n          int
	distrusted bool
}

const (
	judged   = 50
	distrust = .30
	trust    = .50
)

// Judge notes whether a prediction came true.
func (r *Record) Judge(hit bool) {
	r.last = r.last << 1 & (1<<judged - 1)
	if hit {
		r.last |= 1
	}
	r.n = min(r.n+1, judged)
	switch rate := r.Rate(); {
	case r.n < judged:
	case rate < distrust:
		r.distrusted = true
	case rate >= trust:
		r.distrusted = false
	}
}

// Rate is the share of the last predictions that came true; 1 if there were
// none.
func (r *Record) Rate() float64 {
	if r.n == 0 {
		return 1
	}
	return float64(bits.OnesCount64(r.last)) / float64(r.n)
}

// Trusted tells whether predictions are to be acted on.
func (r *Record) Trusted() bool { return !r.distrusted }
