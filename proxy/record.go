package proxy

// record tells what happened, once, when it is over.
func (p *Proxy) record(c *Call) {
	c.release()
	c.duration = c.since()
	if c.inside {
		c.inside = false
		c.fn.Gate.Leave(c.Started.Add(c.duration))
	}
	p.recorder.Record(c)
}
