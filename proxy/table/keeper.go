package table

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
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
	log          *slog.Logger

	pool  *coldstart.Pool
	table atomic.Pointer[Table]
	ready chan struct{}
	inbox *inbox

	// Run's own.
	watches map[string]*watch
	work    sync.WaitGroup // watches and probes
	version uint64         // of sets
}

// Parts are what a Keeper is made of.
type Parts struct {
	Provider     discovery.Provider
	Activator    *coldstart.Activator
	NewTransport NewTransport
	NewMeter     func(function string) Meter
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
		log:          p.Log,
		pool:         coldstart.NewPool(cfg.ColdStart.MaxPending),
		ready:        make(chan struct{}),
		inbox:        newInbox(),
		watches:      map[string]*watch{},
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

// Run writes until ctx ends, and returns when its watches and probes are over.
func (k *Keeper) Run(ctx context.Context) error {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	first := time.NewTimer(firstWord)
	defer first.Stop()
	for {
		select {
		case <-ctx.Done():
			k.work.Wait()
			return nil
		case <-k.inbox.bell:
			k.handle(ctx, k.inbox.take())
			k.checkReady(false)
		case <-sweep.C:
			k.sweep()
		case <-first.C:
			k.checkReady(true)
		}
	}
}

func (k *Keeper) handle(ctx context.Context, n news) {
	if n.config != nil {
		k.adopt(ctx, n.config)
	}
	for p, seen := range n.proven {
		p.watch.proven[p.id] = true
		p.watch.seen = seen
		p.watch.endProbe(p.id)
		if _, again := n.reports[p.watch]; !again {
			n.reports[p.watch] = report{endpoints: p.watch.reported}
		}
	}
	for w, report := range n.reports {
		if k.watches[w.name] == w { // else of a function that left
			w.reported, w.spoken = report.endpoints, true
			w.seen = later(w.seen, report.seen)
			k.assemble(ctx, w)
		}
	}
}

// adopt makes a configuration the table.
func (k *Keeper) adopt(ctx context.Context, cfg *config.Config) {
	prev := k.Table()
	next := k.build(prev, cfg)
	k.table.Store(next)
	k.settle(ctx, prev, next)
	k.log.Info("table", "version", next.Version, "functions", len(next.Functions), "routes", len(cfg.Routes),
		"refused", len(next.Refused), "config", cfg.Hash)
	for _, r := range next.Refused {
		k.log.Warn("refused", "what", r.What, "reason", r.Reason)
	}
}

// settle brings what lives on in line with the table that has just been
// published.
func (k *Keeper) settle(ctx context.Context, prev, next *Table) {
	k.pool.SetLimit(next.Config.ColdStart.MaxPending)
	k.pool.SetMaxBytes(int64(next.Config.ColdStart.MaxBytes))
	k.activator.SetMaxStarting(next.Config.ColdStart.MaxStarting)
	for name, fn := range next.Functions {
		fn.Gate.SetLimit(fn.Concurrency.MaxRequests)
		fn.Hold.SetLimit(fn.ColdStart.MaxPending)
		if same(prev, next, name) {
			k.watches[name].fn = fn
			continue
		}
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
		fn.Hold.Close(coldstart.ErrGone)
		if fn.Start != nil {
			fn.Start.Leave()
		}
		if now == nil {
			k.unwatch(name)
			fn.Meter.Unregister()
		}
	}
}

// same tells whether nothing has changed for a function: then it does not
// notice that the configuration was read.
func same(prev, next *Table, name string) bool {
	if prev == nil || prev.Functions[name] == nil {
		return false
	}
	was, now := prev.Functions[name], next.Functions[name]
	return was.State == now.State && prev.Config.Region == next.Config.Region &&
		reflect.DeepEqual(was.Function, now.Function)
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
