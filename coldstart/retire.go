package coldstart

import (
	"context"
	"time"

	"github.com/weir-gateway/weir/config"
)

// The way back: from warm to nothing, or to min_scale, never under a call.

// rest sets the timers of a warm function.
func (c *Activation) rest() {
	if c.left || c.stale {
		c.after(retireEvery, c.retire)
	} else if c.idleAfter() > 0 {
		c.idle()
	}
}

// idle looks whether the function has been idle for long enough to be put
// back, and if not, when to look again.
func (c *Activation) idle() {
	calls, last := c.subject.InUse()
	if c.unused != "" && (calls > 0 || last.After(c.up)) {
		c.prewarmed(c.unused, true, 0)
		c.unused = ""
	}
	if last.After(c.sought) { // who was expected has been here
		c.until = time.Time{}
	}
	now, due := time.Now(), c.due(last)
	switch {
	case calls > 0 || !c.hold.Empty() || c.growing():
		c.after(c.idleAfter(), c.idle) // exact: who is inside now ends later
	case now.Before(due):
		wait := due.Sub(now)
		if !c.until.IsZero() { // until is over once somebody has called
			wait = min(wait, max(c.idleAfter(), time.Second))
		}
		c.after(wait, c.idle)
	case max(c.asked, c.serving) <= c.minScale() || !c.withdraw():
		c.after(c.idleAfter(), c.idle)
	default:
		c.activator.log.Info("idle", "function", c.fn.Name, "idle_ms", now.Sub(later(last, c.up)).Milliseconds())
		c.unroute(c.minScale())
	}
}

// due is when a function may be put back whose last call left at a moment.
func (c *Activation) due(last time.Time) time.Time {
	due := later(later(last, c.up), c.kept).Add(c.idleAfter())
	if c.unused != "" { // nobody has come for whom it was raised
		due = c.until
	}
	due = later(due, c.up.Add(c.fn.ColdStart.MinUp))
	return later(due, c.until)
}

// unroute is the first of two steps back: no call can get onto an instance any
// more, but all are still there. n are to stay.
func (c *Activation) unroute(n int) {
	c.phases.ID = StartID{} // who comes now waits for no start
	c.become(unrouted)
	c.keep = n
	c.after(c.fn.ColdStart.Grace, c.recheck)
}

// reroute lets calls onto the instances again: somebody came in time.
func (c *Activation) reroute() {
	c.activator.log.Info("back in use", "function", c.fn.Name)
	c.subject.Restore()
	c.become(warm)
}

// recheck takes the second step if still nobody wants the instances, and they
// say that they are done.
func (c *Activation) recheck() {
	check := c.fn.ColdStart.PreStopCheck
	switch {
	case !c.hold.Empty():
		c.reroute()
	case check == nil:
		c.drain(c.keep, "idle")
	default:
		c.askInstances(*check)
	}
}

// retire stops instances that nobody wants any more, at the first moment
// without a call.
func (c *Activation) retire() {
	if c.state == cold || c.state == draining {
		if c.left && c.state == cold {
			c.forget()
		}
		return
	}
	if (c.left || !c.growing()) && c.withdraw() {
		c.drain(0, map[bool]string{true: "removed", false: "changed"}[c.left])
		return
	}
	c.after(retireEvery, c.retire)
}

// leastRefusal is how long an instance that has served may refuse connections, or
// as long as a start takes: it may be opening its socket anew.
const leastRefusal = time.Second

// replace stops instances that have served, are there and listen no more, so that
// others are started. Nothing else would: to the platform they are well.
func (c *Activation) replace() {
	switch {
	case c.state != starting || c.asked == 0 || c.subject.Refusing() < c.asked: // or one is on its way
	case !c.withdraw(): // what began before goes on
		c.after(retireEvery, c.replace)
	default:
		c.activator.log.Warn("replacing what listens no more", "function", c.fn.Name, "instances", c.asked, "held", c.hold.Len())
		c.drain(0, "refused")
	}
}

// withdraw lets no further call onto the instances, if none is on one now: no
// call of this function's, and none of those who had its name before.
func (c *Activation) withdraw() bool {
	for len(c.before) > 0 {
		if !c.before[0].Withdraw() {
			return false
		}
		c.before = c.before[1:]
	}
	return c.subject.Withdraw()
}

// drain has the platform stop what is beyond n. No call is on any endpoint and
// none can get in.
func (c *Activation) drain(n int, reason string) {
	if c.unused != "" {
		c.prewarmed(c.unused, false, time.Since(c.up)*time.Duration(max(c.asked, c.serving)-n))
		c.unused = ""
	}
	c.phases.ID = StartID{}
	c.become(draining)
	c.keep = n
	c.stop(n, reason)
}

func (c *Activation) stop(n int, reason string) {
	fn, round := c.fn, c.round
	c.reserve = reason == "idle" && fn.ColdStart.KeepsIdle()
	if !c.reserve { // what is in reserve must go too
		fn.ColdStart.IdleMode = "stop"
	}
	c.stopping++
	c.activator.ask(c.activator.ctx, c.scaler, platformPatience+stopTimeout(fn),
		func(ctx context.Context) error { return c.scaler.ScaleDown(ctx, fn, n) },
		func(err error) {
			c.stopping--
			if err != nil {
				c.activator.log.Error("cannot stop", "function", fn.Name, "error", err.Error())
			} else {
				c.activator.log.Info("stopped", "function", fn.Name, "reason", reason)
			}
			if w := c.activator.watch; w != nil && err == nil {
				w.Stopped(fn.Name, reason)
			}
			if c.round == round && c.state == draining {
				c.drained(n, err)
			} else if now := c.activator.functions[fn.Name]; now != nil {
				now.crossed(err)
			}
		})
}

// drained ends the draining that nobody interrupted.
func (c *Activation) drained(n int, err error) {
	if err != nil {
		c.subject.Restore()
	}
	switch {
	case err != nil && (c.serving > 0 || c.left || !c.awaited()):
		c.become(warm)
		c.timers++ // and try again, at the next idle moment
		c.after(firstPause, c.rest)
		c.tend()
	case n > 0:
		c.stay()
	default:
		c.asked, c.stale = 0, false
		c.become(cold)
		if !c.hold.Empty() {
			c.start(time.Now(), Demand)
		}
		c.begin()
		c.lookForOthers()
	}
}

// stay lets calls onto the instances that stay.
func (c *Activation) stay() {
	c.asked = c.keep
	c.subject.Restore()
	c.become(warm)
	c.tend()
}

// crossed hears the end of a request to stop that something else has overtaken.
func (c *Activation) crossed(err error) {
	if err != nil && c.state == starting {
		c.subject.Restore()
	}
	switch {
	case c.state == cold:
		c.lookForOthers()
	case c.state != starting:
	case err != nil && c.serving > 0: // it serves on
		now := time.Now()
		c.served(c.serving, c.hold.Len(), now, now)
	case c.asked == 0: // its turn has not come
	default: // the platform may have seen the stop last
		c.scaleUp(c.activator.ctx, c.asked, func(err error) {
			if err != nil {
				c.startFailed(classOf(err), err)
			}
		})
	}
}

// lookForOthers looks a while after a stop whether endpoints are there all the
// same, which somebody else has raised, or nobody had to.
func (c *Activation) lookForOthers() {
	if c.state == cold && c.serving > 0 && !c.left {
		c.after(firstPause, c.adopt)
	}
}

func (c *Activation) forget() {
	if c.reserve {
		c.stop(0, "removed")
	}
	if c.activator.functions[c.fn.Name] == c {
		delete(c.activator.functions, c.fn.Name)
	}
}

func stopTimeout(fn config.Function) time.Duration {
	switch {
	case fn.Process != nil:
		return fn.Process.StopTimeout
	case fn.Docker != nil:
		return fn.Docker.StopTimeout
	}
	return 0
}

// prewarmed tells whether a start ahead of a call was for somebody.
func (c *Activation) prewarmed(trigger string, used bool, wasted time.Duration) {
	if w := c.activator.watch; w != nil {
		w.Prewarmed(c.fn.Name, trigger, used, wasted)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
