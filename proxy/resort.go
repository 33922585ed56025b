package proxy

import (
	"errors"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
	"github.com/weir-gateway/weir/shaping"
)

// The last resort of a call whose function could not answer: another function, or
// an answer that stands in the configuration. Unlike the fallback of a cold start
// (fallback.go) it comes after tries, so that what may have been carried out must
// not be sent again.

// A Visit is what became of a call at a function that it has left after tries.
type Visit struct {
	Function *table.Function
	Endpoint *table.Endpoint // of the last try
	Tries    int
	Results  [NumResults]uint16
}

// resortsTo tells whether the last resort l has a call that has come to end, or to
// an answer if that is nil.
func (c *Call) resortsTo(l *config.LastResort, end error) bool {
	if end == nil && c.Response.Status < 400 || c.from != nil {
		return false
	}
	reason := whyResort(end)
	if end != nil && reason == "" || !l.Has(reason, c.Response.Status) {
		return false
	}
	if l.Function == "" { // a client of gRPC reads no text: it is told what is wrong
		return grpcKind(message.Get(c.Request.Fields, message.ContentType)) == nil
	}
	return c.maySendElsewhere(end)
}

// whyResort names what a call has come to as the configuration does; empty for what
// no last resort is for.
func whyResort(end error) string {
	for _, reason := range resorts {
		if end != nil && errors.Is(end, reason.err) {
			return reason.name
		}
	}
	return ""
}

// resorts is looked through in this order.
var resorts = []struct {
	err  error
	name string
}{
	{shaping.ErrOpen, "circuit_open"},
	{errNoEndpoint, "no_endpoint"}, {errNeverSeen, "no_endpoint"}, {errUnwell, "no_endpoint"}, {errUnasked, "no_endpoint"}, {errDrained, "no_endpoint"},
	{coldstart.ErrNoStart, "start_failed"}, {coldstart.ErrMaxWait, "start_failed"},
	{shaping.ErrShed, "overloaded"}, {errQueueTime, "overloaded"}, {coldstart.ErrLineFull, "overloaded"}, {coldstart.ErrShare, "overloaded"}, {message.ErrBusy, "overloaded"},
	{errTryTime, "timeout"}, {errDeadline, "timeout"},
	{message.ErrConnectTimeout, "connect_failure"}, {message.ErrConnect, "connect_failure"}, {message.ErrCertificate, "connect_failure"}, {message.ErrTLS, "connect_failure"},
	{message.ErrTLSEnded, "reset"}, {message.ErrReset, "reset"}, {message.ErrProtocol, "reset"},
}

// maySendElsewhere tells whether another function may have the call: there is time
// left, its body can come again, and if an endpoint may have carried it out, its method
// is one of which twice is as good as once. An Idempotency-Key is no help: the other
// function does not know what the first has done under it.
func (c *Call) maySendElsewhere(end error) bool {
	switch {
	case c.reached && !c.idempotentMethod(), c.at(c.since()) >= c.Deadline:
		return false
	case end == nil:
		return c.keepsBody() // it comes again when the answer is given up
	}
	return c.bodyAgain()
}

// resort gives the call to its last resort.
func (p *Proxy) resort(c *Call, end error) error {
	l := c.to.Fallback
	c.from, c.resorted = c.fn, whyResort(end)
	if end == nil { // the endpoint's answer is given up
		c.resorted = "status"
		c.release()
		c.answer = 0
		if l.Function != "" && !c.bodyAgain() {
			return errBodyGone
		}
	}
	if l.Function == "" {
		c.failed, c.gaveUp = c.since(), end
		c.ours = static{l.Status, l.Body}
		return nil
	}
	if c.tries > 0 {
		c.before = &Visit{c.fn, c.last, c.tries, c.results}
		c.tries, c.stales, c.returned, c.notTaken, c.results = 0, 0, 0, 0, [NumResults]uint16{}
		c.tried, c.last, c.stale, c.kept = [maxTried]*table.Endpoint{}, nil, nil, false
	}
	c.err = nil
	return p.enter(c, l.Function)
}

// addResort tells the client that the answer is not the function's, and why.
func (c *Call) addResort(added []message.Field) []message.Field {
	return append(added, message.Field{Name: nameFallback, Value: c.write(func(b []byte) []byte { return append(b, c.resorted...) })})
}

var nameFallback = []byte("X-Weir-Fallback")

// Before is what became of the call at the function that it left after tries; nil if
// it did not.
func (c *Call) Before() *Visit { return c.before }

// Resorted tells why the call went to its last resort; empty if it did not.
func (c *Call) Resorted() string { return c.resorted }
