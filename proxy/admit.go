package proxy

// admit lets the call into its function, or turns it away.
func (p *Proxy) admit(c *Call) error {
	if err := c.fn.Gate.Enter(); err != nil {
		return err
	}
	c.inside = true
	return nil
}
