package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/coldstart/forecast"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/internal/admin"
	"github.com/weir-gateway/weir/internal/telemetry"
	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/http1"
	"github.com/weir-gateway/weir/proxy/table"
)

// A gateway is all of weir, wired.
type gateway struct {
	log       *slog.Logger
	telemetry *telemetry.Telemetry
	platforms *platforms
	activator *coldstart.Activator
	forecast  *forecast.Forecaster
	keeper    *table.Keeper
	proxy     *proxy.Proxy
	watcher   *http1.Watcher
	admin     *admin.Server
	ready     *admin.Readiness
	options   options

	mu      sync.Mutex // guards all below
	cfg     *config.Config
	servers []*http1.Server
}

// options are what a command wants of a gateway beyond the configuration.
type options struct {
	recorder func(proxy.Recorder) proxy.Recorder    // goes around telemetry; nil is nothing
	serving  func(listeners []string, admin string) // called once calls are taken, with the addresses; may be nil
}

// newGateway wires a gateway for a configuration. Nothing happens before run.
func newGateway(cfg *config.Config, log *slog.Logger, o options) (*gateway, error) {
	g := &gateway{cfg: cfg, log: log, options: o, ready: admin.NewReadiness("config", "table", "listeners", "not_draining")}
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
	g.activator = coldstart.NewActivator(g.platforms.scalers(), g.telemetry, log)
	g.keeper = table.NewKeeper(cfg, table.Parts{
		Provider:     discovery.Merge(discovery.NewStatic(log), g.platforms),
		Activator:    g.activator,
		NewTransport: http1.NewPool,
		NewMeter:     g.telemetry.NewMeter,
		Log:          log,
	})
	var recorder proxy.Recorder = g.telemetry
	if o.recorder != nil {
		recorder = o.recorder(recorder)
	}
	g.proxy = proxy.New(g.keeper, recorder, log)
	g.forecast = forecast.New(g.activator, g.sight, log)
	g.forecast.Configure(cfg)
	g.proxy.OnVisit(func(function string, at time.Time, gap time.Duration, trace [16]byte) {
		g.forecast.Visited(forecast.Visit{Function: function, At: at, Gap: gap, Trace: trace})
	})
	g.admin = admin.New(admin.Parts{Scene: g.scene, Telemetry: g.telemetry, Announce: g.announce, Ready: g.ready, Log: log})
	g.ready.Set("config", true)
	g.ready.Set("not_draining", true)
	return g, nil
}

// scene is what there is to see of the gateway now.
func (g *gateway) scene() telemetry.Scene {
	scene := telemetry.Scene{
		Table: g.keeper.Table(), InFlight: g.proxy.InFlight(), HeldBytes: g.keeper.Pool().Bytes(), Expected: g.forecast.Expected,
		Version: version, Revision: revision,
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.servers {
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
	work.Go(func() error { return g.activator.Run(control) })
	work.Go(func() error { return g.forecast.Run(control) })
	work.Go(func() error { return g.keeper.Run(control) })
	work.Go(func() error { return g.watcher.Run(control) })
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
	g.ready.Set("table", true)
	addresses, err := g.open(work)
	if err != nil {
		return err
	}
	g.ready.Set("listeners", true)
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

// open begins to listen on every address, and returns what they have come to.
func (g *gateway) open(work *errgroup.Group) (addresses []string, err error) {
	var opened []net.Listener
	for _, l := range g.cfg.Listeners {
		ln, err := listen(l.Address)
		if err != nil {
			for _, ln := range opened {
				_ = ln.Close()
			}
			return nil, err
		}
		opened = append(opened, ln)
		addresses = append(addresses, ln.Addr().String())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, l := range g.cfg.Listeners {
		server := http1.NewServer(l, g.cfg.Defaults.Timeouts.Idle, g.proxy, g.watcher, g.log)
		g.servers = append(g.servers, server)
		work.Go(func() error { return server.Serve(opened[i]) })
	}
	g.configureLocked(g.keeper.Table().Config) // it may have been read again meanwhile
	return addresses, nil
}

// lastAnswers is how long the answers to calls that ran out of time may take to
// leave.
const lastAnswers = 500 * time.Millisecond

// drain lets the running and held calls end. /readyz is red at once; what the
// grace does not suffice for is answered with a 503 as far as it can be, and
// cut off.
func (g *gateway) drain(force <-chan struct{}) error {
	g.ready.Set("not_draining", false)
	began := time.Now()
	settings := g.keeper.Table().Config.Shutdown // of the newest configuration
	g.log.Info("draining", "in_flight", g.proxy.InFlight(), "delay_ms", settings.DrainDelay.Milliseconds(), "grace_ms", settings.Grace.Milliseconds())
	pause(settings.DrainDelay, force)
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
	for _, server := range g.servers {
		work.Go(func() error { return server.Drain(ctx) })
	}
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

// reload takes over a configuration that has been read anew. What cannot be
// changed while weir runs is said.
func (g *gateway) reload(cfg *config.Config) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.configureLocked(cfg)
	for _, fixed := range append(changedForGood(g.cfg, cfg), g.platforms.add(cfg)...) {
		g.log.Warn("takes effect after a restart", "setting", fixed)
	}
	g.activator.Use(g.platforms.scalers())
	g.keeper.Propose(cfg)
	g.forecast.Configure(cfg)
}

// configureLocked gives the listeners their settings, the address aside.
func (g *gateway) configureLocked(cfg *config.Config) {
	for i, server := range g.servers {
		if i < len(cfg.Listeners) && cfg.Listeners[i].Address == g.cfg.Listeners[i].Address {
			server.Configure(cfg.Listeners[i], cfg.Defaults.Timeouts.Idle)
		}
	}
}

// changedForGood names the settings that differ and need a restart.
func changedForGood(old, new *config.Config) (names []string) {
	if len(old.Listeners) != len(new.Listeners) {
		names = append(names, "listeners")
	}
	for i := range min(len(old.Listeners), len(new.Listeners)) {
		if old.Listeners[i].Address != new.Listeners[i].Address {
			names = append(names, fmt.Sprintf("listeners[%d].address", i))
		}
	}
	if old.Admin != new.Admin {
		names = append(names, "admin.address")
	}
	if old.Region != new.Region {
		names = append(names, "region")
	}
	if old.Telemetry != new.Telemetry {
		names = append(names, "telemetry")
	}
	return names
}

// errListen wraps why an address cannot be listened on.
var errListen = errors.New("cannot listen")

func listen(address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w on %s: %w", errListen, address, errors.Unwrap(err))
	}
	return ln, nil
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
