package proxy

import (
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// What a route may find wrong with an encoded slash.
var (
	errSlash     = message.Refuse(message.KindBad, "the path has an encoded slash, which its route refuses")
	errSlashDots = message.Refuse(message.KindBad, "the path has a dot segment beside an encoded slash")
	errSlashLost = message.Refuse(message.KindBad, "the path would be another route's if its encoded slash were one")
)

// route finds the function that the call is for, and settles the form in which
// its path goes on: what matched is what is forwarded, unless the route asks
// for what the client wrote.
func (c *Call) route() error {
	r := &c.Request
	to := c.table.Match(r.Host, r.Path)
	if r.Slashes {
		var err error
		if to, err = c.readSlashes(to); err != nil {
			return err
		}
	}
	if to == nil {
		return errNoRoute
	}
	c.fn, c.to = to.Function, to
	if !to.Access.Allows(c.Client.Addr) {
		return errForbidden
	}
	if to.RawPath && r.RawPath != nil {
		r.Path = r.RawPath
	}
	if len(c.fn.Trailers) > 0 {
		c.allowTrailers()
	}
	return nil
}

// readSlashes does with encoded slashes what the route says. Where it keeps
// them, the endpoint may still read them as slashes; so whichever way it reads
// the path, it must be one of this route.
func (c *Call) readSlashes(to *table.Route) (*table.Route, error) {
	if to == nil {
		return nil, nil
	}
	r := &c.Request
	if to.EncodedSlash == "refuse" {
		return nil, errSlash
	}
	path, scratch, dots, err := message.DecodeSlashes(r.Path, r.Scratch)
	r.Scratch = scratch
	switch decode := to.EncodedSlash == "decode"; {
	case !decode && to.RawPath:
		return to, nil
	case err != nil:
		return nil, err
	case decode:
		r.Path = path
		return c.table.Match(r.Host, path), nil
	case dots:
		return nil, errSlashDots
	case c.table.Match(r.Host, path) != to:
		return nil, errSlashLost
	}
	return to, nil
}

// allowTrailers lets the trailer fields pass that the function names, and the
// request's announcement of them.
func (c *Call) allowTrailers() {
	c.Trailers = c.fn.Trailers
	if c.Request.Framing != message.Chunked {
		return
	}
	for i := range c.Request.Fields {
		if f := &c.Request.Fields[i]; f.ID == message.Trailer {
			f.Drop = !message.Announces(f.Value, c.Trailers)
		}
	}
}
