package proxy

import (
	"strings"

	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// act does what the route says besides leading the call to a function, or
// instead.
func (c *Call) act() error {
	r, a := &c.Request, &c.to.Action
	switch {
	case a.Respond != nil:
		c.ours = respond{c.to}
		return nil
	case a.Redirect != nil:
		if c.to.LeadsBack(r, c.scheme()) {
			return errLoop
		}
		c.ours = redirect{c.to}
		return nil
	case a.ChangesPath():
		start := len(r.Scratch)
		r.Scratch = a.AppendPath(r.Scratch, r.Path)
		r.NewPath = r.Scratch[start:]
	case c.to.RawPath && r.RawPath != nil:
		r.Path = r.RawPath
	}
	r.NewHost = a.Host
	r.Fields = a.Request.Apply(r.Fields)
	return nil
}

// scheme is by which the client came, as far as weir knows or believes.
func (c *Call) scheme() []byte {
	if proto := message.Get(c.Request.Added, message.XForwardedProto); proto != nil {
		return proto
	}
	return c.Client.Scheme
}

// A respond is the answer that stands in a route.
type respond struct{ to *table.Route }

func (r respond) give(c *Call) error {
	answer := r.to.Respond
	c.compose(answer.Status, c.write(func(b []byte) []byte { return append(b, answer.ContentType...) }))
	c.Response.Fields = r.to.Action.Response.Apply(c.Response.Fields)
	return c.deliver([]byte(answer.Body))
}

// A redirect sends the client to where its route says.
type redirect struct{ to *table.Route }

func (r redirect) give(c *Call) error {
	location := c.write(func(b []byte) []byte { return r.to.AppendLocation(b, &c.Request, c.scheme()) })
	c.compose(r.to.Redirect.Status, kindText)
	c.Response.Fields = append(c.Response.Fields[:0], message.Field{Name: nameLocation, Value: location}) // whether it may be kept is said by the status
	c.Response.Fields = r.to.Action.Response.Apply(c.Response.Fields)
	return c.deliver(nil)
}

// askItself has the endpoint of the present try asked for its own address.
func (c *Call) askItself() {
	c.Request.NewHost = nil
	if addr := c.ep.Addr; !strings.HasPrefix(addr, "unix:") {
		c.Request.NewHost = c.write(func(b []byte) []byte { return append(b, addr...) })
	}
}
