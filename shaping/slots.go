package shaping

import "sync/atomic"

// Slots are the rights to have a call in flight at one endpoint. The zero
// value has no limit. All methods may be called from any goroutine.
type Slots struct {
	limit atomic.Int64 // 0: none
	used  atomic.Int64 // closed while negative
}

// closed is what used falls to when the slots close: so far down that no
// number of takers lifts it above zero.
const closed = -1 << 40

// SetLimit changes how many calls may be in flight; 0 is no limit. Calls in
// flight stay.
func (s *Slots) SetLimit(n int) { s.limit.Store(int64(n)) }

// Take takes a slot, if one is free.
func (s *Slots) Take() bool {
	for {
		used, limit := s.used.Load(), s.limit.Load()
		if used < 0 || limit > 0 && used >= limit {
			return false
		}
		if s.used.CompareAndSwap(used, used+1) {
			return true
		}
	}
}

// GiveBack frees a slot that was taken.
func (s *Slots) GiveBack() {
	if s.used.Add(-1) < 0 {
		panic("BUG: a slot was given back twice")
	}
}

// InFlight tells how many slots are taken.
func (s *Slots) InFlight() int { return int(max(s.used.Load(), 0)) }

// Free tells how many more calls could be taken now; -1 is without limit.
func (s *Slots) Free() int {
	used, limit := s.used.Load(), s.limit.Load()
	switch {
	case used < 0:
		return 0
	case limit == 0:
		return -1
	}
	return int(max(limit-used, 0))
}

// Close lets nobody take a slot any more, if none is taken now. Otherwise it
// changes nothing and returns false. This is what makes it safe to stop an
// instance: either the call is there first, or it finds the slots closed.
func (s *Slots) Close() bool {
	return s.used.CompareAndSwap(0, closed) || s.used.Load() < 0
}

// Open takes Close back.
func (s *Slots) Open() { s.used.CompareAndSwap(closed, 0) }
