package proxy

// record tells what happened, once, when it is over.
func (p *Proxy) record(c *Call) {
	c.release()
	if c.lead.Leads() || c.flight != nil { // it broke down
		c.ground()
	}
	if c.follower.Flying() {
		c.follower.Leave()
	}
	c.duration = c.since()
	c.leave(c.at(c.duration))
	p.recorder.Record(c)
	if c.copy != nil {
		p.sendCopy(c)
	}
}
