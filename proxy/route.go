package proxy

import (
	"bytes"

	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// What a route may find wrong with an encoded slash.
var (
	errSlash     = message.Refuse(message.KindBad, "the path has an encoded slash, which its route refuses")
	errSlashDots = message.Refuse(message.KindBad, "the path has a dot segment beside an encoded slash")
	errSlashLost = message.Refuse(message.KindBad, "the path would be another route's if its encoded slash were one")
	errDoubtful  = message.Refuse(message.KindBad, "the path would be another route's if what is encoded were not, or its parameters were left out")
)

// route finds the function that the call is for, and settles the form in which
// its path goes on: what matched is what is forwarded, unless the route asks
// for what the client wrote.
func (c *Call) route() error {
	r := &c.Request
	var to *table.Route
	to, c.allowed = c.table.Match(r, r.Path)
	if r.Slashes {
		var err error
		if to, err = c.readSlashes(to); err != nil {
			return err
		}
	}
	if r.Doubtful && !c.readsAlike(to, r.Path) {
		return errDoubtful
	}
	if to == nil && c.allowed != 0 {
		return errMethod
	}
	if to == nil {
		return errNoRoute
	}
	c.to = to.Pick(r)
	if c.to.State != nil { // else weir itself answers
		c.fn = c.to.Function
	}
	if !to.Access.Allows(c.Client.Addr) {
		return errForbidden
	}
	if err := c.act(); err != nil || c.ours != nil {
		return err
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
		to, c.allowed = c.table.Match(r, path)
		return to, nil
	case dots:
		return nil, errSlashDots
	}
	if other, _ := c.table.Match(r, path); other != to || !c.readsAlike(to, path) {
		return nil, errSlashLost
	}
	return to, nil
}

// readsAlike tells whether a path is the route's own in whatever way its
// endpoint reads it: with what is encoded decoded, and without the parameters of
// its segments, which some take off before they decode and some after. A route
// that asks for the path as it was written looks for itself.
func (c *Call) readsAlike(to *table.Route, path []byte) bool {
	if to == nil || to.RawPath {
		return true
	}
	r := &c.Request
	start := len(r.Scratch)
	defer func() { r.Scratch = r.Scratch[:start] }()
	same := func(read []byte) bool {
		other, _ := c.table.Match(r, read)
		return other == to
	}
	add := func(grown []byte) []byte { // what grown has more than the scratch had
		read := grown[len(r.Scratch):]
		r.Scratch = grown
		return read
	}
	decoded := add(message.AppendDecoded(r.Scratch, path))
	if !same(decoded) {
		return false
	}
	if bytes.IndexByte(decoded, ';') < 0 {
		return true
	}
	bare := add(message.AppendWithoutParameters(r.Scratch, path))
	return same(add(message.AppendDecoded(r.Scratch, bare))) && same(add(message.AppendWithoutParameters(r.Scratch, decoded)))
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
