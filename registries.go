package main

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/discovery/consul"
	"github.com/weir-gateway/weir/internal/telemetry"
	"github.com/weir-gateway/weir/proxy/table"
)

// registries are what discovery names: where endpoints are learned from that
// weir has not raised itself. They are exchanged when their settings change;
// the endpoints stand meanwhile.
type registries struct {
	*discovery.Swap
	log     *slog.Logger
	declare func(context.Context, declarations) // is told what services declare

	mu     sync.Mutex // guards all below
	cfg    config.Discovery
	region string // of this weir: what services in Consul are in that nobody says more of
	now    era
	begin  func(func(context.Context) error) // nil before run
}

// An era is how long settings last.
type era struct {
	provider discovery.Provider
	consul   *consul.Registry // nil: none
	others   *sources
	memory   *discovery.Memory // nil: none
	over     func()            // ends what runs
}

func newRegistries(cfg *config.Config, log *slog.Logger, declare func(context.Context, declarations)) (*registries, error) {
	rs := &registries{log: log, declare: declare, region: cfg.Region, cfg: cfg.Discovery}
	now, err := rs.make(cfg.Discovery, cfg.Region, era{})
	if err != nil {
		return nil, err
	}
	rs.now, rs.Swap = now, discovery.NewSwap(now.provider)
	return rs, nil
}

// make makes what settings name. A memory in the same folder is the same one:
// it has not written everything yet.
func (rs *registries) make(cfg config.Discovery, region string, last era) (e era, err error) {
	e.over = func() {}
	if last.memory != nil && cfg.Remember == rs.cfg.Remember {
		e.memory, e.over = last.memory, last.over
	} else if cfg.Remember != "" {
		if e.memory, err = discovery.NewMemory(cfg.Remember, rs.log); err != nil {
			return era{}, err
		}
	}
	e.others = newSources(cfg, rs.log)
	var registry []discovery.Provider
	if cfg.Consul != nil {
		if e.consul, err = consul.New(*cfg.Consul, region, rs.log); err != nil {
			return era{}, err
		}
		registry = e.consul.Providers()
		if cfg.Consul.TagRoutes {
			e.others.runs = append(e.others.runs, func(ctx context.Context) error {
				return watchDeclarations(ctx, e.consul, e.memory, rs.declare)
			})
		}
	}
	providers := bySource(e.others.providers)
	if e.memory != nil {
		for i, p := range registry {
			registry[i] = discovery.Remember(p, e.memory)
		}
		for name, p := range providers {
			providers[name] = discovery.Remember(p, e.memory)
		}
	}
	if len(registry) > 0 {
		providers[config.FromConsul] = discovery.Merge(registry...)
	}
	e.provider = providers
	return e, nil
}

// Fixed tells that no source knows a function that is no service.
func (rs *registries) Fixed(fn *config.Function) (set []discovery.Endpoint, ok bool) {
	return nil, fn.Service == ""
}

// run starts what has to run now, and later what is exchanged for it.
func (rs *registries) run(begin func(func(context.Context) error)) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.begin = begin
	rs.now.others.run(begin)
	rs.beginLocked()
}

func (rs *registries) beginLocked() {
	memory := rs.now.memory
	if memory == nil || rs.begin == nil {
		return
	}
	over := make(chan struct{})
	rs.now.over = sync.OnceFunc(func() { close(over) })
	rs.begin(func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			select {
			case <-over:
				cancel()
			case <-ctx.Done():
			}
		}()
		return memory.Run(ctx)
	})
}

// prepare makes what newer settings name, which apply takes over.
func (rs *registries) prepare(cfg *config.Config) (apply func(), err error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	elsewhere := cfg.Discovery.Consul != nil && cfg.Region != rs.region
	if reflect.DeepEqual(rs.cfg, cfg.Discovery) && !elsewhere {
		return func() {}, nil
	}
	next, err := rs.make(cfg.Discovery, cfg.Region, rs.now)
	if err != nil {
		return nil, err
	}
	return func() { rs.use(cfg.Discovery, cfg.Region, next) }, nil
}

func (rs *registries) use(cfg config.Discovery, region string, next era) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	old := rs.now
	rs.cfg, rs.region, rs.now = cfg, region, next
	rs.Use(next.provider) // its watches are over when this returns
	if old.consul != nil {
		old.consul.Close()
	}
	old.others.end()
	if rs.begin != nil {
		next.others.run(rs.begin)
	}
	if old.memory != next.memory {
		old.over()
		rs.beginLocked()
	}
}

// refused is what of the sources weir does without.
func (rs *registries) refused() (all []table.Refusal) {
	rs.mu.Lock()
	now := rs.now
	rs.mu.Unlock()
	refused := now.others.refused()
	if now.consul != nil {
		refused = append(refused, now.consul.Refused()...)
	}
	for _, r := range refused {
		all = append(all, table.Refusal{What: r.What, Reason: r.Reason})
	}
	return all
}

// sources are how they fare.
func (rs *registries) sources() (seen []telemetry.Source) {
	rs.mu.Lock()
	now := rs.now
	rs.mu.Unlock()
	if now.consul != nil {
		for _, c := range now.consul.Counts() {
			seen = append(seen, telemetry.Source{
				Provider: "consul", Region: c.Region, Datacenter: c.Datacenter, Watched: c.Services, Guarded: c.Guarded,
				Updates: c.Updates, Queries: c.Queries, Failures: c.Failures, LastSuccess: c.LastSuccess, FailingFrom: c.FailingFrom,
			})
		}
	}
	return seen
}

// memory is where is kept what sources say; nil if nowhere.
func (rs *registries) memory() *discovery.Memory {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.now.memory
}

// recalls are what stands from memory, the endpoints by function.
func (rs *registries) recalls() []telemetry.Recall {
	memory := rs.memory()
	if memory == nil {
		return nil
	}
	oldest := map[string]telemetry.Recall{}
	for _, r := range memory.Recalls() {
		if first, ok := oldest[r.Function]; !ok || r.Learned.Before(first.Learned) {
			oldest[r.Function] = telemetry.Recall{Function: r.Function, Learned: r.Learned}
		}
	}
	return slices.SortedFunc(maps.Values(oldest), func(a, b telemetry.Recall) int { return cmp.Compare(a.Function, b.Function) })
}
