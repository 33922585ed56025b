package proxy

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
	"github.com/weir-gateway/weir/shaping"
)

// forward makes one try on the endpoint's own connections, and remembers how
// the endpoint fared.
func (p *Proxy) forward(c *Call) error {
	c.sent = c.since()
	c.Sent = c.at(c.sent)
	if c.recording != nil {
		c.beginTry()
	}
	err := c.try()
	ended := c.since() // once: a look at the clock is 25 ns
	now := c.at(ended)
	result := ResultOf(err)
	if !c.away && (c.fn.CircuitBreaker != nil || c.fn.OutlierDetection != nil) {
		c.judge(err, result, now)
	}
	c.results[result]++
	if c.Dialed > 0 {
		c.fn.Dialed(c.ep, c.Dialed)
	}
	if c.recording != nil {
		c.noteTry(err)
	}
	isRouter := err == nil && c.away && c.handedTo()
	switch {
	case c.away && err != nil && faultOf(err).again == beforeSent:
		c.notTaken++
	case c.returnable: // neither had it
	case err == nil || c.hedged || faultOf(err).again != beforeSent:
		c.reached = true
	}
	if err == nil {
		if c.away && !isRouter {
			p.log.Warn("a router does not know of calls that are handed over; is it an address of its listeners, and the same weir?",
				"router", c.ep.Addr, "function", c.fn.Name)
			c.ep.Doubt()
		}
		c.answer = ended
		c.noteLatency(c.ep, c.answer-c.sent, now, c.Response.Status < 500 && !c.away) // there it may have been held
		if c.LateAt != 0 && c.lateness == 0 && now < c.LateAt {
			c.ep.Outrun.Won()
		}
		if c.ep.Outlier.Fared() {
			c.fn.Shaken()
		}
		if c.ep.Link.Slots.Answered(c.answer - c.sent) {
			c.fn.Hold.Wake(1)
		}
		if c.leads {
			c.fn.Start.Answered(c.answer - c.sent)
		}
		c.tried[c.tries%maxTried] = c.ep
		c.tries++
		return nil
	}
	c.tried[c.tries%maxTried] = c.ep
	switch {
	case c.metStale(err): // an endpoint may close what it does not use: that says little of its next connection
		c.tried[c.tries%maxTried] = nil
		c.stale = c.ep
		c.stales++
		if c.away {
			c.askedHolders-- // the same one, on another connection
		}
	case c.away && result == ConnectFailed:
		c.ep.Doubt()
	case c.away:
	case c.fn.Start != nil && isRefused(err): // it is connected to until it listens, or the start has taken too long
		c.tried[c.tries%maxTried] = nil
		c.ep.Link.Slots.Failed()
		c.ep.Link.Doubt()
	case result == ConnectFailed || result == Reset:
		c.fn.Broke(c.ep, now)
	}
	c.tries++
	if result != TimedOut {
		return err
	}
	c.noteLatency(c.ep, ended-c.sent, now, !c.away)
	if c.fn.Timeouts.PerTry > 0 && !c.away && now < c.Deadline {
		return errTryTime
	}
	return errDeadline
}

// isRefused tells whether nobody listens at an endpoint. Anything else that
// keeps weir from connecting may be weir's own affair, as too few descriptors.
func isRefused(err error) bool {
	return errors.Is(err, message.ErrConnect) && (errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOENT))
}

// try sends the call to the endpoint it has a slot on. One try may have less time
// than the whole call.
func (c *Call) try() error {
	whole, afterBody := c.Deadline, c.AfterBody
	if most := c.fn.Timeouts.PerTry; most > 0 && !c.away { // there it may be held
		if soon := c.Sent.Add(most); soon < whole {
			c.Deadline = soon
		}
		c.AfterBody = min(afterBody, most)
	}
	if c.fn.Deadline.Propagate {
		c.tellBudget()
	}
	if c.to.OwnHost && !c.away {
		c.askItself()
	}
	if c.fn.Hedging != nil && !c.away {
		c.whole = whole
		c.watchForHedge()
	}
	err := c.ep.Conns.Try(&c.Exchange)
	if c.Hedge != nil {
		c.Hedge = nil
		err = c.joinHedge(err)
	}
	c.Deadline, c.AfterBody = whole, afterBody
	return err
}

// noteLatency notes how long an endpoint took, where something goes by that. A failure
// may be fast because it is one.
func (c *Call) noteLatency(ep *table.Endpoint, took time.Duration, now moment.Moment, well bool) {
	if well && c.fn.Adaptive != nil {
		c.fn.Answered(took, now)
	}
	if well && c.fn.HedgeShare > 0 {
		c.fn.Slowest.Note(took, c.fn.HedgeShare)
	}
	if c.fn.LoadBalancing.Policy == "peak_ewma" {
		ep.Latency.Note(took, now)
	}
}

// judge notes what the try, which ended now, says of the function and of the endpoint.
func (c *Call) judge(err error, result Result, now moment.Moment) {
	switch {
	case err == nil && c.Response.Status < 500:
		c.outcome = shaping.Good
	case c.metStale(err) || result == Canceled || result == Busy:
		return
	case result == TimedOut && c.own && now > c.Deadline:
		return // the caller was impatient: that is no fault of the endpoint's
	default:
		c.outcome = shaping.Bad
	}
	if c.fn.OutlierDetection != nil {
		c.fn.Fared(c.ep, c.outcome == shaping.Good, now)
	}
}

func (c *Call) enterBreaker() (err error) {
	c.outcome = shaping.SaysNothing
	c.trial, err = c.fn.Breaker.Enter()
	return err
}

func (c *Call) leaveBreaker() {
	now := c.now()
	if c.outcome == shaping.Bad {
		now = c.at(c.since()) // it may have taken long to be
	}
	c.fn.Breaker.Ended(c.trial, c.outcome, now)
}
