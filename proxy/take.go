package proxy

import (
	"errors"
	"math/rand/v2"
	"os"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/proxy/table"
)

// errNoRoom: no endpoint yet, or all full; stand in line.
var errNoRoom = errors.New("no endpoint with a free slot")

// lookAgain is how soon a call that stands in line after a failed try looks
// again without being woken: its endpoint may be back without news of it.
const lookAgain = 100 * time.Millisecond

// maxReturns is how often an endpoint may refuse a call that then goes back to
// its place in line; it looks again after 0.1, 0.4 and 1.6 s. A platform that
// says for longer that an instance is ready which is not has a fault to tell.
const maxReturns = 3

// take finds the call an endpoint and a slot on it, standing in the function's
// line if there is no room.
func (p *Proxy) take(c *Call) error {
	if c.fn.Hold.Empty() { // nobody waits: being new is no advantage
		if err := c.pick(); err != errNoRoom {
			return err
		}
	}
	return c.wait()
}

// wait holds the call until there is a slot for it. Its body stays on the wire
// meanwhile.
func (c *Call) wait() error {
	began := c.since()
	now := c.Started.Add(began)
	if c.hopeless(now) {
		c.fn.Start.Need() // the next one may be in time
		return errTooLate
	}
	until, passed := c.patience(now)
	cold := c.fn.Start != nil && c.fn.Start.Status().State != "warm" // before Join, which may change it
	claim := coldstart.Claim{Now: now, Priority: c.priority(), Bytes: c.Down.Memory(), Again: c.tries > 0}
	if err := c.fn.Hold.Join(&c.waiter, c.Down, claim); err != nil {
		return err
	}
	c.cold = c.cold || cold
	defer func() { // also when it panics: a place in line that nobody leaves stops all behind it
		c.waiter.Leave() // with a slot or without, whoever leaves lets the next in line look
		c.held += c.since() - began
	}()
	err := c.stand(until, passed)
	if err == nil && c.cold {
		c.fn.Start.Released()
	}
	return err
}

// patience is how long the call may still be held, and what it is told after
// that.
func (c *Call) patience(now time.Time) (until time.Time, passed error) {
	until, passed = c.Deadline, errDeadline
	most := c.fn.ColdStart.MaxWait
	if most == 0 && c.fn.Start != nil {
		most = c.fn.Start.Status().Patience
	}
	limited := most > 0
	if seconds, said := preferredWait(c.Request.Fields); said {
		c.prefers = 1 + seconds
		if preferred := time.Duration(seconds) * time.Second; !limited || preferred < most {
			most, limited = preferred, true
		}
	}
	if limited && now.Add(most-c.held).Before(until) {
		until, passed = now.Add(most-c.held), coldstart.ErrMaxWait
	}
	return until, passed
}

func (c *Call) stand(until time.Time, passed error) error {
	look := c.waiter.Turn()
	c.joined = c.joined || c.cold && !look // the first in line causes the start
	for {
		if look {
			if err := c.pick(); err != errNoRoom {
				return err
			}
		}
		wake := until
		if soon := time.Now().Add(lookAgain << (2 * max(c.returned-1, 0))); c.tries > 0 && soon.Before(until) {
			wake = soon
		}
		err := c.waiter.Wait(wake)
		switch {
		case err == nil:
			look = c.waiter.Turn()
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err // the verdict on the start, or the client left
		case wake == until:
			return passed
		default:
			c.tried = [maxTries]*table.Endpoint{} // it may be well again
			look = c.waiter.First()               // those behind find out when they are let look
		}
	}
}

// pick takes a slot at the better of two endpoints drawn at random, or at any
// other that has one. It tells why it found none: errNoRoom, or that there is
// nothing to wait for.
func (c *Call) pick() error {
	set := c.fn.Set()
	if len(set.Endpoints) == 0 {
		return c.nobody()
	}
	r := rand.Uint64()
	ep := set.Draw(r >> 32)
	if len(set.Endpoints) > 1 {
		// Two random choices: Mitzenmacher, "The Power of Two Choices in
		// Randomized Load Balancing", 2001.
		if other := set.Draw(r & 0xffffffff); lessBusy(other, ep) {
			ep = other
		}
	}
	now := c.now()
	if c.takeSlot(ep, now, false) {
		return nil
	}
	for _, desperate := range []bool{false, true} { // better an ejected endpoint than none
		for i := range set.Endpoints {
			ep := set.Endpoints[(int(r>>33)+i)%len(set.Endpoints)]
			if c.takeSlot(ep, now, desperate) {
				return nil
			}
		}
	}
	if c.fn.Start == nil && c.triedAll(set) {
		return errNoneLeft
	}
	return errNoRoom
}

// nobody tells what an empty set means for the call.
func (c *Call) nobody() error {
	switch {
	case c.fn.Start != nil:
		return errNoRoom
	case c.fn.Seen():
		return errNoEndpoint
	}
	return errNeverSeen
}

func (c *Call) takeSlot(ep *table.Endpoint, now time.Time, desperate bool) bool {
	if c.hasTried(ep) || !desperate && (ep.Outlier.Ejected(now) || c.isStale(ep)) || !ep.Link.Slots.Take() {
		return false
	}
	c.ep, c.last = ep, ep // from here on, giveBack owes a slot
	return true
}

// isStale tells whether the call has met a connection of the endpoint's that had
// been closed. A process that was killed leaves many of them.
func (c *Call) isStale(ep *table.Endpoint) bool { return c.stale != nil && c.stale.Link == ep.Link }

// lessBusy compares calls in flight by weight.
func lessBusy(a, b *table.Endpoint) bool {
	return a.Link.Slots.InFlight()*b.Weight < b.Link.Slots.InFlight()*a.Weight
}

func (c *Call) hasTried(ep *table.Endpoint) bool {
	for _, t := range c.tried[:min(c.tries, maxTries)] {
		if t != nil && t.Link == ep.Link {
			return true
		}
	}
	return false
}

func (c *Call) triedAll(set *table.Set) bool {
	for _, ep := range set.Endpoints {
		if !c.hasTried(ep) {
			return false
		}
	}
	return true
}

// giveBack frees the call's slot, if it has one, and lets the next in line
// look for it.
func (c *Call) giveBack() {
	ep := c.ep
	if ep == nil {
		return
	}
	c.ep = nil // first: whatever breaks, it is given back once
	ep.Link.Slots.GiveBack()
	c.fn.Hold.Wake(1)
}
