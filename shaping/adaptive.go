package shaping

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
)

// An Adaptive finds out how many calls a function serves at once before they only
// wait for each other: the knee, below which more calls mean more answers and above
// which they mean slower ones. Its limit rises as long as answers come as fast as
// with fewer calls, and falls by as much as they come slower ("gradient": Netflix,
// concurrency-limits, 2018; Envoy, adaptive concurrency).
//
// Its measure of a fast answer is never much older than probeEvery: now and then the
// limit goes down for a while, and what answers take then is the measure; so it is
// when fewer calls turn out not to be answered faster. A function that becomes slower
// by itself is not choked for it, and one that is always overloaded is not taken for
// a slow one.
//
// Its methods may be called from any goroutine.
type Adaptive struct {
	// The window that is counted now. An answer that comes when it ends may be
	// counted in either.
	enough atomic.Int64  // answers that end it
	came   atomic.Uint64 // answers, and in the lower logBits log2 of the nanoseconds of all, in 1/logUnit
	most   atomic.Int64  // calls in flight
	began  atomic.Int64  // a moment.Moment

	mu sync.Mutex // guards steering; only tried, at the end of a window
	steering
}

// steering is the arithmetic: from window to window.
type steering struct {
	least, greatest float64

	limit   float64
	phase   phase
	fast    float64 // log2 of the nanoseconds that an answer takes without others
	aside   float64 // the limit while it is lowered to measure
	lately  float64 // what answers took in the last windows
	from    height  // where the limit began to fall
	fallen  int     // windows since then
	windows int     // since fast was measured
	since   time.Duration
	soon    bool // measure again soon
	late    int  // windows in a row, of the rise, with answers that were slower
}

type phase uint8

const (
	unknown phase = iota
	rising        // fast: nothing has slowed answers yet
	steady
	falling // the limit was lowered to measure; calls from before are answered
	probing // what comes now counts
)

// A height is a limit and what answers took under it.
type height struct{ limit, took float64 }

const (
	logUnit = 1 << 16
	logBits = 44 // a million answers of three centuries
	// mostAnswers end a window, whatever the limit: a count that wraps would end none.
	mostAnswers = 1 << 19

	// A window has so many answers at least, and twice as many as the limit, so that
	// most of them began in it; four times that if what an answer takes is measured.
	// The mean of 200 is within 9 % where they differ as much as they do at random.
	windowAnswers = 200
	firstAnswers  = 100 // while the limit rises fast: a slow function would take minutes
	shortWindow   = 50 * time.Millisecond

	// tolerance is how much slower than fast answers may be without the limit being
	// lowered; by as much it comes to lie over the knee. What is faster raises it by
	// the same rule: if it did not, what answers differ by at random would only ever
	// lower it.
	tolerance = 1.08
	room      = 0.5 // and so many calls more: a tenth of a small limit is none
	mostFall  = 0.5 // of the limit, to which a window may lower it
	mostRise  = 1.3
	smooth    = 0.5 // of what a window says is done
	firstRise = 1.5 // while nothing has slowed answers yet,
	slower    = 0.3 // that is, by so much as log2

	probeEvery   = 10 * time.Second
	probeWindows = 40 // and at least so many windows: the limit is lowered for five
	soonWindows  = 8  // if the last measure was far below the one before: it may go on
	// probeAt is the share of the limit under which is measured: below the knee when
	// the limit is as far above it as tolerance lets it be.
	probeAt = 0.75
	// saved is what part of what fewer calls could be faster by they must be, if they
	// had only waited for each other.
	saved       = 0.4
	sureWindows = 6 // that it takes to be sure of a little
)

// NewAdaptive makes one whose limit lies between least and greatest.
func NewAdaptive(first, least, greatest int) *Adaptive {
	a := &Adaptive{steering: steering{least: float64(least), greatest: float64(greatest)}}
	a.limit = a.bound(float64(first))
	a.enough.Store(a.answersFor())
	return a
}

// Limit is how many calls may be in flight.
func (a *Adaptive) Limit() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int(a.limit)
}

// SetBounds changes between which numbers the limit lies.
func (a *Adaptive) SetBounds(least, greatest int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.least, a.greatest = float64(least), float64(greatest)
	a.limit = a.bound(a.limit)
}

// Note takes in an answer that took d and came at the moment now, while so many calls
// were in flight. changed tells whether the limit is another one from now on.
func (a *Adaptive) Note(d time.Duration, inFlight int, now moment.Moment) (limit int, changed bool) {
	came := a.came.Add(1<<logBits + uint64(log2(max(d, 1))*logUnit))
	for most := a.most.Load(); int64(inFlight) > most && !a.most.CompareAndSwap(most, int64(inFlight)); {
		most = a.most.Load()
	}
	if int64(came>>logBits) < a.enough.Load() { //nolint:gosec // 20 bits
		return 0, false
	}
	return a.end(int64(now))
}

// log2 is math.Log2 of nanoseconds, up to 1e-4, five times as fast: the exponent is
// there, and a polynomial (through five points of Chebyshev's) has the rest.
func log2(d time.Duration) float64 {
	bits := math.Float64bits(float64(d))
	exponent := float64(int(bits>>52) - 1023) //nolint:gosec // 11 bits
	f := math.Float64frombits(bits&(1<<52-1)|1023<<52) - 1
	return exponent + f*(1.44260389+f*(-0.71671466+f*(0.44059903+f*(-0.22510303+f*0.05866494))))
}

// end ends the window, if another call does not do that just now.
func (a *Adaptive) end(at int64) (limit int, changed bool) {
	if at-a.began.Load() < int64(shortWindow) || !a.mu.TryLock() {
		return 0, false
	}
	defer a.mu.Unlock()
	if int64(a.came.Load()>>logBits) < a.enough.Load() { //nolint:gosec // 20 bits
		return 0, false // it has just ended
	}
	came := a.came.Swap(0)
	took := float64(came&(1<<logBits-1)) / logUnit / float64(came>>logBits)
	length := time.Duration(at - a.began.Swap(at))
	before := int(a.limit)
	a.turn(took, float64(a.most.Swap(0)), length)
	a.enough.Store(a.answersFor())
	return int(a.limit), int(a.limit) != before
}

// answersFor is how many answers end the next window.
func (s *steering) answersFor() int64 {
	twice := min(int64(2*s.limit), mostAnswers/4)
	switch s.phase {
	case unknown, rising:
		return max(firstAnswers, twice)
	case probing:
		return 4 * max(windowAnswers, twice)
	}
	return max(windowAnswers, twice)
}

func (s *steering) bound(limit float64) float64 { return min(max(limit, s.least), s.greatest) }

// turn decides at the end of a window of that length, in which answers took so long
// (log2 of nanoseconds) and at most so many calls were in flight.
func (s *steering) turn(took, most float64, length time.Duration) {
	switch s.phase {
	case unknown:
		s.fast, s.phase = took, rising
	case rising:
		switch {
		case took < s.fast+slower:
			s.fast += (took - s.fast) / 4
			s.late = 0
			if most > s.limit*probeAt {
				s.limit = s.bound(s.limit * firstRise)
			}
		case s.late < 1:
			s.late++
		default:
			fast := s.fast
			s.measured(took)
			s.fast, s.soon = fast, true
		}
	case falling:
		s.phase = probing
	case probing:
		s.limit = s.aside
		soon := took < s.fast-slower/4
		s.measured(took)
		s.soon = soon
	case steady:
		s.steer(took, most)
		s.windows++
		s.since += length
		due := s.windows >= probeWindows && s.since >= probeEvery || s.soon && s.windows >= soonWindows
		if due && most > s.limit*probeAt {
			s.aside, s.limit, s.phase = s.limit, s.bound(s.limit*probeAt), falling
		}
	}
}

// measured says what an answer takes without others.
func (s *steering) measured(took float64) {
	s.fast, s.lately, s.phase, s.windows, s.since, s.soon = took, took, steady, 0, 0, false
	s.from, s.fallen = height{s.limit, took}, 0
}

// steer moves the limit by what a window says.
func (s *steering) steer(took, most float64) {
	if most < s.limit/2 { // the limit has nothing to do with how fast they were
		s.fast += (took - s.fast) / 8
		return
	}
	gradient := min(max(tolerance*math.Exp2(s.fast-took), mostFall), mostRise)
	s.limit = s.bound(s.limit + smooth*(s.limit*(gradient-1)+room))
	s.lately += (took - s.lately) / 4
	if s.lately < s.fast-slower/2 { // it has become faster
		s.fast = s.lately
	}
	s.doubt(took)
}

// doubt looks, once the limit has fallen, whether fewer calls are answered any faster.
// If they are not, they had not waited for each other: that is what an answer takes.
func (s *steering) doubt(took float64) {
	if s.fallen++; s.limit >= s.from.limit {
		s.from, s.fallen = height{s.limit, s.lately}, 0
		return
	}
	if s.fallen >= sureWindows {
		took = s.lately
	}
	if least := s.from.limit * probeAt; s.limit > least || s.limit > least*probeAt && s.fallen < sureWindows {
		return
	}
	if s.from.took-took < saved*math.Log2(s.from.limit/s.limit) {
		s.measured(took)
		s.phase, s.late = rising, 0 // and it may be far below the knee
	} else {
		s.from, s.fallen = height{s.limit, took}, 0
	}
}
