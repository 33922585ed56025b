package coldstart

import (
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/config"
)

// A Subject is what the Activator must know and may do about a function's
// endpoints. Its methods do not block and may be called from any goroutine.
type Subject interface {
	// InUse tells how many calls are inside the function now, and when the
	// last byte of the last one passed.
	InUse() (calls int, last time.Time)
	// Withdraw lets no further call onto any endpoint, if none is on one now.
	// Otherwise it changes nothing and returns false.
	Withdraw() bool
	// Restore takes Withdraw back for the endpoints that are still there.
	Restore()
}

// Status is an Activation at one moment.
type Status struct {
	State string        // cold, starting, warm, draining
	Since time.Time     // when it came into that state
	ETA   time.Duration // how long the last starts took; 0 when none is known
}

// state of one function's activation.
type state int

const (
	cold state = iota
	starting
	warm
	draining // no call can get in; the platform has been told to stop
)

func (s state) String() string { return [...]string{"cold", "starting", "warm", "draining"}[s] }

const (
	// The closed door after failed starts: 1 s, doubled up to 60 s. A client
	// that asks every second causes 7 starts in the first minute.
	firstPause = time.Second
	longPause  = time.Minute

	// While a line stands, its length is looked at this often to see whether
	// more instances are wanted.
	sizeEvery = 250 * time.Millisecond

	// How often a function whose instances must go is looked at for a moment
	// without a call.
	retireEvery = 20 * time.Millisecond

	// The longest that a platform may think about one request.
	platformPatience = 30 * time.Second
)

// An Activation is the start and the end of one function's instances. Begin,
// Need, Serving, Change, Leave and Status may be called from anywhere; all else
// belongs to the Activator's goroutine.
type Activation struct {
	activator *Activator
	scaler    Scaler
	hold      *Hold
	subject   Subject
	status    atomic.Pointer[Status]

	fn       config.Function
	state    state
	since    time.Time // of state
	wanted   time.Time // when the call came that caused this start
	asked    int       // instances asked for
	grown    time.Time // when they were
	booting  int       // of those, how many may still become ready
	serving  int       // endpoints published
	keep     int       // while draining: instances that stay
	stopping int       // requests to stop under way
	failures int       // starts that failed in a row
	closed   time.Time // no start before this moment
	noMore   time.Time // and no further instance before this one
	phases   Phases
	usual    time.Duration // moving average of how long starts take
	stale    bool          // the instances run an older configuration
	left     bool
	before   []Subject // those who had the name, while calls may be on the instances
	starts   int       // counts them; a request of an older start is void
	round    int       // counts state changes
	timers   int       // counts from 1 how often they were set anew; older ones are void
	sizing   int       // of timers, the one that looks at the line's length, or 0
}

// Begin begins the care for the function: min_scale instances are raised, and
// more on demand.
func (c *Activation) Begin() {
	c.activator.post(func() {
		if other := c.activator.functions[c.fn.Name]; other != nil && other.scaler == c.scaler {
			c.inherit(other)
		}
		c.activator.functions[c.fn.Name] = c
		c.begin()
	})
}

// inherit takes over from an Activation of the same name that has not come to
// its end. To the platform the instances of both are the same, so only one may
// stop them, and only when no call of either is on them.
func (c *Activation) inherit(from *Activation) {
	c.before = append(from.before, from.subject)
	c.stale = from.state == starting || from.state == warm // they had to go
	from.left = true
	from.become(cold)
}

// Need says that a call has joined an empty line.
func (c *Activation) Need() {
	at := time.Now()
	c.activator.post(func() { c.need(at) })
}

// Serving says how many endpoints of the function are published now, and how
// many calls stood in line when they were.
func (c *Activation) Serving(n, held int) { c.activator.post(func() { c.served(n, held) }) }

// Change gives the function another configuration. Running instances are
// replaced, at the next moment without a call, if they would be started
// otherwise now (restart).
func (c *Activation) Change(fn config.Function, restart bool) {
	c.activator.post(func() {
		c.fn = fn
		c.failures, c.closed, c.noMore = 0, time.Time{}, time.Time{}
		c.hold.Open()
		c.stale = c.stale || restart && c.state != cold
		switch c.state {
		case cold:
			c.begin()
		case starting:
			c.grow()
		case warm:
			c.timers++ // those of the old settings
			c.tend()
			c.rest()
		}
	})
}

// Leave ends the care for a function that is no longer configured: its
// instances are stopped as soon as no call is on them.
func (c *Activation) Leave() {
	c.activator.post(func() {
		c.left = true
		if c.state != draining {
			c.retire()
		}
	})
}

// Status tells where the activation is.
func (c *Activation) Status() Status { return *c.status.Load() }

// begin raises what must run without a call.
func (c *Activation) begin() {
	if c.state == cold && c.fn.ColdStart.MinScale > 0 {
		c.start(time.Now())
	}
}

func (c *Activation) need(at time.Time) {
	switch c.state {
	case cold:
		c.start(at)
	case draining:
		if c.keep == 0 { // else those that stay are on the way back
			c.stale = false
			c.start(at) // it comes after the stop and wins
		}
	case starting: // on the way
	case warm:
		c.grow() // all instances are full
	default:
		panic("BUG: activation in state " + c.state.String())
	}
}

// start asks the platform for the first instances.
func (c *Activation) start(at time.Time) {
	now := time.Now()
	if c.left || now.Before(c.closed) {
		return // the door is closed; who joined in that moment has the verdict
	}
	c.become(starting)
	c.starts++
	c.wanted, c.booting, c.asked, c.noMore = at, 0, 0, time.Time{}
	c.phases = Phases{Trigger: now.Sub(at), Cause: "demand"}
	if c.fn.ColdStart.MinScale > 0 && c.hold.Empty() {
		c.phases.Cause = "min_scale"
	}
	c.activator.log.Info("starting", "function", c.fn.Name, "held", c.hold.Len())
	c.after(c.fn.ColdStart.StartTimeout, func() { c.startFailed(ErrStartTimeout) })
	c.grow()
}

// served hears how many endpoints are published.
func (c *Activation) served(n, held int) {
	before := c.serving
	c.serving = n
	switch {
	case c.state == cold && n > 0:
		c.adopt()
	case c.state == starting && n > 0:
		c.startEnded(nil, held)
		c.become(warm)
	case c.state == draining && n > 0 && n <= c.keep:
		c.kept()
	case c.state == warm && n == 0:
		c.lost()
	case c.state == warm && n < before:
		c.asked = n
		c.tend()
	case c.state == warm && n > before:
		c.asked, c.failures = max(c.asked, n), 0
	}
}

// adopt takes care of instances that were found running. While some are being
// stopped, it may be those.
func (c *Activation) adopt() {
	if c.state != cold || c.serving == 0 || c.stopping > 0 {
		return
	}
	c.asked = c.serving
	c.subject.Restore()
	c.become(warm)
}

// lost goes on after the last instance has gone by itself.
func (c *Activation) lost() {
	now := time.Now()
	up := now.Sub(c.since)
	c.asked = 0
	c.become(cold)
	switch {
	case !c.hold.Empty():
		c.start(now)
	case up < longPause: // or what crashes at once would be started without end
		c.after(firstPause, c.begin)
	default:
		c.begin()
	}
}

// instanceFailed hears that an instance ended unasked. The end of a served one
// is in the set; that of one from before this start says nothing about it.
func (c *Activation) instanceFailed(started time.Time, err error) {
	switch {
	case started.Before(c.wanted):
	case c.state == starting:
		if c.booting--; c.booting <= 0 {
			c.startFailed(err)
		}
	case c.state == warm && c.asked > c.serving: // it was to become one more
		c.asked--
		c.pauseGrowth()
	}
}

// startFailed ends a start that came to nothing: everyone in line is told why,
// and the door stays closed for a while.
func (c *Activation) startFailed(err error) {
	if c.state != starting || !c.subject.Withdraw() {
		return // or a call is on an instance: it did start, and the news is on its way
	}
	now := time.Now()
	pause := c.pause()
	c.closed = now.Add(pause)
	c.startEnded(err, c.hold.Len())
	c.become(cold)
	c.hold.Fail(&NoStart{Reason: err, Retry: pause}, now)
	if c.booting > 0 && c.withdraw() {
		c.stale = false
		c.stop(0, "start_failed")
	}
	c.after(pause, c.begin)
	c.lookForOthers()
}

func (c *Activation) startEnded(err error, held int) {
	now := time.Now()
	took := now.Sub(c.wanted)
	if err == nil {
		c.failures = 0
		if c.usual == 0 {
			c.usual = took
		}
		c.usual += (took - c.usual) / 4
		c.phases.Boot = took - c.phases.Trigger - c.phases.Provision
		c.activator.log.Info("started", "function", c.fn.Name, "took_ms", took.Milliseconds(), "held", held)
	} else {
		c.activator.log.Warn("start failed", "function", c.fn.Name, "error", err.Error(), "took_ms", took.Milliseconds(),
			"retry_ms", c.closed.Sub(now).Milliseconds(), "held", held)
	}
	if w := c.activator.watch; w != nil {
		w.StartEnded(c.fn.Name, c.phases, err)
	}
}

// become changes the state and voids the timers of the one before.
func (c *Activation) become(s state) {
	c.state = s
	c.since = time.Now()
	c.round++
	c.timers++
	c.publish()
	switch {
	case s == warm:
		c.closed = time.Time{}
		c.hold.Open()
		c.rest()
	case s == cold && c.left:
		c.forget()
	}
}

// after has f called by the Activator's goroutine in d, unless the timers have
// been set anew by then.
func (c *Activation) after(d time.Duration, f func()) {
	timers := c.timers
	time.AfterFunc(d, func() {
		c.activator.post(func() {
			if c.timers == timers {
				f()
			}
		})
	})
}

func (c *Activation) publish() {
	c.status.Store(&Status{State: c.state.String(), Since: c.since, ETA: c.usual})
}
