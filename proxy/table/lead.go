package table

import (
	"sync/atomic"

	"github.com/weir-gateway/weir/config"
)

// A Lead is a call that others may follow. The zero value is none; it belongs to the
// call's goroutine, and must not be copied before it is Known.
//
// A call that nobody follows, as most are, takes no lock for that it might be: it stands
// alone in the spot of its question, where it comes by one atomic step and leaves by
// another. Whoever finds it there makes a Flight of it, under the lock.
type Lead struct {
	flights  *Flights // nil: it leads nobody
	spot     *spot    // where it came to stand alone; nil: nowhere
	flight   *Flight  // guarded by the lock of flights, if it has a spot
	question *Question
	to       *Route
	settings *config.Collapse
}

// Leads tells whether it is one.
func (l *Lead) Leads() bool { return l.flights != nil }

// standAlone has the call stand in its spot, if nobody does.
func (l *Lead) standAlone() bool {
	all := l.flights.spots.Load()
	if all == nil || l.flights.careful.Load() {
		return false
	}
	spot := all.of(l.question.hash)
	if !spot.lead.CompareAndSwap(nil, l) {
		return false
	}
	l.spot = spot
	return true
}

// Known is the flight that others know the call by. With nil it stood alone, and is no
// Lead any more.
func (l *Lead) Known() *Flight {
	f, spot := l.flights, l.spot
	l.flights, l.spot = nil, nil
	if spot == nil {
		return l.flight
	}
	if spot.lead.CompareAndSwap(l, nil) {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return l.flight
}

// spots are 4 KiB of each function that has them. Two questions that share one meet under
// the lock, and that is all.
type spots [256]spot

// A spot is that of the questions whose hashes end alike.
type spot struct {
	lead atomic.Pointer[Lead] // who stands there; occupied: nobody may; nil: nobody does
	open int                  // flights that have the spot, guarded by the lock
}

var occupied = new(Lead)

func (p *spots) of(q question) *spot { return &p[q%question(len(p))] }

// alone is how many calls stand in the spots.
func (p *spots) alone() (n int) {
	if p == nil {
		return 0
	}
	for i := range p {
		if lead := p[i].lead.Load(); lead != nil && lead != occupied {
			n++
		}
	}
	return n
}

// occupyLocked lets nobody stand in the spot of a question until it is released, and
// makes a flight of who does.
func (f *Flights) occupyLocked(q question) *spot {
	all := f.spots.Load()
	if all == nil {
		all = new(spots)
		f.spots.Store(all)
	}
	spot := all.of(q)
	for {
		lead := spot.lead.Load()
		if lead == occupied {
			return spot
		}
		if !spot.lead.CompareAndSwap(lead, occupied) {
			continue // it has just come, or gone
		}
		if lead != nil {
			lead.flight = f.openLocked(lead, f.textLocked(lead.question))
		}
		return spot
	}
}

// releaseLocked lets calls stand in the spot again, if no flight has it.
func (p *spot) releaseLocked() {
	if p.open == 0 {
		p.lead.CompareAndSwap(occupied, nil)
	}
}
