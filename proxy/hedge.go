package proxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// A call whose endpoint takes longer than most do has a second try beside the first,
// at another endpoint. The first head of an answer counts; the connection of the other
// try is closed. The call's goroutine goes on waiting for its own try meanwhile; the
// second try has one of its own, for as long as there are two.
//
// Whoever sets hedge.first decides: a try that has its answer before the other, or,
// of the call's goroutine, that the call is over. Only then the other is canceled, so
// no cancel hits an answer that counts.

// A hedge is the second try.
type hedge struct {
	call *Call
	ep   *table.Endpoint
	x    message.Exchange // of its own; the request is the call's, and is only read
	down hedgeDown
	sent time.Duration // after the call's Started
	err  error

	ended chan struct{} // closed when the second try is over

	mu       sync.Mutex // guards all below
	first    side
	over     bool // the second try has ended; ended is about to be closed
	parked   bool // the call's goroutine waits for that on its client's connection
	canceled bool
	conn     message.Canceler // what ends the second try
	gen      uint64
}

// A side is whose answer counts.
type side uint8

const (
	nobodyYet side = iota
	theFirst
	theSecond
)

// lateCall is a Call as what is told that its try takes long.
type lateCall Call

// Trying notes what ends the call's own try.
func (l *lateCall) Trying(c message.Canceler, gen uint64) { l.trying, l.tryGen = c, gen }

// Late begins the second try. If the budget does not allow one it asks again when the
// call has taken twice as long, and so on: of calls that are late by the moment that
// is one in twenty, and the budget is for those that are late by far.
func (l *lateCall) Late() {
	c := (*Call)(l)
	now := c.at(c.since())
	c.lateness++
	if !c.startHedge(now) {
		c.LateAt = now.Add(now.Sub(c.Sent))
	}
}

// mayHedge tells whether the call may be at two endpoints at once: to do it twice is
// to do it once, there is no body to send twice, and it has not stood in line. A cookie
// means one endpoint.
func (c *Call) mayHedge() bool {
	r := &c.Request
	if r.Framing != message.NoBody || r.Upgrade != nil || c.held > 0 || c.hedged || c.kept {
		return false
	}
	switch string(r.Method) {
	case "GET", "HEAD", "OPTIONS":
		return true
	}
	return message.Get(r.Fields, message.IdempotencyKey) != nil
}

// watchForHedge has the coming try tell when it takes long, if a second one may follow
// then.
func (c *Call) watchForHedge() {
	if !c.mayHedge() {
		return
	}
	after := c.fn.HedgeAfter
	if after == 0 {
		slowest, known := c.fn.Slowest.Value()
		if !known {
			return
		}
		after = max(slowest, leastHedge)
	}
	c.Hedge, c.LateAt, c.lateness = (*lateCall)(c), c.Sent.Add(after), 0
}

// leastHedge is how long a call waits at least before its second try: what takes less
// is the machine's doing, not an endpoint's.
const leastHedge = time.Millisecond

// mayPay takes the second try out of the budget, if that allows it: the first time it
// is asked, if enough is left for those who ask again.
func (c *Call) mayPay(now moment.Moment) bool {
	switch {
	case c.lateness == 1:
		return c.fn.Hedges.SpendEarly(&c.fn.Calls, now)
	case c.lateness > 2 && c.fn.Hedges.Left(&c.fn.Calls, now) < 1:
		return false // it was told once
	}
	return c.fn.Hedges.Spend(&c.fn.Calls, now)
}

// startHedge begins a second try, if there is an endpoint for it and the budget
// allows. It returns false if only the budget does not.
func (c *Call) startHedge(now moment.Moment) bool {
	if !c.fn.Hold.Empty() || c.fn.Places != nil && !c.fn.Places.Take() {
		return true
	}
	ep, poor := c.pickOther(now), false
	if ep != nil && !c.mayPay(now) {
		ep.Link.Slots.GiveBack()
		ep, poor = nil, true
	}
	if ep == nil {
		if c.fn.Places != nil {
			c.fn.Places.GiveBack()
		}
		c.fn.Hold.Wake(1)
		return !poor
	}
	h := &hedge{call: c, ep: ep, x: c.Exchange, sent: now.Sub(c.began), ended: make(chan struct{})}
	h.down.init()
	h.x.Down, h.x.Up, h.x.Response = &h.down, nil, message.Response{}
	h.x.Sent, h.x.Hedge, h.x.LateAt = now, h, 0
	h.x.Deadline = c.whole
	if most := c.fn.Timeouts.PerTry; most > 0 && now.Add(most) < h.x.Deadline {
		h.x.Deadline = now.Add(most)
	}
	if c.budget > 0 {
		h.x.Request.Added = slices.Clone(c.Request.Added)
		h.x.Request.Added[c.budget-1].Value = strconv.AppendInt(nil, max(h.x.Deadline.Sub(now), 0).Milliseconds(), 10)
	}
	c.hedge, c.hedged = h, true
	go h.run()
	return true
}

// pickOther takes a slot at an endpoint that the call's own try is not at: of the
// same region, or where that has none of another that has a share.
func (c *Call) pickOther(now moment.Moment) *table.Endpoint {
	set := c.fn.Set()
	if set.Split == nil {
		return c.pickOtherOf(set, now)
	}
	if len(set.Split.Best) == 0 {
		return nil
	}
	here := table.After(set.Split.Best, c.ep.Region, 1)
	if ep := c.pickOtherOf(here.Set, now); ep != nil {
		return ep
	}
	for _, region := range set.Split.Best {
		if region != here {
			if ep := c.pickOtherOf(region.Set, now); ep != nil {
				return ep
			}
		}
	}
	return nil
}

func (c *Call) pickOtherOf(set *table.Set, now moment.Moment) *table.Endpoint {
	if len(set.Endpoints) == 0 {
		return nil
	}
	if set.Policy != table.RoundRobin { // whose turn is a first try's
		for range 3 {
			if ep := c.choose(set, rand.Uint64(), now); c.takeOther(ep, now) {
				return ep
			}
		}
	}
	first := rand.IntN(len(set.Endpoints))
	for i := range set.Endpoints {
		if ep := set.Endpoints[(first+i)%len(set.Endpoints)]; c.takeOther(ep, now) {
			return ep
		}
	}
	return nil
}

func (c *Call) takeOther(ep *table.Endpoint, now moment.Moment) bool {
	return ep.Link != c.ep.Link && !ep.Link.Doubted() && !c.hasTried(ep) && ep.Well(now) && ep.Link.Slots.Take()
}

// run is the second try's goroutine.
func (h *hedge) run() {
	defer h.end()
	defer func() {
		if bug := recover(); bug != nil {
			h.err = fmt.Errorf("%w: %v\n%s", errBug, bug, debug.Stack())
		}
	}()
	if h.err = h.ep.Conns.Try(&h.x); h.err != nil {
		return
	}
	if h.x.Response.Status < 500 && h.wins(theSecond) { // a failure is no answer to wait for
		h.call.trying.Cancel(h.call.tryGen)
		return
	}
	h.x.Up.Release()
}

// wins tells whether the answer of a side is the first.
func (h *hedge) wins(s side) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.first == nobodyYet {
		h.first = s
	}
	return h.first == s
}

func (h *hedge) end() {
	h.mu.Lock()
	h.over = true
	if h.parked {
		h.call.Down.Wake() // under the lock: not when the call has gone on to other things
	}
	h.mu.Unlock()
	close(h.ended)
}

// Trying notes what ends the second try.
func (h *hedge) Trying(c message.Canceler, gen uint64) {
	h.mu.Lock()
	h.conn, h.gen = c, gen
	canceled := h.canceled
	h.mu.Unlock()
	if canceled {
		c.Cancel(gen)
	}
}

// Late is nothing to it: there is no third try.
func (h *hedge) Late() {}

// cancel ends the second try, unless it has its answer.
func (h *hedge) cancel() {
	h.mu.Lock()
	h.canceled = true
	conn, gen := h.conn, h.gen
	h.mu.Unlock()
	h.down.leave()
	if conn != nil {
		conn.Cancel(gen)
	}
}

// joinHedge ends what the call has beside its own try, which came to err: it returns
// what the call has come to, with the endpoint whose answer that is as its own.
func (c *Call) joinHedge(err error) error {
	h := c.hedge
	if h == nil {
		return err
	}
	c.hedge = nil
	if err != nil && err != message.ErrClientGone { // it failed by itself: now the second is all there is
		err = c.awaitHedge(h, err)
	}
	if h.wins(theFirst) {
		h.cancel()
		<-h.ended
		if result := ResultOf(h.err); result != Answered {
			c.results[result]++
		} else {
			c.results[Canceled]++
		}
		c.leaveEndpoint(h.ep)
		c.fn.HedgeEnded(false)
		if errors.Is(h.err, errBug) {
			panic(h.err)
		}
		return err
	}
	<-h.ended // its cancel of the call's own try is over
	if c.Up != nil {
		c.Up.Release() // it came a moment later
		c.Up = nil
	}
	now := c.since()
	c.noteLatency(c.ep, now-c.sent, c.at(now), true) // it takes that long at least
	c.fn.Outran(c.ep, c.at(now))
	c.results[Canceled]++
	c.leaveEndpoint(c.ep)
	c.ep, c.last, c.hedgeWon = h.ep, h.ep, true
	c.sent, c.Sent, c.Reused = h.sent, h.x.Sent, h.x.Reused
	fields := append(c.Response.Fields[:0], h.x.Response.Fields...)
	c.Response, c.Up = h.x.Response, h.x.Up
	c.Response.Fields = fields
	c.Up.Adopt(&c.Exchange)
	c.fn.HedgeEnded(true)
	return nil
}

// dropHedge ends the second try of a call that has broken down, whatever it has come
// to.
func (c *Call) dropHedge() {
	h := c.hedge
	if h == nil {
		return
	}
	c.hedge = nil
	if h.wins(theFirst) {
		h.cancel()
		<-h.ended
	} else {
		<-h.ended
		h.x.Up.Release() // its answer is nobody's any more
	}
	c.leaveEndpoint(h.ep)
}

// awaitHedge waits until the second try is over, with an eye on the client.
func (c *Call) awaitHedge(h *hedge, failed error) error {
	for {
		h.mu.Lock()
		h.parked = !h.over
		over := h.over
		h.mu.Unlock()
		if over {
			return failed
		}
		err := c.Down.Wait(h.x.Deadline.Time())
		h.mu.Lock()
		h.parked = false
		h.mu.Unlock()
		switch err {
		case nil:
		case message.ErrClientGone:
			return err
		default:
			return failed
		}
	}
}

// leaveEndpoint gives the slot of a try back that does not count.
func (c *Call) leaveEndpoint(ep *table.Endpoint) {
	ep.Link.Slots.GiveBack()
	if c.fn.Places != nil {
		c.fn.Places.GiveBack()
	}
	c.fn.Hold.Wake(1)
}

// Hedged tells whether there was a second try beside one of the call's, and whether
// its answer was the first.
func (c *Call) Hedged() (hedged, won bool) { return c.hedged, c.hedgeWon }
