package table

import (
	"cmp"
	"slices"
)

// mostTurns bounds a round.
const mostTurns = 1 << 16

// roundOf puts endpoints in the order of a round in which each is as often as its
// weight says, as evenly as can be: at 80 and 20, eight of any ten are the first.
// The n-th turn of an endpoint is due at (n + 1/2) / weight of the round. (The
// turns of a split are exacter, and take a round times its functions to make.)
func roundOf(endpoints []*Endpoint) []uint32 {
	divisor, sum := 0, 0
	for _, ep := range endpoints {
		divisor = gcd(divisor, ep.Pull())
		sum += ep.Pull()
	}
	scale := 1.0
	if sum/max(divisor, 1) > mostTurns {
		scale = float64(mostTurns) * float64(divisor) / float64(sum)
	}
	type turn struct {
		due   float64
		index uint32
	}
	var round []turn
	for i, ep := range endpoints {
		n := max(1, int(float64(ep.Pull()/divisor)*scale))
		for k := range n {
			round = append(round, turn{(float64(k) + 0.5) / float64(n), uint32(i)}) //nolint:gosec // an index
		}
	}
	slices.SortStableFunc(round, func(a, b turn) int { return cmp.Compare(a.due, b.due) })
	order := make([]uint32, len(round))
	for i, t := range round {
		order[i] = t.index
	}
	return order
}
