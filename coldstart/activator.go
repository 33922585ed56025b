package coldstart

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/config"
)

// ErrStartTimeout is the verdict on a start that took longer than the
// function's start_timeout.
var ErrStartTimeout = errors.New("the instance was not ready in time")

// An Activator has instances started while somebody waits for them and put
// back when nobody calls. It keeps one small state machine for each function;
// a single goroutine, Run's, moves them all, so none of them needs a lock.
type Activator struct {
	watch Observer
	log   *slog.Logger

	mu      sync.Mutex // guards scalers and inbox
	scalers map[string]Scaler
	inbox   []func()
	bell    chan struct{} // capacity one: the inbox is not empty

	watching, maxWatching atomic.Int64 // those who watch, over all functions
	maxStarting           atomic.Int64 // as starts was told last

	functions map[string]*Activation // Run's
	wishes    map[string]wish        // Run's
	starts    starts                 // Run's
	work      sync.WaitGroup         // requests to platforms under way
	ctx       context.Context        // Run's, for them
}

// NewActivator makes an Activator over scalers by name. Nothing happens before
// Run.
func NewActivator(scalers map[string]Scaler, watch Observer, log *slog.Logger) *Activator {
	a := &Activator{
		watch:     watch,
		log:       log,
		bell:      make(chan struct{}, 1),
		functions: make(map[string]*Activation),
		wishes:    make(map[string]wish),
	}
	a.Use(scalers)
	return a
}

// Use replaces the scalers that functions adopted from now on may name.
func (a *Activator) Use(scalers map[string]Scaler) {
	for _, s := range scalers {
		if r, ok := s.(Reporter); ok {
			r.Failed(a.failed)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.scalers = scalers
}

// SetMaxStarting bounds how many instances may be on their way at once, over all
// functions; 0 is no bound.
func (a *Activator) SetMaxStarting(n int) {
	if a.maxStarting.Swap(int64(n)) == int64(n) {
		return
	}
	a.post(func() {
		a.starts.limit = n
		a.starts.next()
	})
}

// Prewarm has a function raised before somebody calls it, if it is not up, and
// not put back before a moment. trigger says in logs and metrics who wanted it:
// schedule, predict, chain. At most 4 instances are on their way so at once,
// and none while a start that somebody waits for has to wait. A function that
// is not configured, or whose last starts have failed, is left alone. If nobody
// has called by then, the function is put back at that moment; once somebody has,
// idle_after holds. It does not block.
func (a *Activator) Prewarm(function, trigger string, until time.Time) {
	a.post(func() {
		if act := a.functions[function]; act != nil {
			act.prewarm(trigger, until)
		}
	})
}

// Run moves the state machines until ctx ends, then waits for the requests to
// platforms that are under way. It stops no instances: whoever runs them does.
func (a *Activator) Run(ctx context.Context) error {
	a.ctx = ctx
	for {
		select {
		case <-ctx.Done():
			a.work.Wait()
			return nil
		case <-a.bell:
			for _, event := range a.takeInbox() {
				event()
			}
		}
	}
}

// post puts an event into the inbox. It never blocks.
func (a *Activator) post(event func()) {
	a.mu.Lock()
	a.inbox = append(a.inbox, event)
	a.mu.Unlock()
	select {
	case a.bell <- struct{}{}:
	default: // it rings already
	}
}

func (a *Activator) takeInbox() []func() {
	a.mu.Lock()
	defer a.mu.Unlock()
	events := a.inbox
	a.inbox = nil
	return events
}

// Adopt prepares the care for a function; Begin begins it. The function's
// scaler is one of those in use, or Adopt fails.
func (a *Activator) Adopt(fn config.Function, hold *Hold, subject Subject) (*Activation, error) {
	a.mu.Lock()
	scaler := a.scalers[fn.ColdStart.Scaler]
	a.mu.Unlock()
	if scaler == nil {
		return nil, fmt.Errorf("function %q: no scaler %q", fn.Name, fn.ColdStart.Scaler)
	}
	act := &Activation{activator: a, scaler: scaler, hold: hold, subject: subject, fn: fn}
	act.publish()
	return act, nil
}

// failed hears from a platform that an instance ended unasked.
func (a *Activator) failed(function string, started time.Time, err error) {
	a.post(func() {
		if act := a.functions[function]; act != nil {
			act.instanceFailed(started, err)
		}
	})
}

// ask runs a request to a platform beside Run, and brings its result back. The
// context is Run's, or one below it.
func (a *Activator) ask(ctx context.Context, s Scaler, timeout time.Duration, request func(context.Context) error, done func(error)) {
	a.work.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		err := request(ctx)
		a.post(func() {
			if a.watch != nil {
				a.watch.ScalerAsked(s.String(), Repeated(ctx), err)
			}
			done(err)
		})
	})
}
