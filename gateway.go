package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/coldstart/forecast"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/config/layers"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/internal/admin"
	"github.com/weir-gateway/weir/internal/shift"
	"github.com/weir-gateway/weir/internal/telemetry"
	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/http1"
	"github.com/weir-gateway/weir/proxy/table"
)

// A gateway is all of weir, wired.
type gateway struct {
	log       *slog.Logger
	telemetry *telemetry.Telemetry
	traces    *traces
	platforms *platforms
	registry  *registries
	keys      *keys // nil if the configuration has no file for them to lie over
	activator *coldstart.Activator
	forecast  *forecast.Forecaster
	keeper    *table.Keeper
	peers     *discovery.Peers
	proxy     *proxy.Proxy
	watcher   *http1.Watcher
	admin     *admin.Server
	shifts    *shift.Manager // nil if the configuration has no file
	ready     *admin.Readiness
	options   options
	heard     chan struct{} // closed when services have declared their routes once
	hear      func()

	cfg *config.Config // weir was started with

	mu        sync.Mutex      // guards all below
	work      *errgroup.Group // of what runs; nil before open
	listening []listening     // in the order of the configuration
	finishing []listening     // no longer configured, with calls
	leaving   bool            // weir ends

	newest     *config.Config  // that was read
	declared   declarations    // by services
	undeclared []table.Refusal // what of it weir does without
	joined     *config.Config  // newest with what services declare,
	joinedOf   *config.Config  // as it was then
	standing   *config.Config  // the last one that was taken over as a whole
}

// options are what a command wants of a gateway beyond the configuration.
type options struct {
	recorder func(proxy.Recorder) proxy.Recorder    // goes around telemetry; nil is nothing
	serving  func(listeners []string, admin string) // called once calls are taken, with the addresses; may be nil
	layers   *layers.Stack                          // that the configuration is of; nil if it has no file
}

// newGateway wires a gateway for a configuration. Nothing happens before run.
func newGateway(cfg *config.Config, log *slog.Logger, o options) (*gateway, error) {
	g := &gateway{cfg: cfg, newest: cfg, log: log, options: o, heard: make(chan struct{}), ready: admin.NewReadiness("config", "table", "listeners", "not_draining")}
	g.hear = sync.OnceFunc(func() { close(g.heard) })
	var err error
	if g.telemetry, err = telemetry.New(cfg.Telemetry, cfg.Region, log); err != nil {
		return nil, err
	}
	if g.watcher, err = http1.NewWatcher(); err != nil {
		return nil, err
	}
	if g.platforms, err = newPlatforms(cfg, log); err != nil {
		return nil, err
	}
	if g.registry, err = newRegistries(cfg, log, g.declare); err != nil {
		return nil, err
	}
	if o.layers != nil {
		g.keys = newKeys(cfg, log, g.registry.memory, o.layers.SetConsul)
	}
	g.activator = coldstart.NewActivator(g.platforms.scalers(), g.telemetry, log)
	g.keeper = table.NewKeeper(cfg, table.Parts{
		Provider:     discovery.Merge(discovery.NewStatic(log), g.platforms, g.registry),
		Activator:    g.activator,
		NewTransport: http1.NewPool,
		NewMeter:     g.telemetry.NewMeter,
		Published:    g.telemetry.Published,
		Log:          log,
	})
	g.peers = newPeers(cfg, g.registry, g.keeper, log)
	var recorder proxy.Recorder = g.telemetry
	if o.recorder != nil {
		recorder = o.recorder(recorder)
	}
	g.proxy = proxy.New(g.keeper, recorder, log)
	if g.traces, err = newTraces(cfg, g.telemetry, g.proxy, log); err != nil {
		return nil, err
	}
	g.forecast = forecast.New(g.activator, g.sight, log)
	g.forecast.Configure(cfg)
	g.proxy.OnVisit(func(function string, at time.Time, gap time.Duration, trace [16]byte) {
		g.forecast.Visited(forecast.Visit{Function: function, At: at, Gap: gap, Trace: trace})
	})
	if o.layers != nil {
		g.shifts = shift.New(shift.Parts{Layers: o.layers, Config: o.layers.Config, Tally: g.telemetry.Tally, Log: log})
	}
	g.admin = admin.New(admin.Parts{Scene: g.scene, Telemetry: g.telemetry, Announce: g.announce, Layers: o.layers, Shifts: g.shifts, After: g.keeper.After, Ready: g.ready, Log: log})
	g.ready.Set("config", true)
	g.ready.Set("not_draining", true)
	return g, nil
}

// scene is what there is to see of the gateway now.
func (g *gateway) scene() telemetry.Scene {
	scene := telemetry.Scene{
		Table: g.keeper.Table(), InFlight: g.proxy.InFlight(), HeldBytes: g.keeper.Pool().Bytes(), Expected: g.forecast.Expected,
		Sources: g.registry.sources(), Refused: g.registry.refused(), Recalls: g.registry.recalls(), Routers: g.routers(),
		Version: version, Revision: revision,
	}
	scene.Async.UnderWay, scene.Async.Answered, scene.Async.Bytes = g.proxy.Async()
	g.mu.Lock()
	defer g.mu.Unlock()
	scene.Refused = append(scene.Refused, g.undeclared...)
	for _, s := range g.listening {
		scene.Listeners = append(scene.Listeners, telemetry.Listener{
			Name: s.Name(), Open: s.Open(), Refused: s.Refused(), Evicted: s.Evicted(),
		})
	}
	return scene
}

// sight is what the Forecaster sees of a function now.
func (g *gateway) sight(function string) (forecast.Sight, bool) {
	tab := g.keeper.Table()
	if tab == nil || tab.Functions[function] == nil {
		return forecast.Sight{}, false
	}
	fn := tab.Functions[function]
	s := forecast.Sight{Up: true}
	s.Inside, s.Last = fn.InUse()
	if fn.Start != nil {
		status := fn.Start.Status()
		s.Up, s.Start = status.State == "warm", status.ETA
	}
	return s, true
}

// run serves until ctx ends, then drains; force cuts the draining short. It
// returns http1.ErrForced if calls were cut off.
func (g *gateway) run(ctx context.Context, force <-chan struct{}) error {
	window, err := listen(g.cfg.Admin.Address)
	if err != nil {
		return err
	}
	control, stop := context.WithCancel(context.Background())
	defer stop()
	work, control := errgroup.WithContext(control)
	work.Go(func() error { return g.telemetry.Run(control) })
	g.platforms.run(func(p platform) { work.Go(func() error { return p.Run(control) }) })
	begin := func(run func(context.Context) error) { work.Go(func() error { return run(control) }) }
	g.traces.run(begin)
	g.registry.run(begin)
	if g.keys != nil {
		g.keys.run(begin)
	}
	work.Go(func() error { return g.activator.Run(control) })
	work.Go(func() error { return g.forecast.Run(control) })
	work.Go(func() error {
		g.awaitDeclarations(control)
		return g.keeper.Run(control)
	})
	work.Go(func() error { return g.peers.Run(control) })
	work.Go(func() error { return g.watcher.Run(control) })
	if g.options.layers != nil {
		work.Go(func() error { return g.options.layers.Run(control) })
		work.Go(func() error { return g.shifts.Run(control) })
	}
	work.Go(func() error { return g.admin.Serve(control, window) })

	served := g.serve(ctx, control, work, force, window.Addr().String())
	stop()
	return errors.Join(served, ignoreCanceled(work.Wait()))
}

// serve opens the listeners once it is known where to send, and closes them
// when ctx ends or something that must run has failed.
func (g *gateway) serve(ctx, control context.Context, work *errgroup.Group, force <-chan struct{}, admin string) error {
	select {
	case <-g.keeper.Ready(): // do not listen before we know where to send
	case <-ctx.Done():
		return nil
	case <-control.Done():
		return nil
	}
	g.awaitKeys(ctx)
	g.awaitPeers(ctx)
	g.ready.Set("table", true)
	addresses, err := g.open(work)
	if err != nil {
		return err
	}
	g.ready.Set("listeners", true)
	work.Go(func() error { return manageMemory(control) })
	g.log.Info("serving", "listeners", addresses, "admin", admin, "version", version)
	if g.options.serving != nil {
		g.options.serving(addresses, admin)
	}
	select {
	case <-ctx.Done():
	case <-control.Done(): // a part that must run has failed: nobody will raise or find anything
		g.proxy.ShutDown()
	}
	return g.drain(force)
}

// lastAnswers is how long the answers to calls that ran out of time may take to
// leave.
const lastAnswers = 500 * time.Millisecond

// drain lets the running and held calls end. /readyz is red at once; what the
// grace does not suffice for is answered with a 503 as far as it can be, and
// cut off.
func (g *gateway) drain(force <-chan struct{}) error {
	g.ready.Set("not_draining", false)
	servers := g.leave()
	began := time.Now()
	settings := g.keeper.Table().Config.Shutdown // of the newest configuration
	g.log.Info("draining", "in_flight", g.proxy.InFlight(), "delay_ms", settings.DrainDelay.Milliseconds(), "grace_ms", settings.Grace.Milliseconds())
	pause(settings.DrainDelay, force)
	g.proxy.Drain()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var late atomic.Bool
	go func() {
		pause(settings.Grace, force)
		if ctx.Err() == nil {
			late.Store(g.proxy.InFlight() > 0)
			g.proxy.ShutDown()
			pause(lastAnswers, nil)
			cancel()
		}
	}()
	var work errgroup.Group
	for _, l := range servers {
		work.Go(func() error { return l.Drain(ctx) })
	}
	work.Go(func() error {
		if underWay, answers := g.proxy.AwaitAsync(ctx); underWay+answers > 0 {
			g.log.Warn("lost what was kept for clients that did not wait", "calls", underWay, "answers", answers)
		}
		return nil
	})
	err := work.Wait()
	if err == nil && late.Load() {
		err = http1.ErrForced // they were answered, but not by their functions
	}
	g.log.Info("drained", "took_ms", time.Since(began).Milliseconds(), "forced", err != nil)
	return err
}

// pause waits for d, or until force is closed.
func pause(d time.Duration, force <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-force:
	}
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
