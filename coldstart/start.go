package coldstart

import (
	"context"
	"time"
)

// The way up: from nothing to the first instance that serves.

// start has the first instances asked for.
func (c *Activation) start(at time.Time, trigger string) {
	now := time.Now()
	if c.left || now.Before(c.door.opens) {
		return // the door is closed; who joined in that moment has the verdict
	}
	c.starts++
	c.trigger, c.wanted, c.begun = trigger, at, false
	c.phases = Phases{ID: newStartID(), Began: at, Cause: trigger}
	c.published, c.released = time.Time{}, time.Time{}
	c.booting, c.asked, c.noMore = 0, 0, time.Time{}
	c.asking, c.repeats = 0, 0
	c.retries = startTries
	if c.door.failures > 0 { // it has had its tries
		c.retries = 1
	}
	c.releasing.Store(true) // before anybody sees that it starts
	c.become(starting)
	c.rank = demanded
	if trigger != Demand {
		c.rank = ahead
	}
	c.activator.log.Info("starting", "function", c.fn.Name, "trigger", trigger, "held", c.hold.Len(), "usual_ms", c.usual.quantile(.5).Milliseconds())
	c.grow()
}

// begin notes that the platform is asked now. The time that a start may take
// counts from here.
func (c *Activation) firstRequest(now time.Time) {
	c.begun = true
	c.phases.Trigger = now.Sub(c.wanted)
	c.publish()
	c.after(c.fn.ColdStart.StartTimeout, func() { c.startFailed(timedOut, ErrStartTimeout) })
}

// started ends a start that went well.
func (c *Activation) started(held int, seen, at time.Time) {
	c.took = at.Sub(c.wanted)
	c.usual.add(c.took)
	p := &c.phases
	c.published = at
	if seen.Before(c.wanted) {
		seen = at
	}
	p.Detect = max(at.Sub(seen), 0)
	p.Boot = max(c.took-p.Trigger-p.Provision-p.Detect, 0)
	p.Held, p.Instances, p.Place = held, c.asked, c.subject.Place()
	c.unused = ""
	c.elseAt = time.Time{} // from now on calls come here
	switch {
	case c.trigger == Demand || c.trigger == MinScale:
	case c.rank == demanded:
		c.prewarmed(c.trigger, true, 0) // the call came before it was ready
	default:
		c.unused = c.trigger
	}
	c.activator.log.Info("started", "function", c.fn.Name, "trigger", c.trigger, "took_ms", c.took.Milliseconds(), "held", held)
	if w := c.activator.watch; w != nil {
		w.StartEnded(c.fn.Name, c.phases, nil)
	}
	c.tellRelease()
}

// tellRelease tells how long it took from the first endpoint to the first call
// on it, once both are known. They come in any order.
func (c *Activation) tellRelease() {
	if w := c.activator.watch; w != nil && !c.published.IsZero() && !c.released.IsZero() {
		c.phases.Release = max(c.released.Sub(c.published), 0)
		w.Released(c.fn.Name, c.phases)
	}
}

// startFailed ends a start that came to nothing: everyone in line is told why,
// and maybe the door is closed for a while.
func (c *Activation) startFailed(k class, err error) {
	if c.state != starting || !c.subject.Withdraw() {
		return // or a call is on an instance: it did start, and the news is on its way
	}
	now := time.Now()
	pause := c.door.failed(k, now)
	c.activator.log.Warn("start failed", "function", c.fn.Name, "error", err.Error(), "class", k.String(),
		"took_ms", now.Sub(c.wanted).Milliseconds(), "retry_ms", pause.Milliseconds(), "held", c.hold.Len())
	c.phases.failed(k, c.begun, now)
	c.phases.Held, c.phases.Instances = c.hold.Len(), c.asked
	if w := c.activator.watch; w != nil {
		w.StartEnded(c.fn.Name, c.phases, err)
	}
	c.become(cold)
	c.hold.Fail(&NoStart{Reason: err, Retry: pause, Start: c.phases.ID}, now)
	if c.booting > 0 && c.withdraw() {
		c.stale = false
		c.stop(0, "start_failed")
	}
	c.after(max(pause, firstPause), c.begin)
	c.lookForOthers()
}

// retry asks the platform once more, soon, if it could not when it was asked
// first, as long as anybody wants it.
func (c *Activation) retry(err error) bool {
	c.retries--
	if c.retries <= 0 || classOf(err) != transient || c.rank == demanded && !c.awaited() {
		return false
	}
	c.door.failures++
	pause := jittered(firstBackoff << (startTries - 1 - c.retries))
	c.activator.log.Info("asking again", "function", c.fn.Name, "error", err.Error(), "retry_ms", pause.Milliseconds())
	c.noMore = time.Now().Add(pause)
	c.after(pause, c.grow)
	return true
}

// instanceFailed hears that an instance ended unasked. The end of a served one
// is in the set; that of one from before this start says nothing about it.
func (c *Activation) instanceFailed(started time.Time, err error) {
	switch {
	case started.Before(c.wanted):
	case c.state == starting:
		if c.booting--; c.booting <= 0 {
			k := crash
			if IsTerminal(err) {
				k = terminal
			}
			c.startFailed(k, err)
		}
	case c.state == warm && c.asked > c.serving: // it was to become one more
		c.asked--
		c.pauseGrowth()
	}
	c.account()
}

// scaleUp asks the platform for n instances. What it says is of interest as
// long as the start goes on, or the instances are there that it raised. A
// failure beside a stop may be the stop's doing: it took what was on its way.
// That start is asked for again when the stop has ended (crossed).
func (c *Activation) scaleUp(ctx context.Context, n int, done func(error)) {
	fn, start, crossing := c.fn, c.starts, c.stopping > 0
	c.asking++
	c.activator.ask(ctx, c.scaler, platformPatience,
		func(ctx context.Context) error { return c.scaler.ScaleUp(ctx, fn, n) },
		func(err error) {
			if c.starts == start {
				c.asking--
			}
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
