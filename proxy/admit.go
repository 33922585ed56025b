package proxy

import (
	"encoding/hex"
	"time"

	"github.com/weir-gateway/weir/proxy/message"
)

// admit lets the call into its function, or turns it away.
func (p *Proxy) admit(c *Call) error {
	gap, err := c.fn.Gate.Enter(c.Started)
	if err != nil {
		return err
	}
	c.inside = true
	if gap > c.fn.ColdStart.VisitGap() && p.visited != nil {
		p.visited(c.fn.Name, c.Started, gap, c.traceID())
	}
	return nil
}

// OnVisit registers who is told, before a call that begins a visit of a function
// goes on, for how long nobody had been inside (shaping.Never: nobody ever was)
// and which trace it belongs to, if it says so. visited must not block. It is
// for before the first Serve.
func (p *Proxy) OnVisit(visited func(function string, at time.Time, gap time.Duration, trace [16]byte)) {
	p.visited = visited
}

var traceparent = []byte("traceparent")

// traceID is that of the W3C trace context, which is as long in every version
// that begins like the first.
func (c *Call) traceID() (id [16]byte) {
	for _, f := range c.Request.Fields {
		if message.EqualNames(f.Name, traceparent) && len(f.Value) >= 55 && f.Value[2] == '-' && f.Value[35] == '-' {
			if _, err := hex.Decode(id[:], f.Value[3:35]); err != nil {
				return [16]byte{}
			}
			return id
		}
	}
	return id
}
