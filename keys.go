package main

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/discovery/consul"
)

// keys are what Consul says of the configuration. They are asked for anew when
// the settings of Consul change; what was said last stands meanwhile.
type keys struct {
	log    *slog.Logger
	memory func() *discovery.Memory
	tell   func(context.Context, []config.Fragment) // ctx is over if somebody else is asked by now

	mu     sync.Mutex // guards all below
	cfg    config.Discovery
	region string                            // of this weir
	begin  func(func(context.Context) error) // nil before run
	end    context.CancelFunc                // of the watch that goes on
}

func newKeys(cfg *config.Config, log *slog.Logger, memory func() *discovery.Memory, tell func(context.Context, []config.Fragment)) *keys {
	return &keys{log: log, region: cfg.Region, memory: memory, tell: tell, cfg: cfg.Discovery, end: func() {}}
}

// run starts to watch, and later what is watched instead.
func (k *keys) run(begin func(func(context.Context) error)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.begin = begin
	k.watchLocked()
}

// use takes over newer settings. It waits for nobody: whoever calls it may hold
// what tell needs.
func (k *keys) use(cfg *config.Config) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if reflect.DeepEqual(k.cfg.Consul, cfg.Discovery.Consul) && k.cfg.Remember == cfg.Discovery.Remember && k.region == cfg.Region {
		return
	}
	k.end()
	k.cfg, k.region = cfg.Discovery, cfg.Region
	if k.begin != nil {
		k.watchLocked()
	}
}

func (k *keys) watchLocked() {
	cfg, region, own := k.cfg.Consul, k.region, context.Background()
	own, k.end = context.WithCancel(own)
	k.begin(func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(own, cancel)()
		k.watch(ctx, cfg, region)
		return nil
	})
}

func (k *keys) watch(ctx context.Context, cfg *config.Consul, region string) {
	if cfg == nil || cfg.ConfigPrefix == "" {
		k.tell(ctx, nil)
		return
	}
	registry, err := consul.New(*cfg, region, k.log)
	if err != nil {
		k.log.Error("cannot ask consul for keys; what they said last stands", "error", err.Error())
		return
	}
	defer registry.Close()
	registry.WatchKeys(ctx, k.memory(), func(fragments []config.Fragment) { k.tell(ctx, fragments) })
}

// firstKeys is how long weir waits at its start to be told what keys say: calls
// that come before would be carried by the files alone.
const firstKeys = 5 * time.Second

func (g *gateway) awaitKeys(ctx context.Context) {
	consul := g.cfg.Discovery.Consul
	if g.keys == nil || consul == nil || consul.ConfigPrefix == "" {
		return
	}
	timer := time.NewTimer(firstKeys)
	defer timer.Stop()
	select {
	case <-g.options.layers.Heard():
	case <-timer.C:
		g.log.Warn("consul's keys are not known yet; weir serves by its files until they are")
	case <-ctx.Done():
	}
}
