package proxy

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// What follows a try: the end, or another one. This is the only place that
// decides on that.

// maxTries bounds how often one call is tried where nothing else does.
const maxTries = 3

var (
	// errTryTime: a try ran into timeouts.per_try; the call may have time left.
	errTryTime  = errors.New("the endpoint did not answer in the time of one try")
	errBodyGone = fmt.Errorf("%w: the request's body cannot come again", errBug)
)

// again decides whether the call is tried once more after a try that came to
// err, or to an answer if that is nil, and waits before as long as it has to. If
// it is not, end is what the call has come to.
func (p *Proxy) again(c *Call, err error) (again bool, end error) {
	r := c.fn.Retry
	switch {
	case err == nil && c.returnable:
		return c.comeBack()
	case err == nil && (r == nil || c.Response.Status < 400 || c.away): // away: the holder has tried again
		return false, nil
	case r == nil || c.metStale(err) || c.fn.Start != nil && err != nil && faultOf(err).again == beforeSent:
		c.err = err
		return c.atOnce(err), err
	case !c.mayRepeat(err):
		return false, err
	}
	wait := r.Wait(c.tries - c.stales)
	if err == nil {
		wait = max(wait, c.askedToWait())
	}
	now := c.at(c.since())
	if now.Add(wait) >= c.Deadline || !c.fn.Budget.Spend(&c.fn.Calls, now) {
		return false, err
	}
	if err == nil {
		c.release() // its answer is given up
		c.answer = 0
	}
	c.err = err
	if !c.bodyAgain() {
		if err == nil {
			err = errBodyGone
		}
		return false, err
	}
	c.widenChoice()
	if wait > 0 {
		end = c.pause(now.Add(wait))
	}
	return end == nil, end
}

// atOnce decides where there are no rules of the operator's: tries follow one
// another as long as that is safe and there is somewhere to go.
func (c *Call) atOnce(err error) bool {
	switch faultOf(err).again {
	case beforeSent:
		// Where instances come and go, a refused connection is news of one
		// that went: the call goes back to its place in line.
		if c.fn.Start == nil {
			return c.tries < maxTries && c.bodyAgain()
		}
		if c.heldBy != nil { // each router is asked once
			return c.bodyAgain()
		}
		c.returned++
		return c.returned <= maxReturns && c.bodyAgain()
	case unanswered:
		return c.tries < maxTries && c.idempotent() && c.bodyAgain()
	}
	return false
}

// mayRepeat tells whether the operator's rules, and safety, allow another try
// after one that came to err, or to an answer if that is nil.
func (c *Call) mayRepeat(err error) bool {
	r := c.fn.Retry
	switch {
	case c.tries-c.stales > r.Attempts:
		return false
	case err == nil:
		return r.Status(c.Response.Status) && c.idempotent() && c.keepsBody()
	case err == errTryTime:
		return r.Status(504) && c.idempotent()
	}
	switch faultOf(err).again {
	case beforeSent:
		return r.ConnectFailure
	case unanswered:
		return r.Reset && c.idempotent()
	}
	return false
}

// metStale tells whether the try failed on a connection that the endpoint had
// kept: that says nothing of the endpoint, and is no try by the operator's rules.
func (c *Call) metStale(err error) bool {
	if !c.Reused || err == nil {
		return false
	}
	result := ResultOf(err)
	return result == ConnectFailed || result == Reset
}

// keptBody is the longest body that is sure to be had again once an endpoint has
// read it: less than what a connection's buffer holds.
const keptBody = 16 << 10

// keepsBody tells, before the answer is given up, whether the request's body can
// come again.
func (c *Call) keepsBody() bool {
	return !c.BodyTouched || c.Request.Framing == message.Sized && c.Request.Length <= keptBody
}

// bodyAgain tells whether the next try has the whole of the request's body.
func (c *Call) bodyAgain() bool { return !c.BodyTouched || c.Down.Rewind() }

// idempotent tells whether sending the call twice does what once does, RFC
// 9110 section 9.2.2, or the client says so.
func (c *Call) idempotent() bool {
	return c.idempotentMethod() || message.Get(c.Request.Fields, message.IdempotencyKey) != nil
}

func (c *Call) idempotentMethod() bool {
	switch string(c.Request.Method) {
	case "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE":
		return true
	}
	return false
}

// widenChoice lets the call go where it was before if it was everywhere, the
// last endpoint aside if there is another.
func (c *Call) widenChoice() {
	set := c.fn.Set()
	if !c.triedAll(set) {
		return
	}
	c.tried = [maxTried]*table.Endpoint{}
	if len(set.Callable()) > 1 {
		c.tried[0] = c.last
	}
}

// askedToWait is what the endpoint's answer says in Retry-After, RFC 9110 section
// 10.2.3; 0 if it says nothing that can be read.
func (c *Call) askedToWait() time.Duration {
	value := message.Get(c.Response.Fields, message.RetryAfter)
	if seconds, ok := readDigits(value, 9); ok {
		return time.Duration(seconds) * time.Second
	}
	at, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", string(value))
	if err != nil {
		return 0
	}
	return max(time.Until(at), 0)
}

// pause waits, without a slot, until a moment or until the client leaves.
func (c *Call) pause(until moment.Moment) error {
	for {
		err := c.Down.Wait(until.Time())
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
	}
}
