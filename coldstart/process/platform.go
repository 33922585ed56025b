package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

var (
	_ coldstart.Scaler   = (*Platform)(nil)
	_ coldstart.Reporter = (*Platform)(nil)
	_ discovery.Provider = (*Platform)(nil)
)

// ErrEnded is what ScaleUp answers once Run is ending.
var ErrEnded = errors.New("the process platform has ended")

// A Platform raises instances as local processes and knows their addresses.
type Platform struct {
	log     *slog.Logger
	node    string        // the machine that it runs on
	running chan struct{} // closed when Run begins
	forker  chan func()   // what must happen on the forking thread
	limiter limiter

	mu        sync.Mutex // guards what follows, and what instances say it guards
	told      *sync.Cond // a watch has reported, or has left
	phase     phase
	work      sync.WaitGroup // instances; grows only while phase is up
	functions map[string]*function
	failed    func(function string, started time.Time, err error)
}

type phase uint8

const (
	idle phase = iota // Run has not begun
	up
	ending // nothing is started any more
)

// A function has what runs of one function, and who wants to know.
type function struct {
	instances []*instance // oldest first; until everything is given back
	watches   map[*watch]struct{}
	version   uint64 // of the set of endpoints
}

// New makes a Platform. Nothing happens before Run.
func New(log *slog.Logger) *Platform {
	node, _ := os.Hostname() // for people: without it nothing is worse
	p := &Platform{
		log:       log,
		node:      node,
		running:   make(chan struct{}),
		forker:    make(chan func()),
		functions: make(map[string]*function),
	}
	p.told = sync.NewCond(&p.mu)
	return p
}

// String names the platform in logs and metrics.
func (p *Platform) String() string { return "process" }

// Failed registers who is told of every exit that nobody asked for.
func (p *Platform) Failed(tell func(function string, started time.Time, err error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = tell
}

// Run raises instances until ctx ends, then stops them all and returns when
// they are gone. It can be called once.
func (p *Platform) Run(ctx context.Context) error {
	p.begin()
	forked := make(chan struct{})
	go p.fork(forked)
	close(p.running)

	<-ctx.Done()
	p.end()
	p.work.Wait()
	close(p.forker)
	<-forked
	return nil
}

func (p *Platform) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != idle {
		panic("BUG: process.Platform run twice")
	}
	p.phase = up
}

func (p *Platform) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = ending
	for _, f := range p.functions {
		p.stopPausedLocked(f)
		p.stopLocked(f, 0)
	}
}

// fork does all the forking. A parent-death signal is sent when the thread
// ends that forked, not when the program does, so this one outlives them all.
func (p *Platform) fork(done chan<- struct{}) {
	defer close(done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for f := range p.forker {
		f()
	}
}

// onForker runs f on the forking thread.
func (p *Platform) onForker(f func()) {
	done := make(chan struct{})
	p.forker <- func() {
		defer close(done)
		f()
	}
	<-done
}

// ScaleUp sees to it that at least n instances are on the way or running, but
// no more than max_scale, and returns when their programs run. Before Run it
// waits. Those in reserve come first.
func (p *Platform) ScaleUp(ctx context.Context, fn config.Function, n int) error {
	switch {
	case fn.Process == nil:
		return coldstart.Terminal(fmt.Errorf("function %q has no process", fn.Name))
	case fn.ColdStart.MaxScale < 1:
		return coldstart.Terminal(fmt.Errorf("function %q: max_scale is %d", fn.Name, fn.ColdStart.MaxScale))
	}
	select {
	case <-p.running:
	case <-ctx.Done():
		return ctx.Err()
	}
	live, err := p.raise(fn, min(n, fn.ColdStart.MaxScale))
	if err != nil {
		return err
	}
	for _, in := range live { // whoever started them: the error is everybody's
		select {
		case <-in.settled:
			err = errors.Join(err, in.err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// raise starts what is missing and returns all that live.
func (p *Platform) raise(fn config.Function, n int) ([]*instance, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != up {
		return nil, ErrEnded
	}
	f := p.functionLocked(fn.Name)
	live := p.resumeLocked(f, fn, n)
	for len(live) < n {
		in := newInstance(f, fn, p.log)
		f.instances = append(f.instances, in)
		live = append(live, in)
		p.work.Go(func() { p.live(in) })
	}
	p.pruneLocked(fn.Name, f)
	return live, nil
}

// ScaleDown stops the newest instances beyond n and returns when no instance is
// stopping any more. With idle_mode pause or throttle those that serve are put in
// reserve.
func (p *Platform) ScaleDown(ctx context.Context, fn config.Function, n int) error {
	if fn.ColdStart.KeepsIdle() {
		p.pause(fn.Name, n, fn.ColdStart.IdleMode == "throttle")
	} else {
		p.stopPaused(fn.Name)
	}
	for _, in := range p.stop(fn.Name, n) {
		select {
		case <-in.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (p *Platform) stop(name string, n int) []*instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.functions[name]
	if f == nil {
		return nil
	}
	p.stopLocked(f, n)
	var stopping []*instance
	for _, in := range f.instances {
		if in.state > Paused {
			stopping = append(stopping, in)
		}
	}
	return stopping
}

func (p *Platform) stopLocked(f *function, n int) {
	live := f.live()
	if len(live) <= n {
		return
	}
	for _, in := range live[max(n, 0):] {
		in.stopLocked()
	}
	p.publishLocked(f)
}

// Replicas tells how many instances are on the way or running.
func (p *Platform) Replicas(_ context.Context, fn config.Function) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.functions[fn.Name]; f != nil {
		return len(f.live()), nil
	}
	return 0, nil
}

// Instances tells what there is of a function, oldest first.
func (p *Platform) Instances(name string) []Instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.functions[name]
	if f == nil {
		return nil
	}
	var all []Instance
	for _, in := range f.instances {
		if in.state != gone {
			all = append(all, in.snapshot())
		}
	}
	return all
}

// leave notes that an instance is over and returns whether nobody had asked
// for it. It returns when every watch has reported the set without it.
func (p *Platform) leave(in *instance) (unasked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch in.state {
	case gone:
		return false
	case Running, Listening:
		unasked = true
		in.become(gone)
		p.publishLocked(in.f)
	default:
		unasked = in.state == Starting || in.state == Paused
		in.become(gone)
	}
	p.awaitToldLocked(in.f)
	return unasked
}

// forget is the last that is done for an instance.
func (p *Platform) forget(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in.f.instances = slices.DeleteFunc(in.f.instances, func(other *instance) bool { return other == in })
	p.pruneLocked(in.fn.Name, in.f)
}

func (p *Platform) functionLocked(name string) *function {
	f := p.functions[name]
	if f == nil {
		f = &function{watches: make(map[*watch]struct{})}
		p.functions[name] = f
	}
	return f
}

func (p *Platform) pruneLocked(name string, f *function) {
	if len(f.instances) == 0 && len(f.watches) == 0 {
		delete(p.functions, name)
	}
}

// live returns the instances that are on the way or running, oldest first.
func (f *function) live() []*instance {
	var live []*instance
	for _, in := range f.instances {
		if in.state.live() {
			live = append(live, in)
		}
	}
	return live
}
