package main

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/discovery/consul"
	"github.com/weir-gateway/weir/discovery/tags"
	"github.com/weir-gateway/weir/proxy/table"
)

// declarations are the routes that services declare of themselves, as they
// stand now.
type declarations struct {
	routes  []config.Registered
	refused []table.Refusal // those that cannot be read
}

// watchDeclarations tells what services declare, until ctx ends. How many instances
// serve matters only where several declare the same: that a check fails in between
// is no news to the rest.
func watchDeclarations(ctx context.Context, registry *consul.Registry, memory *discovery.Memory, tell func(context.Context, declarations)) error {
	known := map[string]declarations{} // by service
	claims := map[string]int{}         // by calls: how many declare a route for them
	claim := func(d declarations, n int) (shared bool) {
		for _, r := range d.routes {
			calls := r.Calls()
			shared = shared || claims[calls] > 1
			if claims[calls] += n; claims[calls] == 0 {
				delete(claims, calls)
			}
		}
		return shared
	}
	first := true
	registry.WatchServices(ctx, memory, tags.Known, func(changed map[string][]consul.Instance) {
		news := first
		first = false
		for name, instances := range changed {
			was, now := known[name], declaredBy(name, instances)
			shared := claim(was, -1)
			claim(now, 1)
			news = news || shared || !reflect.DeepEqual(was.alike(), now.alike())
			if known[name] = now; len(instances) == 0 {
				delete(known, name)
			}
		}
		if !news {
			return
		}
		var all declarations
		for _, name := range slices.Sorted(maps.Keys(known)) {
			all.routes = append(all.routes, known[name].routes...)
			all.refused = append(all.refused, known[name].refused...)
		}
		tell(ctx, all)
	})
	return nil
}

// alike is what is declared, however many serve.
func (d declarations) alike() declarations {
	d.routes = slices.Clone(d.routes)
	for i := range d.routes {
		d.routes[i].Serving = 0
	}
	return d
}

// declaredBy reads what the instances of one service say.
func declaredBy(service string, instances []consul.Instance) (d declarations) {
	said := make([]tags.Instance, len(instances))
	for i, one := range instances {
		said[i] = tags.Instance(one)
	}
	routes, unread := tags.Read(service, said)
	all, left := tags.Registered(routes)
	d.routes = all
	for _, r := range append(unread, left...) {
		d.refused = append(d.refused, table.Refusal{What: r.What, Reason: r.Reason})
	}
	return d
}

// declares tells whether services may declare routes.
func declares(cfg *config.Config) bool {
	return cfg.Discovery.Consul != nil && cfg.Discovery.Consul.TagRoutes
}

// firstDeclarations is how long weir waits at its start to be told what services
// declare: calls that come before would be told that there is no route.
const firstDeclarations = 5 * time.Second

func (g *gateway) awaitDeclarations(ctx context.Context) {
	if !declares(g.cfg) {
		return
	}
	timer := time.NewTimer(firstDeclarations)
	defer timer.Stop()
	select {
	case <-g.heard:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// declare takes over what services declare; ctx is over if somebody else is
// asked by now.
func (g *gateway) declare(ctx context.Context, d declarations) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	g.declared = d
	g.proposeLocked()
	g.hear()
}

// proposeLocked has the Keeper take over the configuration with what services
// declare.
func (g *gateway) proposeLocked() {
	cfg, refused := g.newest.WithRegistered(g.declared.routes)
	before := g.undeclared
	g.undeclared = slices.Clone(g.declared.refused)
	for _, r := range refused {
		g.undeclared = append(g.undeclared, table.Refusal{What: r.What, Reason: r.Reason})
	}
	for _, r := range g.undeclared {
		if !slices.Contains(before, r) {
			g.log.Warn("refused", "what", r.What, "reason", r.Reason)
		}
	}
	had := g.joined
	switch g.joined = cfg; {
	case g.joinedOf != g.newest:
		g.joinedOf = g.newest
		g.takeOverLocked(cfg)
	case had.SameRegistered(cfg):
		g.joined = had // it stands, or is about to
	case g.hasStrangers(cfg):
		g.keeper.Propose(cfg.Bridge(g.standing))
		g.cross(cfg, time.Now().Add(mostStrange))
	default:
		g.takeOverLocked(cfg)
	}
}

func (g *gateway) takeOverLocked(cfg *config.Config) {
	g.standing = cfg
	g.keeper.Propose(cfg)
	g.forecast.Configure(cfg)
}

// How long calls are kept from functions that nobody is known to serve yet, and how
// often it is looked.
const (
	mostStrange = 2 * time.Second
	lookAgain   = 10 * time.Millisecond
)

// hasStrangers tells whether a service declares a function that does not stand, and
// of which no endpoint is known. Calls that others had may lead to it: of instances
// that are told apart by their tags from now on.
func (g *gateway) hasStrangers(cfg *config.Config) bool {
	now := g.keeper.Table()
	if now == nil {
		return false // nobody calls
	}
	for name := range cfg.Functions {
		if _, stands := g.standing.Functions[name]; stands || !cfg.FromRegistry(name) {
			continue
		}
		if fn := now.Functions[name]; fn == nil || !fn.Seen() {
			return true
		}
	}
	return false
}

// cross takes a configuration over as soon as no function in it is strange, or at
// a moment.
func (g *gateway) cross(cfg *config.Config, late time.Time) {
	time.AfterFunc(lookAgain, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		switch {
		case g.joined != cfg: // a newer one came
		case time.Now().Before(late) && g.hasStrangers(cfg):
			g.cross(cfg, late)
		default:
			g.takeOverLocked(cfg)
		}
	})
}
