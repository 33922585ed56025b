package forecast_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/coldstart/forecast"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/shaping"
)

// A world is functions on a platform, in the care of the Activator and the
// Forecaster that the gateway runs, in simulated time.
type world struct {
	activator *coldstart.Activator
	forecast  *forecast.Forecaster
	actors    map[string]*actor
	boot      time.Duration // that an instance takes
	end       func()

	mu sync.Mutex
	told
}

// told is what the Activator tells.
type told struct {
	started map[string]int // starts, by trigger
	hits    int            // those ahead of a call that were for somebody
	misses  int
	wasted  time.Duration
}

// An actor is one function with at most one instance.
type actor struct {
	fn   config.Function
	gate shaping.Gate
	act  *coldstart.Activation

	mu        sync.Mutex
	running   bool // an instance, maybe not ready
	ready     bool
	withdrawn bool
	since     time.Time     // running
	up        time.Duration // of those that have ended
	serving   chan struct{} // closed when ready
	calls     int
	cold      int
}

// create makes a world of functions. It is for within a bubble of synctest, and
// to be ended.
func create(boot time.Duration, cfg *config.Config) *world {
	w := &world{actors: map[string]*actor{}, boot: boot, told: told{started: map[string]int{}}}
	quiet := slog.New(slog.DiscardHandler)
	w.activator = coldstart.NewActivator(map[string]coldstart.Scaler{"platform": w}, w, quiet)
	w.forecast = forecast.New(w.activator, w.look, quiet)
	for name, fn := range cfg.Functions {
		a := &actor{fn: *fn, serving: make(chan struct{})}
		w.actors[name] = a
		var err error
		if a.act, err = w.activator.Adopt(*fn, coldstart.NewHold(1, coldstart.NewPool(1), nil), a); err != nil {
			panic(err)
		}
		a.act.Begin()
	}
	w.forecast.Configure(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = w.activator.Run(ctx) })
	work.Go(func() { _ = w.forecast.Run(ctx) })
	w.end = func() {
		cancel()
		work.Wait()
	}
	synctest.Wait()
	return w
}

// call is one call of a function; it tells whether it had to wait for a start.
func (w *world) call(name string, takes time.Duration) (cold bool) {
	a := w.actors[name]
	now := time.Now()
	if gap := a.gate.Enter(moment.Of(now)); gap > a.fn.ColdStart.VisitGap() {
		w.forecast.Visited(forecast.Visit{Function: name, At: now, Gap: gap})
	}
	a.mu.Lock()
	cold = !a.ready || a.withdrawn
	a.calls++
	if cold {
		a.cold++
	}
	serving := a.serving
	a.mu.Unlock()
	if cold {
		a.act.Need()
		<-serving
	}
	time.Sleep(takes)
	a.gate.Leave(moment.Now())
	return cold
}

// idle is for how long an instance stood without a call.
func (a *actor) idle(busy time.Duration) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	up := a.up
	if a.running {
		up += time.Since(a.since)
	}
	return max(up-busy, 0)
}

func (w *world) look(function string) (forecast.Sight, bool) {
	a := w.actors[function]
	if a == nil {
		return forecast.Sight{}, false
	}
	inside, last := a.gate.Inside()
	status := a.act.Status()
	return forecast.Sight{Inside: inside, Last: last, Up: status.State == "warm", Start: status.ETA}, true
}

func (w *world) state(name string) string { return w.actors[name].act.Status().State }

// tell returns what has been told so far.
func (w *world) tell() told {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.told
	t.started = maps.Clone(t.started)
	return t
}

// The platform.

func (w *world) String() string { return "platform" }

func (w *world) ScaleUp(_ context.Context, fn config.Function, n int) error {
	a := w.actors[fn.Name]
	a.mu.Lock()
	defer a.mu.Unlock()
	if n != 1 {
		panic(fmt.Sprintf("asked for %d", n))
	}
	if a.running {
		return nil
	}
	a.running, a.since = true, time.Now()
	time.AfterFunc(w.boot, func() {
		a.mu.Lock()
		if !a.running {
			a.mu.Unlock()
			return
		}
		a.ready = true
		close(a.serving)
		a.mu.Unlock()
		a.act.Serving(1, 0, time.Now())
	})
	return nil
}

func (w *world) ScaleDown(_ context.Context, fn config.Function, _ int) error {
	a := w.actors[fn.Name]
	a.mu.Lock()
	if a.running {
		a.up += time.Since(a.since)
	}
	if a.ready {
		a.serving = make(chan struct{})
	}
	a.running, a.ready, a.withdrawn = false, false, false
	a.mu.Unlock()
	a.act.Serving(0, 0, time.Now())
	return nil
}

func (w *world) Replicas(context.Context, config.Function) (int, error) { return 0, nil }

// The subject.

func (a *actor) InUse() (int, time.Time) { return a.gate.Inside() }

func (a *actor) Withdraw() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n, _ := a.gate.Inside(); n > 0 && a.ready {
		return false
	}
	a.withdrawn = true
	return true
}

func (a *actor) Restore() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.withdrawn = false
}

func (a *actor) Addresses() []string    { return nil }
func (a *actor) Refusing() int          { return 0 }
func (a *actor) Place() coldstart.Place { return coldstart.Place{} }

// The observer.

func (w *world) ScalerAsked(string, bool, error)   {}
func (w *world) Stopped(string, string)            {}
func (w *world) Released(string, coldstart.Phases) {}

func (w *world) StartEnded(_ string, p coldstart.Phases, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		panic(err)
	}
	w.started[p.Cause]++
}

func (w *world) Prewarmed(_, _ string, used bool, wasted time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if used {
		w.hits++
	} else {
		w.misses++
		w.wasted += wasted
	}
}
