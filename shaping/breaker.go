package shaping

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
)

// ErrOpen: the function has failed too often, and is left alone for a while.
var ErrOpen = errors.New("the circuit of the function is open")

// The states of a Breaker, as metrics show them.
const (
	Closed   = 0
	HalfOpen = 1 // some calls try it out
	Open     = 2
)

// A Breaker turns the tries of a function away for a while after it has failed
// too often. The zero value lets everything pass. All methods may be called from
// any goroutine.
//
// What happens once it has tripped is gobreaker's; while it is closed, gobreaker
// would take a lock for every call, so that is counted here: to come in costs an
// atomic load, to have fared well another two and an add.
type Breaker struct {
	state atomic.Int32
	rules atomic.Pointer[rules] // nil: none

	inARow        atomic.Int64 // failures
	tries, failed window
	until         atomic.Int64 // when it last opened, the end of that; a moment.Moment
	trips         atomic.Int64
	told          atomic.Pointer[func(to int, cause string)]
}

// rules are the settings that a Breaker obeys, with the machine they belong to.
type rules struct {
	config.CircuitBreaker
	machine *gobreaker.TwoStepCircuitBreaker[struct{}]
}

// errFailed and errExcluded are what the machine is told of a try.
var (
	errFailed   = errors.New("failed")
	errExcluded = errors.New("says nothing")
)

// Tell registers who is told of every change of state and its cause. told must
// not block.
func (b *Breaker) Tell(told func(to int, cause string)) { b.told.Store(&told) }

// Configure sets the rules; nil is none. A Breaker whose rules change is closed.
func (b *Breaker) Configure(c *config.CircuitBreaker) {
	was := b.rules.Load()
	switch {
	case c == nil && was == nil, c != nil && was != nil && was.CircuitBreaker == *c:
		return
	case c == nil:
		b.rules.Store(nil)
		b.become(Closed, "it has no rules any more")
		return
	}
	b.forget()
	next := &rules{CircuitBreaker: *c}
	next.machine = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: uint32(c.HalfOpenRequests), //nolint:gosec // a small number, checked
		Timeout:     c.OpenFor,
		ReadyToTrip: func(gobreaker.Counts) bool { return true }, // it is told of failures when they are enough
		IsExcluded:  func(err error) bool { return errors.Is(err, errExcluded) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if b.rules.Load() == next { // else it is another's machine by now
				b.follow(to, c.OpenFor)
			}
		},
	})
	b.rules.Store(next)
	b.become(Closed, "it has new rules")
}

// follow takes over what the machine has come to.
func (b *Breaker) follow(to gobreaker.State, openFor time.Duration) {
	switch to {
	case gobreaker.StateOpen:
		cause := "too many failures"
		if b.State() == HalfOpen {
			cause = "a call that tried it out failed"
		}
		b.until.Store(int64(moment.Now().Add(openFor)))
		b.trips.Add(1)
		b.become(Open, cause)
	case gobreaker.StateHalfOpen:
		b.become(HalfOpen, "its time is over")
	default:
		b.forget()
		b.become(Closed, "the calls that tried it out went well")
	}
}

func (b *Breaker) become(to int, cause string) {
	if was := b.state.Swap(int32(to)); int(was) == to { //nolint:gosec // 0 to 2
		return
	}
	if told := b.told.Load(); told != nil {
		(*told)(to, cause)
	}
}

// forget begins to count anew.
func (b *Breaker) forget() {
	b.inARow.Store(0)
	b.tries.clear()
	b.failed.clear()
}

// A Trial is a try that decides whether the circuit closes; the zero value is
// one that does not. It is ended once.
type Trial struct{ done func(err error) }

// Enter lets a try in, or returns ErrOpen. What comes back is owed an Ended.
func (b *Breaker) Enter() (Trial, error) {
	if b.state.Load() == Closed {
		return Trial{}, nil
	}
	r := b.rules.Load()
	if r == nil {
		return Trial{}, nil
	}
	done, err := r.machine.Allow()
	if err != nil {
		return Trial{}, ErrOpen
	}
	if b.state.Load() == Closed { // it has closed meanwhile: a try like any other
		done(errExcluded)
		return Trial{}, nil
	}
	return Trial{done}, nil
}

// An Outcome is what a try says of the function.
type Outcome uint8

// The outcomes.
const (
	SaysNothing Outcome = iota // the client left, or it never came to an endpoint
	Good
	Bad
)

// Ended says how a try that was let in came out, at the moment now.
func (b *Breaker) Ended(t Trial, how Outcome, now moment.Moment) {
	r := b.rules.Load()
	switch {
	case t.done != nil:
		t.done([...]error{SaysNothing: errExcluded, Good: nil, Bad: errFailed}[how])
	case r == nil || how == SaysNothing || b.state.Load() != Closed: // what was on its way before
	case how == Good:
		if b.inARow.Load() != 0 {
			b.inARow.Store(0)
		}
		if r.FailureRatio > 0 {
			b.tries.count(now)
		}
	default:
		b.fail(r, now)
	}
}

// fail counts a failure, and opens if that was one too many.
func (b *Breaker) fail(r *rules, now moment.Moment) {
	inARow := b.inARow.Add(1)
	b.tries.count(now)
	b.failed.count(now)
	tries := b.tries.sum(now)
	if r.ConsecutiveFailures > 0 && inARow >= int64(r.ConsecutiveFailures) ||
		r.FailureRatio > 0 && tries >= int64(r.MinRequests) && float64(b.failed.sum(now)) >= r.FailureRatio*float64(tries) {
		if done, err := r.machine.Allow(); err == nil {
			done(errFailed)
		}
	}
}

// State tells whether it is Closed, HalfOpen or Open.
func (b *Breaker) State() int { return int(b.state.Load()) }

// Left is how long it stays open from the moment now on; 0 if it is not open.
func (b *Breaker) Left(now moment.Moment) time.Duration {
	if b.State() != Open {
		return 0
	}
	return max(moment.Moment(b.until.Load()).Sub(now), 0)
}

// Trips is how often it has opened.
func (b *Breaker) Trips() int { return int(b.trips.Load()) }
