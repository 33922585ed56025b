package coldstart

import "slices"

// How many: over all functions. Starts cost this node processor, memory and
// disk, and a platform its patience; a hundred functions that are called at
// once are all served sooner if they do not start at once.

// maxAhead is how many instances may be on their way that nobody waits for:
// min_scale, schedules, predictions, chains. So they never keep a caller
// waiting. At a limit under 8 it is half the limit.
const maxAhead = 4

// A rank says whose start goes first.
type rank int

const (
	demanded rank = iota // somebody waits
	ahead                // somebody may come
	numRanks
)

// starts shares out the right to have instances on their way. It belongs to
// the Activator's goroutine.
type starts struct {
	limit   int // 0: none
	under   [numRanks]int
	waiting [numRanks][]*Activation
}

// free tells how many more of a rank may go on their way.
func (s *starts) free(r rank) int {
	if s.limit == 0 {
		if r == ahead {
			return max(maxAhead-s.under[ahead], 0)
		}
		return 1 << 30
	}
	n := s.limit - s.under[demanded] - s.under[ahead]
	if r == ahead {
		most := min(maxAhead, max(s.limit/2, 1))
		n = min(n, most-s.under[ahead])
	}
	return max(n, 0)
}

// grant tells how many of n further instances c may ask for now. If that is
// not all of them, c is asked to grow when there is room again.
func (s *starts) grant(c *Activation, n int) int {
	got := min(n, s.free(c.rank))
	if c.rank == ahead && len(s.waiting[demanded]) > 0 {
		got = 0
	}
	if got < n && !slices.Contains(s.waiting[c.rank], c) {
		s.waiting[c.rank] = append(s.waiting[c.rank], c)
	}
	return got
}

// hold counts n of c's instances as on their way, and lets others go if there
// is room now.
func (s *starts) hold(c *Activation, n int) {
	freed := n < c.underWay
	s.under[c.rank] += n - c.underWay
	c.underWay = n
	if freed {
		s.next()
	}
}

// next lets those who wait grow while there is room.
func (s *starts) next() {
	for r := range numRanks {
		for len(s.waiting[r]) > 0 && s.free(r) > 0 {
			c := s.waiting[r][0]
			s.waiting[r] = s.waiting[r][1:]
			if c.state == starting || c.state == warm {
				c.grow()
			}
		}
		if len(s.waiting[r]) > 0 {
			return // and who stands behind them waits too
		}
		s.waiting[r] = nil
	}
}

// raise makes c's start one that somebody waits for.
func (s *starts) raise(c *Activation) {
	if c.rank == demanded {
		return
	}
	s.under[ahead] -= c.underWay
	s.under[demanded] += c.underWay
	c.rank = demanded
	if i := slices.Index(s.waiting[ahead], c); i >= 0 {
		s.waiting[ahead] = slices.Delete(s.waiting[ahead], i, i+1)
		s.waiting[demanded] = append(s.waiting[demanded], c)
	}
	s.next() // c has left room among those ahead, or may go itself
}

// forget takes c out of every line.
func (s *starts) forget(c *Activation) {
	for r := range s.waiting {
		if i := slices.Index(s.waiting[r], c); i >= 0 {
			s.waiting[r] = slices.Delete(s.waiting[r], i, i+1)
		}
	}
	s.hold(c, 0)
}
