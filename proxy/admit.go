package proxy

import "time"

// admit lets the call into its function, or turns it away by its rate, or because its
// tenant has as many inside as it may.
func (p *Proxy) admit(c *Call) error {
	if c.handed == nil { // else the other router has counted it
		if err := c.count(); err != nil {
			return err
		}
	}
	gap := c.fn.Gate.Enter(c.began)
	c.inside = true
	if c.fn.Retry != nil || c.fn.Hedging != nil {
		c.fn.Calls.Came(c.began)
	}
	if gap > c.fn.ColdStart.VisitGap() && p.visited != nil && !c.unseen && len(c.fn.Holders()) == 0 {
		p.visited(c.fn.Name, c.Started, gap, c.Trace().Trace)
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
