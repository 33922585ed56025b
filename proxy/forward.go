package proxy

import (
	"github.com/weir-gateway/weir/proxy/message"
)

// forward makes one try on the endpoint's own connections, and remembers how
// the endpoint fared.
func (p *Proxy) forward(c *Call) error {
	c.sent = c.since()
	c.Sent = c.Started.Add(c.sent)
	if c.fn.Deadline.Propagate {
		c.tellBudget()
	}
	err := c.ep.Conns.Try(&c.Exchange)
	result := resultOf(err)
	c.results[result]++
	if err == nil {
		c.answer = c.since()
		c.ep.Outlier.Fared()
		if c.ep.Link.Slots.Answered() {
			c.fn.Hold.Wake(1)
		}
		c.tries++
		return nil
	}
	c.tried[c.tries%maxTries] = c.ep
	switch {
	case result != ConnectFailed && result != Reset:
	case c.Reused: // an endpoint may close what it does not use: that says little of its next connection
		c.tried[c.tries%maxTries] = nil
		c.stale = c.ep
	default:
		c.ep.Outlier.Failed(c.Started.Add(c.since()))
		c.ep.Link.Slots.Failed()
	}
	c.tries++
	if result == TimedOut {
		return errDeadline
	}
	return err
}

// again decides whether the call may be tried once more after err.
func (p *Proxy) again(c *Call, err error) bool {
	switch faultOf(err).again {
	case beforeSent:
		// Where instances come and go, a refused connection is news of one
		// that went: the call goes back to its place in line.
		if c.fn.Start == nil {
			return c.tries < maxTries && c.bodyAgain()
		}
		c.returned++
		return c.returned <= maxReturns && c.bodyAgain()
	case unanswered:
		return c.tries < maxTries && c.idempotent() && c.bodyAgain()
	}
	return false
}

// bodyAgain tells whether the next try has the whole of the request's body.
func (c *Call) bodyAgain() bool { return !c.BodyTouched || c.Down.Rewind() }

// idempotent tells whether sending the call twice does what once does, RFC
// 9110 section 9.2.2, or the client says so.
func (c *Call) idempotent() bool {
	switch string(c.Request.Method) {
	case "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE":
		return true
	}
	return message.Get(c.Request.Fields, message.IdempotencyKey) != nil
}
