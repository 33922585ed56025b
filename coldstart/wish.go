package coldstart

import "time"

// A wish is what somebody who looks ahead wants of a function beyond its
// configuration. It is kept by name, so that it may come before the function.
type wish struct {
	floor   int    // instances that run at least
	trigger string // who wants them
	idle    time.Duration
	idleSet bool // idle goes before idle_after
}

// Floor has at least n instances of a function run from now on, as if min_scale
// said so; 0 takes it back. trigger says in logs and metrics who wanted it:
// schedule. It does not block.
func (a *Activator) Floor(function, trigger string, n int) {
	a.wishFor(function, func(w *wish) { w.floor, w.trigger = n, trigger })
}

// Keep has a function stay up for d after its last call, instead of idle_after.
// It does not block.
func (a *Activator) Keep(function string, d time.Duration) {
	a.wishFor(function, func(w *wish) { w.idle, w.idleSet = d, true })
}

// KeepUsual takes Keep back.
func (a *Activator) KeepUsual(function string) {
	a.wishFor(function, func(w *wish) { w.idle, w.idleSet = 0, false })
}

func (a *Activator) wishFor(function string, change func(*wish)) {
	a.post(func() {
		w := a.wishes[function]
		change(&w)
		if w.floor == 0 && !w.idleSet {
			delete(a.wishes, function)
		} else {
			a.wishes[function] = w
		}
		if act := a.functions[function]; act != nil && !act.left {
			act.wishChanged()
		}
	})
}

// wishChanged brings the function in line with what is wished for now.
func (c *Activation) wishChanged() {
	switch c.state {
	case cold:
		c.begin()
	case starting:
		c.grow()
	case warm:
		c.timers++ // those of before
		c.tend()
		c.rest()
		c.account()
	case unrouted:
		if c.keep < c.minScale() {
			c.reroute()
		}
	}
}

// Elsewhere says whether another router holds the function: then nothing runs here
// without a call. Instances that do are put back when nobody calls them, as ever.
func (c *Activation) Elsewhere(is bool) {
	c.activator.post(func() {
		if c.away == is {
			return
		}
		c.away = is
		if c.activator.functions[c.fn.Name] == c && !c.left {
			c.wishChanged()
		}
	})
}

// minScale is how many instances run even if nobody calls.
func (c *Activation) minScale() int {
	if c.away {
		return 0
	}
	return min(max(c.fn.ColdStart.MinScale, c.activator.wishes[c.fn.Name].floor), c.fn.ColdStart.MaxScale)
}

// idleAfter is how long after the last call the function is put back; 0 is
// never.
func (c *Activation) idleAfter() time.Duration {
	if w := c.activator.wishes[c.fn.Name]; w.idleSet && c.fn.ColdStart.IdleAfter > 0 {
		return w.idle
	}
	return c.fn.ColdStart.IdleAfter
}
