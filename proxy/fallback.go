package proxy

import (
	"errors"
	"math"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// errFallback: the call has been held for its own function for long enough.
var errFallback = errors.New("the call was held for as long as its fallback allows")

var coldFallback = message.Field{Name: message.Name(message.XWeirCold), Value: []byte("fallback")}

// fallback is what has the call if its own function does not; nil if nothing, or
// it has it already.
func (c *Call) fallback() *config.Fallback {
	if c.to == nil || c.to.WhileCold == nil || c.from != nil || c.tries > c.notTaken {
		return nil
	}
	return c.to.WhileCold.Fallback
}

// fallsBack tells whether a call that has come to err goes to its fallback: it
// was held for long enough, or there was no sense in it. It has not been at an
// endpoint yet, and all of its body is still to come.
func (c *Call) fallsBack(err error) bool {
	if c.fallback() == nil {
		return false
	}
	for _, reason := range []error{errFallback, coldstart.ErrMaxWait, coldstart.ErrNoStart, coldstart.ErrLineFull, coldstart.ErrShare} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

// fallBack gives the call to the fallback: another function, which it enters as
// if it had been meant, or an answer that stands in the configuration. The start
// that it was held for goes on.
func (p *Proxy) fallBack(c *Call) error {
	fb := c.fallback()
	c.from, c.coldAs = c.fn, &coldFallback
	if fb.Function == "" {
		c.ours = static{fb.Status, fb.Body}
		return nil
	}
	return p.enter(c, fb.Function)
}

// enter gives the call to another function.
func (p *Proxy) enter(c *Call, function string) error {
	next := c.table.Functions[function]
	if next == nil { // the table does without it, and says why in refused
		return errNoEndpoint
	}
	c.leave(moment.Now())
	c.waited, c.held, c.cold = c.held, 0, false
	c.limits = nil // of a function that has it no more
	c.askedHolders = 0
	c.leads = false // the other function's start, if it has one at all, is not the one it led
	c.fn, c.Trailers, c.Idle = next, next.Trailers, next.Timeouts.StreamIdle
	return p.admit(c)
}

// follow gives a call that waits to what its function has become, in a newer table. It
// has been let in once, and is not counted again.
func (p *Proxy) follow(c *Call) error {
	next := p.keeper.Table().Functions[c.fn.Name]
	if next == nil {
		return coldstart.ErrGone
	}
	counted := c.headcount != nil
	c.leave(moment.Now())
	c.fn, c.waiter, c.leads = next, coldstart.Waiter{}, false
	if counted { // it has been let in, and is one of them all the same
		c.headcount, _ = c.fn.Crowd.Enter(c.crowd, math.MaxInt)
	}
	if len(next.RateLimit) == 0 {
		c.limits = nil
	}
	c.fn.Gate.Enter(c.began)
	c.inside = true
	return nil
}

// leave takes the call out of its function's gate.
func (c *Call) leave(now moment.Moment) {
	c.leaveCrowd()
	if !c.inside {
		return
	}
	c.inside = false
	if c.unseen {
		c.fn.Gate.LeaveUnseen()
	} else {
		c.fn.Gate.Leave(now)
	}
}

// FellBack tells from which function the call went to its fallback, and how long
// it had been held for it; nil if it did not.
func (c *Call) FellBack() (from *table.Function, held time.Duration) {
	if c.from == c.fn { // and was answered at once
		return c.from, c.held
	}
	return c.from, c.waited
}
