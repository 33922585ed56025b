package table

import "github.com/weir-gateway/weir/coldstart"

// A Verdict is what a follower's waiting has come to.
type Verdict uint8

// The verdicts.
const (
	Follows Verdict = iota // and waits
	Given                  // it has a copy of the answer
	Leads                  // it is the one that others wait for now
	Alone                  // it is to go by itself
	Ended                  // weir is ending
)

// A Follower is a call that waits for another's answer. The zero value waits for
// nothing, and is ready for Join; it belongs to the call's goroutine.
type Follower struct {
	flight     *Flight
	parker     coldstart.Parker
	prev, next *Follower
	verdict    Verdict
	answer     *Answer
}

// Verdict is what waiting has come to.
func (w *Follower) Verdict() Verdict {
	f := w.flight.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	return w.verdict
}

// Answer is what a follower is answered with.
func (w *Follower) Answer() *Answer { return w.answer }

// Flying tells whether the caller owes a Leave.
func (w *Follower) Flying() bool { return w.flight != nil }

// Leave ends the waiting, or the reading of the answer. Nobody wakes the follower
// after it.
func (w *Follower) Leave() {
	fl := w.flight
	f := fl.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	switch w.verdict {
	case Follows:
		fl.removeLocked(w)
	case Leads: // and does not want to
		fl.handOverLocked()
	case Given:
		w.answer.readers--
		w.answer.releaseLocked(f)
	}
	*w = Follower{}
}

// Lead is Leave for a follower that leads now.
func (w *Follower) Lead() Lead {
	l := Lead{flights: w.flight.flights, flight: w.flight}
	*w = Follower{}
	return l
}
