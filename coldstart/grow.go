package coldstart

import "time"

// How many: as the line, the calls inside and min_scale want it.

// want is how many instances the calls inside and in line need.
func (c *Activation) want() int {
	n := 1
	if c.state == starting {
		n = c.fn.ColdStart.ActivationScale
	}
	if per := c.fn.ColdStart.Concurrency; per > 0 {
		calls, _ := c.subject.InUse()
		n = max(n, (max(calls, c.hold.Len())+per-1)/per)
	}
	return min(max(n, c.minScale(), 1), c.fn.ColdStart.MaxScale)
}

// tend asks for what is missing for the line or for min_scale.
func (c *Activation) tend() {
	if c.state == warm && !c.left && (!c.hold.Empty() || c.asked < c.minScale()) {
		c.grow()
	}
}

// grow asks for as many instances as are wanted now, if that is more than were
// asked for, and looks again while a line stands.
func (c *Activation) grow() {
	if c.left {
		return
	}
	if n := c.want(); n > c.asked && !time.Now().Before(c.noMore) {
		c.setRank()
		if got := c.activator.starts.grant(c, n-c.asked); got > 0 {
			c.request(c.asked + got)
		}
	}
	if c.asked < c.fn.ColdStart.MaxScale && c.sizing != c.timers {
		c.sizing = c.timers
		c.after(sizeEvery, func() {
			c.sizing = 0
			if !c.hold.Empty() {
				c.grow()
			}
		})
	}
	c.keepAsking()
}

// setRank says for whom a function that serves already grows.
func (c *Activation) setRank() {
	switch {
	case c.state != warm:
	case !c.hold.Empty():
		c.activator.starts.raise(c)
	case c.underWay == 0:
		c.rank = ahead
	}
}

func (c *Activation) request(n int) {
	before := c.asked
	c.booting += n - before
	c.asked, c.grown = n, time.Now()
	began := c.grown
	if c.state == starting && !c.begun {
		c.firstRequest(began)
	}
	c.account()
	c.scaleUp(c.activator.ctx, n, func(err error) {
		switch {
		case err != nil:
			c.refused(before, n, err)
		case c.state == starting && c.phases.Provision == 0:
			c.phases.Provision = max(time.Since(began), 1)
			c.publish()
		}
	})
}

// refused takes back that more instances were asked for. A start goes on with
// those that the platform has accepted.
func (c *Activation) refused(before, n int, err error) {
	c.asked, c.booting = max(min(c.asked, before), c.serving), c.booting-(n-before)
	switch {
	case c.state == starting && c.booting > 0:
	case c.state == starting && c.retry(err):
	case c.state == starting:
		c.startFailed(classOf(err), err)
	default:
		c.activator.log.Warn("cannot start more", "function", c.fn.Name, "instances", n, "error", err.Error())
		c.pauseGrowth()
	}
	c.account()
}

// pauseGrowth asks for no further instance for a while, and then looks again.
func (c *Activation) pauseGrowth() {
	pause := pauseAfter(c.stunted)
	c.stunted++
	c.noMore = time.Now().Add(pause)
	c.after(pause, c.tend)
}

// growing tells whether one more instance may still come: it could be
// published, and called, while the others are withdrawn.
func (c *Activation) growing() bool {
	return c.serving < c.asked && time.Since(c.grown) < c.fn.ColdStart.StartTimeout
}

// account tells how many instances of the function are on their way, and looks
// again when they are overdue.
func (c *Activation) account() {
	n := 0
	if (c.state == starting || c.state == warm) && c.growing() {
		n = c.asked - c.serving
	}
	c.activator.starts.hold(c, n)
	if n > 0 && c.state == warm && c.timing != c.timers {
		c.timing = c.timers
		c.after(c.fn.ColdStart.StartTimeout-time.Since(c.grown), func() {
			c.timing = 0
			c.account()
		})
	}
	c.keepAsking()
}
