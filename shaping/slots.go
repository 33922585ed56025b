package shaping

import (
	"errors"
	"sync/atomic"
	"time"
)

// ErrShed: as many calls of the function as may be in flight already are.
var ErrShed = errors.New("too many calls of the function are in flight")

// Slots are the rights to have a call in flight: at one endpoint, or on all of a
// function's together, where they are called places. The zero value has no limit.
// All methods may be called from any goroutine.
type Slots struct {
	limit atomic.Int64 // 0: none; negative: a window, which opens with time
	used  atomic.Int64 // closed while negative

	// While there is a window: how many answers there were, what the first ones took
	// together in nanoseconds, and whether the last one was slow.
	answers, first atomic.Int64
	slow           atomic.Bool
}

// A window lets an endpoint that has just come, and that nobody has set a limit
// to, get warm: 8 calls at once at first, one more for every answer, which is
// twice as many for each round, and no limit from 256 on. An error halves it, and
// an answer that takes twice as long as the first eight did does not widen it:
// more calls at once only wait for each other. A thousand held calls thrown at an
// instance in its first millisecond are what other gateways' 502s are made of.
const (
	firstWindow = 8
	lastWindow  = 256
	slowAnswer  = 2
)

// closed is what used falls to when the slots close: so far down that no
// number of takers lifts it above zero.
const closed = -1 << 40

// SetLimit changes how many calls may be in flight; 0 is no limit. Calls in
// flight stay.
func (s *Slots) SetLimit(n int) {
	for {
		limit := s.limit.Load()
		if n == 0 && limit < 0 || s.limit.CompareAndSwap(limit, int64(n)) {
			return // a window stays one
		}
	}
}

// StartSlowly puts a window in the place of no limit.
func (s *Slots) StartSlowly() { s.limit.CompareAndSwap(0, -firstWindow) }

// Opening tells whether there is a window. It costs one atomic load.
func (s *Slots) Opening() bool { return s.limit.Load() < 0 }

// Answered widens the window by one, if there is one and the answer was not slow. It
// tells whether one more call may go than before; then one may be woken.
func (s *Slots) Answered(took time.Duration) bool {
	return s.Opening() && !s.slowed(took) && s.resize(func(window int64) int64 { return window + 1 })
}

// slowed takes in how long an answer took, and tells whether that was long beside the
// first ones.
func (s *Slots) slowed(took time.Duration) bool {
	if s.answers.Add(1) <= firstWindow {
		s.first.Add(int64(took))
		return false
	}
	slow := int64(took) > slowAnswer*s.first.Load()/firstWindow
	s.slow.Store(slow)
	return slow
}

// Failed halves the window, if there is one.
func (s *Slots) Failed() {
	if s.Opening() {
		s.resize(func(window int64) int64 { return max(window/2, 1) })
	}
}

// Widen doubles the window, if there is one: time has passed. An endpoint that takes
// long for each answer is not kept at eight calls for that. Where answers have become
// slow it only forgets what they took before: by that they may go on twice as slow. So
// a window is never a limit for good that nobody has set; that is what an Adaptive is
// for.
func (s *Slots) Widen() bool {
	if !s.Opening() {
		return false
	}
	if s.slow.Swap(false) {
		s.answers.Store(0)
		s.first.Store(0)
		return false
	}
	return s.resize(func(window int64) int64 { return 2 * window })
}

func (s *Slots) resize(next func(window int64) int64) bool {
	for {
		limit := s.limit.Load()
		if limit >= 0 {
			return false
		}
		to := -next(-limit)
		if to <= -lastWindow {
			to = 0 // open for good
		}
		if s.limit.CompareAndSwap(limit, to) {
			return to == 0 || to < limit
		}
	}
}

// bound is how many calls a limit means.
func bound(limit int64) int64 { return max(limit, -limit) }

// Take takes a slot, if one is free.
func (s *Slots) Take() bool {
	for {
		used, limit := s.used.Load(), bound(s.limit.Load())
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

// Limit tells how many calls may be in flight; 0 is no limit.
func (s *Slots) Limit() int { return int(bound(s.limit.Load())) }

// InFlight tells how many slots are taken.
func (s *Slots) InFlight() int { return int(max(s.used.Load(), 0)) }

// Free tells how many more calls could be taken now; -1 is without limit.
func (s *Slots) Free() int {
	used, limit := s.used.Load(), bound(s.limit.Load())
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
