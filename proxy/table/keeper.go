package table

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/shaping"
)

const (
	// weir does not listen before every provider has spoken once, but no
	// longer than this: a provider that is away must not keep the rest down.
	firstWord = 5 * time.Second

	// How often links that left are looked at, to let them go when their last
	// call has ended.
	sweepEvery = time.Second
)

// A Keeper is the one writer of tables and sets.
type Keeper struct {
	provider     discovery.Provider
	activator    *coldstart.Activator
	newTransport NewTransport
	newMeter     func(function string) Meter
	published    func(lag time.Duration)
	log          *slog.Logger

	pool  *coldstart.Pool
	table atomic.Pointer[Table]
	ready chan struct{}
	inbox *inbox

	// Run's own.
	watches   map[string]*watch
	unsettled map[*watch]bool      // with links that have left, or whose window opens
	work      sync.WaitGroup       // watches and probes
	version   uint64               // of sets
	part      shaping.Part         // of the limits that are shared
	routers   []Router             // that share them; none: nobody has said who there is
	others    map[string]*Endpoint // of these, by their addresses

	due          map[*watch]time.Time // when the shares of regions change by themselves
	unconfigured map[string]bool      // regions that were told to be
}

// Parts are what a Keeper is made of.
type Parts struct {
	Provider     discovery.Provider
	Activator    *coldstart.Activator
	NewTransport NewTransport
	NewMeter     func(function string) Meter
	Published    func(lag time.Duration) // of each set that follows from a report; may be nil
	Log          *slog.Logger
}

// NewKeeper makes a Keeper for a first configuration. Nothing happens before
// Run.
func NewKeeper(cfg *config.Config, p Parts) *Keeper {
	k := &Keeper{
		provider:     p.Provider,
		activator:    p.Activator,
		newTransport: p.NewTransport,
		newMeter:     p.NewMeter,
		published:    p.Published,
		log:          p.Log,
		pool:         coldstart.NewPool(cfg.ColdStart.MaxPending),
		ready:        make(chan struct{}),
		inbox:        newInbox(),
		watches:      map[string]*watch{},
		unsettled:    map[*watch]bool{},
		due:          map[*watch]time.Time{},
		unconfigured: map[string]bool{},
	}
	k.Propose(cfg)
	return k
}

// Table returns the table that stands now; nil before Ready. Load it once for
// each call.
func (k *Keeper) Table() *Table { return k.table.Load() }

// Pool returns the places that held calls take, over all functions.
func (k *Keeper) Pool() *coldstart.Pool { return k.pool }

// Ready is closed when the first table stands and every provider has spoken,
// or has had time to.
func (k *Keeper) Ready() <-chan struct{} { return k.ready }

// Propose hands in a configuration. The newest one wins; it never blocks.
func (k *Keeper) Propose(cfg *config.Config) {
	k.inbox.put(func() { k.inbox.config = cfg })
}

// After has f called when what was proposed before is the table: once, by the
// Keeper, which it must not keep waiting.
func (k *Keeper) After(f func()) {
	k.inbox.put(func() { k.inbox.after = append(k.inbox.after, f) })
}

// Share hands in which part of the limits that are shared is this router's. The
// newest one wins; it never blocks.
func (k *Keeper) Share(part shaping.Part) {
	k.inbox.put(func() { k.inbox.part = &part })
}

// Run writes until ctx ends, and returns when its watches and probes are over.
func (k *Keeper) Run(ctx context.Context) error {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	first := time.NewTimer(firstWord)
	defer first.Stop()
	shares := time.NewTimer(firstWord)
	defer shares.Stop()
	for {
		select {
		case <-ctx.Done():
			k.work.Wait()
			return nil
		case <-k.inbox.bell:
			k.handle(ctx, k.inbox.take())
			k.nextDue(shares)
			k.checkReady(false)
		case <-shares.C:
			k.splitDue(time.Now())
			k.nextDue(shares)
		case <-sweep.C:
			k.sweep()
		case <-first.C:
			k.checkReady(true)
		}
	}
}

func (k *Keeper) handle(ctx context.Context, n news) {
	if n.part != nil {
		k.divide(*n.part)
	}
	if n.routers == nil && n.alone && k.routers == nil {
		n.routers = []Router{{Self: true}}
	}
	if n.routers != nil {
		k.meet(n.routers)
	}
	if n.config != nil {
		k.adopt(ctx, n.config)
	}
	for _, f := range n.after {
		f()
	}
	for p, seen := range n.proven {
		p.watch.proven[p.id] = true
		p.watch.seen = seen
		p.watch.endProbe(p.id)
		if link := p.watch.links[p.id]; link != nil {
			link.doubted.Store(false)
		}
		n.again(p.watch)
	}
	for d := range n.doubts {
		if w := k.watches[d.function]; w != nil && w.links[d.id] != nil {
			w.proven[d.id] = false
			n.again(w)
		}
	}
	for name := range n.shaken {
		if w := k.watches[name]; w != nil {
			k.fareAnew(w, time.Now())
		}
	}
	for w, report := range n.reports {
		if k.watches[w.name] == w { // else of a function that left
			w.reported, w.spoken = report.endpoints, true
			w.seen = later(w.seen, report.seen)
			k.assemble(ctx, w)
			if k.published != nil && !report.seen.IsZero() {
				k.published(time.Since(report.seen))
			}
		}
	}
}

// adopt makes a configuration the table.
func (k *Keeper) adopt(ctx context.Context, cfg *config.Config) {
	prev := k.Table()
	next := k.build(prev, cfg)
	k.table.Store(next)
	if prev != nil {
		k.tellRegions(prev.Config, cfg)
	}
	k.settle(ctx, prev, next)
	k.log.Info("table", "version", next.Version, "functions", len(next.Functions), "routes", len(cfg.Routes),
		"refused", len(next.Refused), "config", cfg.Hash)
	for _, r := range next.Refused {
		if prev != nil && slices.Contains(prev.Refused, r) {
			continue // it was told: a table may be made a hundred times a second
		}
		k.log.Warn("refused", "what", r.What, "reason", r.Reason)
	}
}

// divide gives this router another part of what is shared.
func (k *Keeper) divide(part shaping.Part) {
	k.part = part
	tab := k.Table()
	if tab == nil {
		return // adopt will
	}
	now := time.Now()
	for _, fn := range tab.Functions {
		fn.Limiter.Configure(fn.RateLimit, ratePolicy(fn.RateLimit), part, now)
	}
}

// settle brings what lives on in line with the table that has just been
// published.
func (k *Keeper) settle(ctx context.Context, prev, next *Table) {
	k.pool.SetLimit(next.Config.ColdStart.MaxPending)
	k.pool.SetMaxBytes(int64(next.Config.ColdStart.MaxBytes))
	k.activator.SetMaxStarting(next.Config.ColdStart.MaxStarting)
	k.activator.SetMaxWatching(next.Config.ColdStart.MaxWatching)
	var same alike
	for name, fn := range next.Functions {
		if prev != nil && prev.Functions[name] == fn && prev.Config.Region == next.Config.Region && prev.Config.Zone == next.Config.Zone {
			if w, spread := k.watches[name], next.Config.SpreadOf(name); !same.spread(w.spread, spread) {
				k.steer(ctx, w, spread)
			}
			continue // else it does not notice that the configuration was read
		}
		fn.limit()
		if r := fn.Retries; r != nil {
			fn.Budget.SetLimits(r.Budget.Percent, r.Budget.MinPerSecond)
		}
		if h := fn.Hedging; h != nil {
			fn.Hedges.SetLimits(h.Budget.Percent, h.Budget.MinPerSecond)
		}
		fn.Limiter.Configure(fn.RateLimit, ratePolicy(fn.RateLimit), k.part, time.Now())
		fn.Breaker.Configure(fn.CircuitBreaker)
		fn.Hold.SetLimit(fn.ColdStart.MaxPending)
		fn.Hold.SetLIFO(fn.ColdStart.OverloadOrder == "lifo")
		fn.wake()
		k.place(fn) // before it begins: whether anything is to run without a call
		k.settleStart(prev, fn)
		k.watchFunction(ctx, name, fn, next.Config)
	}
	if prev == nil {
		return
	}
	for name, fn := range prev.Functions {
		now := next.Functions[name]
		if now != nil && now.State == fn.State {
			continue
		}
		if now != nil {
			fn.Hold.Close(ErrMoved)
		} else {
			fn.Hold.Close(coldstart.ErrGone)
		}
		if fn.Start != nil {
			fn.Start.Leave()
		}
		if now == nil {
			k.unwatch(name)
			fn.Meter.Unregister()
		}
	}
}

// settleStart tells the function's Activation what has changed.
func (k *Keeper) settleStart(prev *Table, fn *Function) {
	if fn.Start == nil {
		return
	}
	if prev == nil || prev.Functions[fn.Name] == nil || prev.Functions[fn.Name].State != fn.State {
		fn.Start.Begin()
		return
	}
	fn.Start.Change(fn.Function, !sameInstances(prev.Functions[fn.Name].Function, fn.Function))
}

func (k *Keeper) checkReady(late bool) {
	select {
	case <-k.ready:
		return
	default:
	}
	if k.Table() == nil {
		return
	}
	for _, w := range k.watches {
		if !w.spoken && !late {
			return
		}
	}
	close(k.ready)
}
