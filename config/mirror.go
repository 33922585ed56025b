package config

// A Mirror has copies of a route's calls sent to another function, whose answers
// nobody sees. A copy never delays the call, and never makes it fail. Whatever the
// method is, the copy has it too: what writes is written twice.
type Mirror struct {
	// Function that gets the copies.
	Function string `yaml:"function"`
	// Percent of the calls that are copied, from 0 to 100; 0 is none.
	Percent float64 `yaml:"percent" default:"100"`
	// MaxInFlight is how many copies the function has at once, from all routes
	// of this weir. A call that would be one more is not copied.
	MaxInFlight int `yaml:"max_in_flight" default:"100"`
}

func (c *checker) mirror(p *path, r *Route) {
	m := r.Mirror
	if m == nil {
		return
	}
	if r.Redirect != nil || r.Respond != nil {
		c.fail(p, "", "copies calls, and the route leads to no function")
		return
	}
	c.leadsTo(p.key("function"), m.Function)
	for _, name := range r.Functions() {
		if m.Function != "" && m.Function == name {
			c.fail(p.key("function"), "", "%q has these calls already", name)
		}
	}
	if !(m.Percent >= 0 && m.Percent <= 100) {
		c.fail(p.key("percent"), "", "must be from 0 to 100, not %v", m.Percent)
	}
	if m.MaxInFlight < 1 {
		c.fail(p.key("max_in_flight"), "say percent: 0 to copy none", "must be 1 at least, not %d", m.MaxInFlight)
	}
}
