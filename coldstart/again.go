package coldstart

import (
	"context"
	"time"
)

// Demand as a level: while anybody waits for instances that have not come, the
// platform is told again what is wanted. One that has forgotten it, because it was
// restarted after it had taken note, would never do anything else about it.

// againEvery is how often it is told. It is told bounds, so that this costs a
// platform that knows it a look, and callers a second of one that does not.
const againEvery = time.Second

type repeated struct{}

// Repeated tells a Scaler in ScaleUp that the same was asked of it before, with
// success, and is asked again because nothing has come of it yet. It is not
// another start: who counts those, or marks requests, may tell them apart.
func Repeated(ctx context.Context) bool { return ctx.Value(repeated{}) != nil }

// WithRepeated makes the context of such a request.
func WithRepeated(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeated{}, true)
}

// missing is how many instances were asked for that have not come, in all; 0 if
// none is missing, or nobody waits for them.
func (c *Activation) missing() (n int) {
	switch {
	case c.left || !c.awaited():
		return 0
	case c.state == starting:
		return c.booting // not those that have come and gone
	case c.state == warm && c.asked > c.serving:
		return c.asked
	}
	return 0
}

// keepAsking has the platform asked again in a while, and on, while instances are
// missing.
func (c *Activation) keepAsking() {
	if c.again == c.timers || c.missing() == 0 {
		return
	}
	c.again = c.timers
	c.after(againEvery, func() {
		c.again = 0
		// One that thinks has not forgotten, and of one that could not, retry and
		// pauseGrowth say when it is asked.
		if n := c.missing(); n > 0 && c.asking == 0 && !time.Now().Before(c.noMore) {
			c.askAgain(n)
		}
		c.keepAsking()
	})
}

// askAgain says once more what is wanted. That the platform cannot answer now is
// no news, the start goes on; that it never will ends the wait.
func (c *Activation) askAgain(n int) {
	c.repeats++
	c.activator.log.Debug("asking again: nothing has come", "function", c.fn.Name, "instances", n, "held", c.hold.Len())
	c.scaleUp(WithRepeated(c.activator.ctx), n, func(err error) {
		switch {
		case err == nil:
		case IsTerminal(err) && c.state == starting:
			c.startFailed(terminal, err)
		case IsTerminal(err):
			c.refused(c.serving, c.asked, err)
		case c.repeats == 1: // and not once a second
			c.activator.log.Warn("the platform cannot be asked again", "function", c.fn.Name, "error", err.Error())
		}
	})
}
