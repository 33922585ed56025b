package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/coldstart/docker"
	"github.com/weir-gateway/weir/coldstart/process"
	"github.com/weir-gateway/weir/coldstart/webhook"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// A platform raises instances, and knows where they are.
type platform interface {
	coldstart.Scaler
	discovery.Provider
	Run(ctx context.Context) error
}

// platforms are those that the configuration names under scalers. Together
// they are the provider of what they have raised.
type platforms struct {
	log       *slog.Logger
	processes *process.Platform // one for all scalers of its type

	mu       sync.Mutex // guards all below
	settings map[string]config.Scaler
	byName   map[string]platform
	engines  map[string]*docker.Platform // the last one of a scaler that is, or was, on an engine
	start    func(platform)              // nil before run
}

func newPlatforms(cfg *config.Config, log *slog.Logger) (*platforms, error) {
	ps := &platforms{
		log:       log,
		processes: process.New(log),
		settings:  map[string]config.Scaler{},
		byName:    map[string]platform{},
		engines:   map[string]*docker.Platform{},
	}
	for name, s := range cfg.Scalers {
		p, err := ps.make(name, s, cfg)
		if err != nil {
			return nil, err
		}
		ps.putLocked(name, s, p)
	}
	return ps, nil
}

// putLocked has a scaler be another platform. An engine that it was on before is left
// as soon as nothing of it is there.
func (ps *platforms) putLocked(name string, s config.Scaler, p platform) {
	old, next := ps.engines[name], (*docker.Platform)(nil)
	if s.Type == "docker" {
		next = p.(*docker.Platform)
		ps.engines[name] = next
	}
	switch {
	case old != nil && next != nil:
		next.Succeed(old)
	case old != nil:
		old.Retire()
	}
	ps.settings[name], ps.byName[name] = s, p
}

func (ps *platforms) make(name string, s config.Scaler, cfg *config.Config) (platform, error) {
	switch s.Type {
	case "process":
		return ps.processes, nil
	case "docker":
		return docker.New(name, s, cfg.Functions, ps.log)
	case "webhook":
		return webhook.New(name, s, ps.log)
	}
	panic("BUG: nobody makes a scaler of type " + s.Type)
}

// run starts all of them, and from now on whatever is added.
func (ps *platforms) run(start func(platform)) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.start = start
	start(ps.processes)
	for _, p := range ps.byName {
		if p != ps.processes {
			start(p)
		}
	}
}

// prepare makes what a newer configuration names in addition, with another type, or
// on another engine, and has those that it changes ready for that. One that is
// exchanged goes on, and stops what it has raised: until weir ends, or on an engine
// until it has nothing there.
func (ps *platforms) prepare(cfg *config.Config) (apply func(), err error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	added, changed := map[string]platform{}, map[string]*webhook.Platform{}
	for name, s := range cfg.Scalers {
		switch old, here := ps.settings[name]; {
		case !here || !old.SamePlace(s):
			added[name], err = ps.make(name, s, cfg)
		case old != s && s.Type == "webhook":
			changed[name] = ps.byName[name].(*webhook.Platform)
			err = webhook.Check(name, s)
		}
		if err != nil {
			return nil, err
		}
	}
	return func() {
		ps.mu.Lock()
		defer ps.mu.Unlock()
		for name, p := range added {
			ps.putLocked(name, cfg.Scalers[name], p)
			if ps.start != nil && p != ps.processes {
				ps.start(p)
			}
		}
		for name, p := range changed {
			ps.settings[name] = cfg.Scalers[name]
			p.Configure(cfg.Scalers[name])
		}
	}, nil
}

// scalers are all of them, by name.
func (ps *platforms) scalers() map[string]coldstart.Scaler {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	scalers := map[string]coldstart.Scaler{}
	for name, p := range maps.All(ps.byName) {
		scalers[name] = p
	}
	return scalers
}

// of is the platform of a scaler; nil if there is none.
func (ps *platforms) of(scaler string) platform {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.byName[scaler]
}

// String names the provider.
func (ps *platforms) String() string { return "platforms" }

// Fixed tells that nobody raises a function without a scaler.
func (ps *platforms) Fixed(fn *config.Function) (set []discovery.Endpoint, ok bool) {
	return nil, fn.ColdStart.Scaler == ""
}

// Watch reports what the function's platform has raised.
func (ps *platforms) Watch(ctx context.Context, fn *config.Function, report func([]discovery.Endpoint)) error {
	if p := ps.of(fn.ColdStart.Scaler); p != nil {
		return p.Watch(ctx, fn, report)
	}
	return discovery.Nothing(ctx, report)
}

// announce passes on what an instance says of itself.
func (ps *platforms) announce(ctx context.Context, fn config.Function, kind, token string, body []byte) error {
	p, ok := ps.of(fn.ColdStart.Scaler).(interface {
		Announce(ctx context.Context, function, kind, token string, body []byte) error
	})
	if !ok {
		return &webhook.Refusal{Status: http.StatusNotFound, Slug: "not_found",
			Detail: fmt.Sprintf("Instances of %q do not announce themselves: its scaler is no webhook.", fn.Name)}
	}
	return p.Announce(ctx, fn.Name, kind, token, body)
}

// announce takes what an instance of a function says of itself.
func (g *gateway) announce(ctx context.Context, function, kind, token string, body []byte) error {
	var fn config.Function // unknown ones have no platform
	if t := g.keeper.Table(); t != nil && t.Functions[function] != nil {
		fn = t.Functions[function].Function
	}
	fn.Name = function
	return g.platforms.announce(ctx, fn, kind, token, body)
}
