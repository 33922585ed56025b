package process

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/weir-gateway/weir/config"
)

const (
	// lastWords is how long an exit waits for the line on stderr that explains
	// it: it is in the pipe already, unless the machine is out of breath.
	lastWords = 20 * time.Millisecond
	// drain is how long after an exit output is read that a grandchild outside
	// the group may still be writing.
	drain = 250 * time.Millisecond
)

const (
	// The accept queue of a starting instance is looked at every pollLeast at
	// first, from 50 ms on at every two-hundredth of the boot, up to pollSoon, and
	// from half a second on at every five-hundredth, up to pollMost; after
	// pollPatience, when nobody can feel it any more, up to pollSlow. A look costs
	// 50 µs of processor time: at one a millisecond, as it was once, 5 % of a core
	// for each instance.
	pollLeast    = 250 * time.Microsecond
	pollSoon     = time.Millisecond
	pollMost     = 4 * time.Millisecond
	pollPatience = 10 * time.Second
	pollSlow     = 100 * time.Millisecond
)

func pollEvery(elapsed time.Duration) time.Duration {
	most := pollMost
	if elapsed > pollPatience {
		most = pollSlow
	}
	return max(min(max(pollLeast, elapsed/200), pollSoon), min(elapsed/500, most))
}

// State is where an instance is in its life.
type State uint8

const (
	Starting  State = iota // on the way; listen: fd stays here until it accepts
	Running                // listen: port only: whether it listens is for others to find out
	Listening              // listen: fd only: it has accepted
	Paused                 // in reserve: stopped by SIGSTOP, or throttled, or about to be
	Stopping               // asked to end
	gone                   // ended; given back piece by piece
)

func (s State) String() string {
	return [...]string{"starting", "running", "listening", "paused", "stopping", "gone"}[s]
}

func (s State) live() bool { return s < Paused }

// An Instance is one process as it was at one moment.
type Instance struct {
	ID      string // the endpoint's
	PID     int    // 0 before it is spawned
	Addr    string
	State   State
	Started time.Time // when it was forked
	Ready   time.Time // when it was seen to accept; listen: fd only
}

// An instance is one process, from the wish to have it until everything it had
// is given back.
type instance struct {
	id  string
	fn  config.Function // as it was at the time of ScaleUp
	f   *function
	log *slog.Logger

	asked   chan struct{} // closed when it is asked to end
	settled chan struct{} // closed when it runs or never will; then err says which
	err     error
	done    chan struct{} // closed when everything is given back

	// Guarded by Platform.mu.
	state                   State
	pid                     int
	addr                    string
	started, ready, stopped time.Time
	raised                  time.Time // when it was started or last resumed
	awake                   State     // while Paused: what it was before
	limits                  *cgroup   // nil is none
	throttled               bool      // while Paused: it runs, and hardly gets to
}

func newInstance(f *function, fn config.Function, log *slog.Logger) *instance {
	short := strings.ToLower(rand.Text()[:8]) // 40 bits
	return &instance{
		id:      fn.Name + "-" + short,
		fn:      fn,
		f:       f,
		log:     log.With("function", fn.Name, "instance", short),
		asked:   make(chan struct{}),
		settled: make(chan struct{}),
		done:    make(chan struct{}),
	}
}

// snapshot copies what is to be told. The caller holds Platform.mu.
func (in *instance) snapshot() Instance {
	return Instance{ID: in.id, PID: in.pid, Addr: in.addr, State: in.state, Started: in.started, Ready: in.ready}
}

// become changes the state. The caller holds Platform.mu.
func (in *instance) become(next State) {
	ok := false
	switch in.state {
	case Starting:
		ok = next != Starting
	case Running, Listening:
		ok = next == Paused || next == Stopping || next == gone
	case Paused:
		ok = next == Running || next == Listening || next == Stopping || next == gone
	case Stopping:
		ok = next == gone
	}
	if !ok {
		panic("BUG: instance " + in.id + " from " + in.state.String() + " to " + next.String())
	}
	in.state = next
}

func (in *instance) settle(err error) {
	in.err = err
	close(in.settled)
}

// live is the life of one instance.
func (p *Platform) live(in *instance) {
	defer close(in.done)
	defer p.forget(in)

	c, err := p.spawn(in)
	if err != nil {
		p.leave(in)
		in.settle(err)
		return
	}
	exited := make(chan struct{})
	go c.stdout.read()
	go c.stderr.read()
	var helpers sync.WaitGroup
	helpers.Go(func() { p.stopWhenAsked(in, c, exited) })

	if err := c.handedOver(); err != nil {
		p.leave(in)
		in.settle(classed(fmt.Errorf("function %q: %w", in.fn.Name, err), nil))
		signalGroup(c.pid, sigkill)
	} else {
		in.log.Info("instance spawned", "pid", c.pid)
		p.spawned(in)
		in.settle(nil)
		helpers.Go(func() { p.noticeAccept(in, c, exited) })
	}

	awaitExit(c.pid) // it keeps its pid until it is reaped
	unasked := p.leave(in)
	close(exited)
	helpers.Wait() // from here on, nobody else signals
	signalGroup(c.pid, sigkill)
	end := reap(c.pid)
	end.limit = in.limits.close()
	lived := time.Since(in.started)
	c.closeSocket()
	c.stdout.stopAfter(drain)
	c.stderr.stopAfter(drain)
	c.awaitOutput(lastWords)
	if in.err == nil {
		p.tellEnd(in, unasked, end, lived, c.stderr.last())
	}
	<-c.stdout.done
	<-c.stderr.done
}

// spawned notes that the program runs. An instance that brings its own socket
// is reported now, before it listens; one that got ours when it accepts.
func (p *Platform) spawned(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.state == Starting && in.fn.Process.Listen != "fd" {
		in.become(Running)
		p.publishLocked(in.f)
	}
}

// listens notes that an instance has accepted a connection.
func (p *Platform) listens(in *instance) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.state != Starting {
		return false
	}
	in.become(Listening)
	in.ready = time.Now()
	p.publishLocked(in.f)
	return true
}

// stopWhenAsked ends the process when somebody asks for it: politely, and
// after stop_timeout not so.
func (p *Platform) stopWhenAsked(in *instance, c *child, exited <-chan struct{}) {
	select {
	case <-in.asked:
	case <-exited:
		return
	}
	p.awaitTold(in.f) // nobody is sent to it any more
	signalGroup(c.pid, sigterm)
	signalGroup(c.pid, sigcont) // if it is paused it could not obey
	patience := time.NewTimer(in.fn.Process.StopTimeout)
	defer patience.Stop()
	select {
	case <-exited:
	case <-patience.C:
		signalGroup(c.pid, sigkill)
	}
}

// noticeAccept reports an instance that got its socket from us when it accepts
// its first connection, which is one of ours.
func (p *Platform) noticeAccept(in *instance, c *child, exited <-chan struct{}) {
	if c.first == nil {
		return
	}
	accepted := c.awaitAccept(in.started, in.asked, exited)
	c.first.Close()
	if !accepted || !p.listens(in) {
		return
	}
	c.closeSocket() // or callers would wait in its queue after a crash
	in.log.Info("instance listens", "took_ms", ms(in.ready.Sub(in.started)))
}

// tellEnd tells how an instance ended that had run.
func (p *Platform) tellEnd(in *instance, unasked bool, end end, lived time.Duration, last string) {
	if !unasked {
		in.log.Info("instance stopped", end.attr(), "lived_ms", ms(lived), "took_ms", ms(time.Since(in.stopped)))
		return
	}
	in.log.Info("instance exited", end.attr(), "lived_ms", ms(lived))
	err := fmt.Errorf("instance of %q %s after %v", in.fn.Name, end, round(lived))
	if last != "" {
		err = fmt.Errorf("%w: %s", err, last)
	}
	p.mu.Lock()
	tell := p.failed
	p.mu.Unlock()
	if tell != nil {
		tell(in.fn.Name, in.raised, err)
	}
}

// An end is how a process ended.
type end struct {
	signal string // that killed it, or
	status int    // that it exited with
	limit  string // that it ran into, or nothing
}

func (e end) String() string {
	switch {
	case e.limit != "":
		return "was killed: it " + e.limit
	case e.signal != "":
		return "was killed by " + e.signal
	}
	return fmt.Sprintf("exited with status %d", e.status)
}

func (e end) attr() slog.Attr {
	if e.signal != "" {
		return slog.String("signal", e.signal)
	}
	return slog.Int("status", e.status)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func round(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}
