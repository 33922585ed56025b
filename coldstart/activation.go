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
	// Place is where the first of the published endpoints is.
	Place() Place
	// Addresses are those of the published endpoints: host:port, or unix:/path.
	Addresses() []string
	// Refusing tells how many instances are there, but not published, because they
	// have refused a connection and accepted none since.
	Refusing() int
}

// state of one function's activation.
type state int

const (
	cold state = iota
	starting
	warm
	unrouted // no call can get in; whoever comes now gets the instances back
	draining // no call can get in; the platform has been told to stop
)

// String names the state for operators, to whom the two ways of going are one.
func (s state) String() string {
	return [...]string{"cold", "starting", "warm", "draining", "draining"}[s]
}

// The triggers of a start: what wanted it. Others may come with Prewarm.
const (
	Demand   = "demand"    // a call
	MinScale = "min_scale" // the configuration
)

const (
	// While a line stands, its length is looked at this often to see whether
	// more instances are wanted.
	sizeEvery = 250 * time.Millisecond

	// How often a function whose instances must go is looked at for a moment
	// without a call.
	retireEvery = 20 * time.Millisecond

	// The longest that a platform may think about one request.
	platformPatience = 30 * time.Second
)

// An Activation is the start and the end of one function's instances. Begin, Elsewhere,
// Need, NeedElse, Serving, Released, Answered, Change, Reset, Leave, Status, Watch, Unwatch, Watching
// and WakeAudience may be called from anywhere; all else belongs to the
// Activator's goroutine.
type Activation struct {
	activator *Activator
	scaler    Scaler
	hold      *Hold
	subject   Subject
	status    atomic.Pointer[Status]
	audience  audience
	releasing atomic.Bool // no call has been let go since the start

	fn    config.Function
	state state
	since time.Time // of state
	round int       // counts state changes

	trigger             string    // of the start under way, or the last
	wanted              time.Time // when that was wanted
	begun               bool      // the platform was asked for it
	starts              int       // counts them; a request of an older start is void
	retries             int       // how often the platform may yet be asked for it
	phases              Phases
	published, released time.Time     // the first endpoint; the first call that was held
	took                time.Duration // by the last start that went well
	usual               usual
	service             usual // of the first call after each
	door                door

	asked    int       // instances asked for
	grown    time.Time // when they were
	booting  int       // of those, how many may still become ready
	serving  int       // endpoints published
	noMore   time.Time // no further instance before this moment
	stunted  int       // times in a row that one more could not be had
	rank     rank      // of those under way
	underWay int       // counted by the Activator's starts

	up       time.Time // since when instances serve
	keep     int       // while unrouted or draining: instances that stay
	kept     time.Time // when the instances last said that they are not done
	brief    int       // times in a row that all instances soon ended unasked, and nobody waited
	unheard  int       // times in a row that they did not say
	elseAt   time.Time // when a call last wanted the function that was served elsewhere
	until    time.Time // nobody puts them back before, unless somebody has called
	sought   time.Time // since this moment: when that was last wished for
	unused   string    // the trigger of a start ahead of a call that has not come
	stopping int       // requests to stop under way
	reserve  bool      // instances may be in reserve
	stale    bool      // the instances run an older configuration
	away     bool      // another router holds the function
	left     bool
	before   []Subject // those who had the name, while calls may be on the instances

	asking  int // requests to raise under way, of this start
	repeats int // how often the platform was asked again for it

	timers int // counts from 1 how often they were set anew; older ones are void
	sizing int // of timers, the one that looks at the line's length, or 0
	timing int // and the one that looks whether growth is overdue
	again  int // and the one that asks the platform again
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
	c.stale = from.state == starting || from.state == warm || from.state == unrouted // they had to go
	from.left = true
	c.reserve, from.reserve = from.reserve, false
	from.become(cold)
}

// Need says that somebody wants the function: a call has joined an empty line,
// or the line has doubled.
func (c *Activation) Need() {
	at := time.Now()
	c.activator.post(func() { c.need(at) })
}

// Serving says how many endpoints of the function are published now, how many
// calls stood in line when they were, and when the news that led to it was seen.
func (c *Activation) Serving(n, held int, seen time.Time) {
	at := time.Now()
	c.activator.post(func() { c.served(n, held, seen, at) })
}

// Released says that a call which was held through the start has left the line
// for an endpoint, and tells whether it is the first one of the start. Only that
// costs more than an atomic load.
func (c *Activation) Released() (first bool) {
	if !c.releasing.Load() || !c.releasing.CompareAndSwap(true, false) {
		return false
	}
	at := time.Now()
	c.activator.post(func() {
		c.released = at
		c.tellRelease()
	})
	return true
}

// Answered says how long an instance took for the head of the answer to the first
// call of a start.
func (c *Activation) Answered(took time.Duration) {
	c.activator.post(func() {
		c.service.add(took)
		c.publish()
	})
}

// Change gives the function another configuration. Running instances are
// replaced, at the next moment without a call, if they would be started
// otherwise now (restart).
func (c *Activation) Change(fn config.Function, restart bool) {
	c.activator.post(func() {
		mode := c.fn.ColdStart.IdleMode
		c.fn = fn
		c.reset()
		c.stale = c.stale || restart && c.state != cold
		switch c.state {
		case cold:
			if c.reserve && (restart || fn.ColdStart.IdleMode != mode) {
				c.stop(0, "changed")
			}
			c.begin()
		case starting:
			c.grow()
		case warm:
			c.timers++ // those of the old settings
			c.tend()
			c.rest()
			c.account()
		case unrouted:
			c.reroute()
		}
	})
}

// Reset opens the door that failed starts have closed: the next call is worth
// a try.
func (c *Activation) Reset() {
	c.activator.post(func() {
		c.reset()
		if c.state == cold {
			c.begin()
		}
	})
}

func (c *Activation) reset() {
	c.brief = 0
	c.door.open()
	c.stunted, c.noMore = 0, time.Time{}
	c.hold.Open()
	c.publish()
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

// begin raises what must run without a call.
func (c *Activation) begin() {
	switch {
	case c.state != cold:
	case c.minScale() == 0:
		if !c.away && time.Now().Before(c.until) {
			c.start(time.Now(), c.trigger)
		}
	case c.fn.ColdStart.MinScale > 0:
		c.start(time.Now(), MinScale)
	default:
		c.start(time.Now(), c.activator.wishes[c.fn.Name].trigger)
	}
}

func (c *Activation) need(at time.Time) {
	switch c.state {
	case cold:
		c.start(at, Demand)
	case unrouted:
		c.reroute()
	case draining:
		if c.keep == 0 { // else those that stay are on the way back
			c.stale = false
			c.start(at, Demand) // it comes after the stop and wins
		}
	case starting: // on the way; maybe not fast enough
		c.activator.starts.raise(c)
		c.grow()
	case warm:
		c.grow() // all instances are full
	default:
		panic("BUG: activation in state " + c.state.String())
	}
}

// prewarm raises the function although nobody has called, and keeps it up.
func (c *Activation) prewarm(trigger string, until time.Time) {
	now := time.Now()
	if c.left || c.away || !now.Before(until) {
		return
	}
	c.until, c.sought = later(c.until, until), now
	switch {
	case c.state == cold:
		c.start(now, trigger)
	case c.state == unrouted:
		c.reroute()
	case c.state == draining && c.keep == 0:
		c.stale = false
		c.start(now, trigger)
	}
}

// served hears how many endpoints are published.
func (c *Activation) served(n, held int, seen, at time.Time) {
	before := c.serving
	c.serving = n
	switch {
	case c.state == cold && n > 0:
		c.adopt()
	case c.state == starting && n > 0:
		c.started(held, seen, at)
		c.become(warm)
		c.up = c.published.Add(-c.phases.Detect) // calls may have come and gone since
	case c.state == draining && n > 0 && n <= c.keep:
		c.stay()
	case c.state == unrouted && n > before: // those that came are not withdrawn
		c.reroute()
	case (c.state == warm || c.state == unrouted) && n == 0:
		c.lost()
	case c.state == warm && n < before:
		c.asked = n
		c.tend()
	case c.state == warm && n > before:
		c.asked, c.stunted = max(c.asked, n), 0
	}
	c.account()
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
	up := now.Sub(c.up)
	_, last := c.subject.InUse()
	c.asked = 0
	c.become(cold)
	switch {
	case c.awaited():
		c.start(now, Demand)
		if last.After(c.up) && c.fn.ColdStart.ReadyProbe != "none" { // it did serve, or at least was known to listen
			c.after(max(c.usual.quantile(.99), leastRefusal), c.replace)
		}
	case up < longPause: // or what crashes soon would be started without end
		c.after(pauseAfter(c.brief), c.begin)
		c.brief++
	default:
		c.brief = 0
		c.begin()
	}
}

// become changes the state and voids the timers of the one before.
func (c *Activation) become(s state) {
	was := c.state
	c.state = s
	c.since = time.Now()
	c.round++
	c.timers++
	c.publish()
	switch s {
	case warm:
		c.door.open()
		c.hold.Open()
		if was != unrouted {
			c.up = c.since
		}
		c.publish()
		c.rest()
		c.account()
	case starting:
		c.account()
	default:
		c.activator.starts.forget(c)
		if s == cold && c.left {
			c.forget()
		}
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
