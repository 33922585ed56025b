package proxy

import (
	"errors"
	"math/rand/v2"
	"os"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/table"
	"github.com/weir-gateway/weir/shaping"
	"github.com/weir-gateway/weir/shaping/geo"
)

var (
	// errNoRoom: no endpoint yet, or all full; stand in line.
	errNoRoom = errors.New("no endpoint with a free slot")
	// errQueueTime: the function's limit kept the call waiting too long.
	errQueueTime = errors.New("waited for as long as concurrency.queue_timeout allows")
)

// lookAgain is how soon a call that stands in line after a failed try looks
// again without being woken: its endpoint may be back without news of it.
const lookAgain = 100 * time.Millisecond

// maxReturns is how often an instance may not take a call that then goes back to
// its place in line. One that refuses leaves the set until it listens (Link.Doubt);
// for one that cannot be reached the call looks again after 0.1, 0.4 and 1.6 s. A
// platform that says for longer that an instance is ready which is not has a fault
// to tell.
const maxReturns = 3

// take finds the call an endpoint and a slot on it, standing in the function's
// line if there is no room.
func (p *Proxy) take(c *Call) error {
	c.heldBy = nil                            // unless it goes to another router now
	if c.fn.Hold.Empty() || c.isElsewhere() { // nobody waits for what it would take: being new is no advantage
		if err := c.pick(); err != errNoRoom {
			return err
		}
	}
	return c.wait()
}

// wait holds the call until there is a slot for it. Its body stays on the wire
// meanwhile.
func (c *Call) wait() (err error) {
	began := c.since()
	now := c.Started.Add(began)
	if c.hopeless(now) {
		c.fn.Start.Need() // the next one may be in time
		return errTooLate
	}
	until, passed := c.patience(now)
	cold := c.fn.Start != nil && c.fn.Start.Status().State != "warm" // before Join, which may change it
	claim := coldstart.Claim{Now: now, Until: until, Priority: c.priority(), Bytes: c.Down.Memory()}
	claim.Again = c.tries > c.notTaken || c.tries > 0 && c.held > 0 // who was refused by another router only is new here
	if c.table != nil && c.table.TenantHeader.Name != nil {
		key := c.tenantKey()
		claim.Tenant, claim.Weight = coldstart.Tenant(key), c.table.TenantWeights[key]
	}
	limited := !cold && c.atLimit()
	if limited {
		claim.Limit = c.fn.Concurrency.MaxPending
		if queued := now.Add(c.fn.Concurrency.QueueTimeout); queued.Before(until) {
			claim.Until = queued
		}
		if claim.Limit == 0 && !claim.Again {
			return shaping.ErrShed
		}
	}
	if err := c.fn.Hold.Join(&c.waiter, c.Down, claim); err != nil {
		if limited && (errors.Is(err, coldstart.ErrLineFull) || err == coldstart.ErrShare) {
			err = shaping.ErrShed
		}
		return err
	}
	c.cold = c.cold || cold
	if cold && c.takesPage() {
		if soon := now.Add(c.to.WhileCold.WaitingPage.After); soon.Before(until) {
			until, passed = soon, errWaiting
		}
	}
	if fb := c.fallback(); fb != nil {
		if soon := now.Add(fb.After); soon.Before(until) {
			until, passed = soon, errFallback
		}
	}
	err = errBug
	defer func() { // also when it panics: a place in line that nobody leaves stops all behind it
		if err == nil { // with a slot or without, whoever leaves lets the next in line look
			c.waiter.Go()
		} else {
			c.waiter.Leave()
		}
		ended := c.since()
		c.held += ended - began
		if c.recording != nil {
			c.noteWait(began, ended, err)
		}
	}()
	err = c.stand(until, passed)
	if limited && errors.Is(err, coldstart.ErrLineFull) {
		err = shaping.ErrShed
	}
	if err == nil && c.cold && c.spill == nil && !c.away {
		c.leads = c.fn.Start.Released()
	}
	return err
}

// patience is how long the call may still be held, and what it is told after
// that.
func (c *Call) patience(now time.Time) (until time.Time, passed error) {
	until, passed = c.Deadline.Time(), errDeadline
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

// atLimit tells whether it is the limit of calls in flight that keeps the call
// waiting, by the rules that go with it, and not a lack of instances, which a start
// may mend.
func (c *Call) atLimit() bool {
	switch {
	case c.fn.Places == nil:
		return false
	case c.fn.Places.Free() == 0:
		return true
	}
	return c.fn.Concurrency.MaxPending > 0 && (c.fn.Start == nil || c.fn.Set().Free() != 0)
}

func (c *Call) stand(until time.Time, passed error) error {
	look := c.waiter.Turn()
	c.joined = c.joined || c.cold && !look // the first in line causes the start
	queued := until                        // when the limit has kept it waiting long enough
	if c.fn.Concurrency.MaxPending > 0 && !c.cold {
		queued = time.Now().Add(c.fn.Concurrency.QueueTimeout)
	}
	for {
		if look {
			if err := c.pick(); err != errNoRoom {
				return err
			}
		}
		wake := until
		if queued.Before(wake) {
			wake = queued
		}
		if soon := time.Now().Add(lookAgain << (2 * max(c.returned-1, 0))); (c.tries > 0 || c.mayGo()) && soon.Before(wake) {
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
		case wake == queued:
			if c.atLimit() {
				return errQueueTime
			}
			queued = queued.Add(c.fn.Concurrency.QueueTimeout)
			look = false
		default:
			c.tried = [maxTried]*table.Endpoint{} // it may be well again
			c.fn.Hold.Wake(1)                     // whoever goes next looks; if this is not it, it is told
			look = c.waiter.Turn()
		}
	}
}

// pick takes a place inside the function's limit, if it has one, and a slot at an
// endpoint. It tells why there is none: errNoRoom, or that there is nothing to wait
// for.
func (c *Call) pick() error {
	if c.fn.Places == nil {
		return c.pickEndpoint()
	}
	if !c.fn.Places.Take() {
		return errNoRoom
	}
	err := c.pickEndpoint()
	if err != nil {
		c.fn.Places.GiveBack()
		if !c.waiter.First() { // who is may have looked meanwhile, and found no place
			c.fn.Hold.Wake(1)
		}
	}
	return err
}

// pickEndpoint takes a slot at the endpoint that the function's policy prefers, or
// at any other that has one.
func (c *Call) pickEndpoint() error {
	set := c.fn.Set()
	if c.toldHolder != 0 {
		c.tellHolder("")
	}
	if err := c.nobody(set); err != nil {
		if err == errNoRoom && c.handOver(c.now()) {
			return nil
		}
		return err
	}
	r, now := rand.Uint64(), c.now()
	if set.Split != nil && set.Split.Spilling {
		r = c.fate()
	}
	if c.fn.StickyCookie != nil {
		ep := c.sticky(set)
		c.kept = ep != nil && c.takeSlot(ep, now, choosy)
		if c.kept {
			return nil
		}
	}
	here, others, least := set, []*table.Region(nil), choosy
	if set.Split != nil {
		var room [8]*table.Region
		var region *table.Region
		var panics bool
		region, others, panics = c.regions(set.Split, r, room[:0])
		here = region.Set
		if c.spills(set.Split, region, r) {
			return c.overflow(set.Split, region, r, now)
		}
		if panics && c.tries == 0 {
			least = needy
		}
	}
	zone := here
	if here.Zones != nil && least == choosy {
		zone = c.zone(here.Zones, r)
	}
	if c.takeSlot(c.choose(zone, r, now), now, least) {
		return nil
	}
	for need := choosy; need <= desperate; need++ {
		if zone != here && c.takeAny(zone, r, now, need) || c.takeAny(here, r, now, need) {
			return nil
		}
		for _, other := range others {
			if other.Set != here && c.takeAny(other.Set, r, now, need) {
				return nil
			}
		}
	}
	if c.fn.Start == nil && c.triedAll(set) {
		return errNoneLeft
	}
	return errNoRoom
}

// takeAny takes a slot at any endpoint of a set, from a random one on.
func (c *Call) takeAny(set *table.Set, r uint64, now moment.Moment, need int) bool {
	for i := range set.Endpoints {
		if c.takeSlot(set.Endpoints[(int(r>>33)+i)%len(set.Endpoints)], now, need) {
			return true
		}
	}
	return false
}

// regions are where the call would rather go, and all that may be asked, in their
// order: by their shares, or by their distance from the client; for a key of
// consistent hashing always the same while they stay; after a try that failed there,
// at first to another endpoint of the same region. panics is that for calls from
// there health is ignored.
func (c *Call) regions(split *table.Split, r uint64, room []*table.Region) (here *table.Region, all []*table.Region, panics bool) {
	all, panics = split.Best, split.Panic
	near := false
	if split.Nearest {
		var at geo.Point
		if at, near = c.place(); near {
			all, panics = split.ByDistance(at, room), split.PanicNear
		}
	}
	if c.tries > 0 && c.last != nil {
		return table.After(all, c.last.Region, c.tries), all, panics
	}
	if c.fn.LoadBalancing.Policy == "consistent_hash" {
		if key, ok := c.fn.HashKey(&c.Request, c.Client.Text); ok {
			r = key
		}
	}
	if near {
		return table.DrawNear(all, r), all, panics
	}
	return split.DrawFor(r), all, panics
}

// nobody tells why there is nobody that the call could be for; nil if there is.
func (c *Call) nobody(set *table.Set) error {
	void := table.NoVoid
	switch {
	case set.Split != nil:
		void = set.Split.Void
	case len(set.Endpoints) == 0:
		void = table.Cold
	}
	switch {
	case void == table.NoVoid:
		return nil
	case void == table.Drained:
		return errDrained
	case void == table.Unasked:
		return errUnasked
	case void == table.Unwell:
		return errUnwell
	case c.fn.Start != nil:
		return errNoRoom
	case c.fn.Seen():
		return errNoEndpoint
	}
	return errNeverSeen
}

// How badly a call needs an endpoint.
const (
	choosy    = iota // it takes none that fares badly
	needy            // better an ejected or unhealthy one than none
	desperate        // even that whose stale connection it has just met
)

func (c *Call) takeSlot(ep *table.Endpoint, now moment.Moment, need int) bool {
	if ep.Link.Doubted() || c.hasTried(ep) || need < needy && !ep.Well(now) || need < desperate && c.isStale(ep) || !ep.Link.Slots.Take() {
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
	return a.Link.Slots.InFlight()*b.Pull() < b.Link.Slots.InFlight()*a.Pull()
}

func (c *Call) hasTried(ep *table.Endpoint) bool {
	for _, t := range c.tried[:min(c.tries, maxTried)] {
		if t != nil && t.Link == ep.Link {
			return true
		}
	}
	return false
}

func (c *Call) triedAll(set *table.Set) bool {
	for _, ep := range set.Callable() {
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
	if c.spill != nil {
		c.spill.GiveBack()
		c.spill = nil
	}
	if c.away {
		c.away = false
		c.fn.HandedBack()
	}
	if c.fn.Places != nil {
		c.fn.Places.GiveBack()
	}
	c.fn.Hold.Wake(1)
}
