package coldstart

import (
	"slices"
	"time"
)

// usual remembers how long the last starts of a function took, and tells what
// is to be expected of the next one. Twenty are enough for a p90 and few enough
// to follow a new release.
//
// Decision, 2026-11-26: the design had an EWMA of the p90. But a start is rare, there
// is no p90 of one, and a mean that forgets slowly is what a new release must not have:
// after twenty starts nothing of the old one is left, and two slow ones of twenty show
// at once.
type usual struct {
	took [20]time.Duration
	n    int // starts so far
}

func (u *usual) add(d time.Duration) {
	u.took[u.n%len(u.took)] = d
	u.n++
}

// quantile of the remembered starts, the higher of two between which it lies; 0 if
// there is none.
func (u *usual) quantile(q float64) time.Duration {
	n := min(u.n, len(u.took))
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(u.took[:n]))
	return sorted[min(int(q*float64(n)), n-1)]
}

// The bounds of an adaptive wait. Under 10 s somebody who could have been
// served is turned away for nothing; over 60 s nobody waits.
const (
	leastWait = 10 * time.Second
	mostWait  = 60 * time.Second
)

// patience is how long it makes sense to be held: 3.5 times the p90, which is
// what Cloud Run has found to be worth it, and the most while nothing is known.
func (u *usual) patience() time.Duration {
	if u.n == 0 {
		return mostWait
	}
	return min(max(u.quantile(.9)*7/2, leastWait), mostWait)
}
