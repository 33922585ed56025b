package main

import (
	"errors"

	"github.com/weir-gateway/weir/config"
)

// prepare gets ready what a configuration needs that was read anew, all that can
// fail, and returns what takes it over. If something of it cannot be had, or
// cannot change while weir runs, nothing is taken over.
func (g *gateway) prepare(cfg *config.Config) (apply func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cfg.Admin.Address != cfg.Admin.Address {
		return nil, errors.New("takes effect only after a restart: admin.address; restart weir, or take the change back: nothing of this configuration is taken over until then")
	}
	platforms, err := g.platforms.prepare(cfg)
	if err != nil {
		return nil, err
	}
	registry, err := g.registry.prepare(cfg)
	if err != nil {
		return nil, err
	}
	traces, err := g.traces.prepare(cfg)
	if err != nil {
		return nil, err
	}
	log, dropLog, err := g.telemetry.PrepareLog(cfg.Telemetry.AccessLog)
	if err != nil {
		return nil, err
	}
	listeners, err := g.prepareListenersLocked(cfg)
	if err != nil {
		dropLog()
		return nil, err
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		platforms()
		g.activator.Use(g.platforms.scalers())
		registry()
		g.peers.Use(cfg.Peers, listensOn(cfg))
		if g.keys != nil {
			g.keys.use(cfg)
		}
		g.telemetry.SetRegion(cfg.Region)
		g.newest = cfg
		if !declares(cfg) {
			g.declared = declarations{}
		}
		g.proposeLocked()
		log()
		traces()
		listeners() // last: who comes over a new one has the routes that come with it
	}, nil
}
