package consul

import (
	"sync"
	"time"
)

const (
	// A change is followed by a rest before the next query, so that a service that
	// flaps does not take the agent for itself. It is short while little changes,
	// and grows with what does: 10 ms for each four changes a second of the whole
	// datacenter. One service that flaps ten times a second is told of within 50 ms.
	restLeast     = 25 * time.Millisecond
	restMost      = time.Second
	restForChange = 2500 * time.Microsecond
)

// A pace says how long a query rests after a change.
type pace struct {
	mu     sync.Mutex // guards all below
	since  time.Time  // when the second began that is counted
	now    int        // changes in it
	before int        // in the one before
}

// rest notes a change and returns how long to rest after it, jitter aside.
func (p *pace) rest(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if seconds := now.Sub(p.since) / time.Second; seconds > 0 {
		p.before, p.now = p.now, 0
		if seconds > 1 { // nothing has changed for that long
			p.before = 0
		}
		p.since = now
	}
	p.now++
	return min(max(time.Duration(max(p.now, p.before))*restForChange, restLeast), restMost)
}
