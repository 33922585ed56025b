package coldstart

import (
	"context"
	"time"
)

// How many: as the line, the calls inside and min_scale want it.

// want is how many instances the calls inside and in line need.
func (c *Activation) want() int {
	n := 1
	if per := c.fn.ColdStart.Concurrency; per > 0 {
		calls, _ := c.subject.InUse()
		n = (max(calls, c.hold.Len()) + per - 1) / per
	}
	return min(max(n, c.fn.ColdStart.MinScale, 1), c.fn.ColdStart.MaxScale)
}

// tend asks for what is missing for the line or for min_scale.
func (c *Activation) tend() {
	if c.state == warm && !c.left && (!c.hold.Empty() || c.asked < c.fn.ColdStart.MinScale) {
		c.grow()
	}
}

// grow asks for as many instances as are wanted now, if that is more than were
// asked for, and looks again while a line stands.
func (c *Activation) grow() {
	if n := c.want(); n > c.asked && !time.Now().Before(c.noMore) {
		c.request(n)
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
}

func (c *Activation) request(n int) {
	before := c.asked
	c.booting += n - before
	c.asked, c.grown = n, time.Now()
	began := c.grown
	c.scaleUp(n, func(err error) {
		switch {
		case err != nil:
			c.refused(before, n, err)
		case c.state == starting && c.phases.Provision == 0:
			c.phases.Provision = time.Since(began)
		}
	})
}

// scaleUp asks the platform for n instances. What it says is of interest as
// long as the start goes on, or the instances are there that it raised. A
// failure beside a stop may be the stop's doing: it took what was on its way.
// That start is asked for again when the stop has ended (crossed).
func (c *Activation) scaleUp(n int, done func(error)) {
	fn, start, crossing := c.fn, c.starts, c.stopping > 0
	c.activator.ask(c.scaler, platformPatience,
		func(ctx context.Context) error { return c.scaler.ScaleUp(ctx, fn, n) },
		func(err error) {
			switch {
			case c.left && c.state == cold: // and the stop may have overtaken it
				if c.activator.functions[fn.Name] == nil {
					c.stop(0, "removed")
				}
			case err != nil && crossing && c.state == starting:
			case c.starts == start && (c.state == starting || c.state == warm):
				done(err)
			}
		})
}

// refused takes back that more instances were asked for. A start goes on with
// those that the platform has accepted.
func (c *Activation) refused(before, n int, err error) {
	c.asked, c.booting = max(min(c.asked, before), c.serving), c.booting-(n-before)
	if c.state == starting {
		if c.booting <= 0 {
			c.startFailed(err)
		}
		return
	}
	c.activator.log.Warn("cannot start more", "function", c.fn.Name, "instances", n, "error", err.Error())
	c.pauseGrowth()
}

// pauseGrowth asks for no further instance for a while, and then looks again.
func (c *Activation) pauseGrowth() {
	pause := c.pause()
	c.noMore = time.Now().Add(pause)
	c.after(pause, c.tend)
}

// pause is how long to wait after one more failure.
func (c *Activation) pause() time.Duration {
	pause := min(firstPause<<min(c.failures, 6), longPause)
	c.failures++
	return pause
}
