package main

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/internal/telemetry"
	"github.com/weir-gateway/weir/proxy/table"
	"github.com/weir-gateway/weir/shaping"
)

// newPeers finds out which routers there are, and has the Keeper told, and which part
// of the limits that they share is this one's.
func newPeers(cfg *config.Config, registry discovery.Provider, keeper *table.Keeper, log *slog.Logger) *discovery.Peers {
	return discovery.NewPeers(cfg.Peers, discovery.NewStatic(log), registry, listensOn(cfg), func(routers []discovery.Router) {
		keeper.Share(partOf(routers))
		known := make([]table.Router, len(routers))
		for i, r := range routers {
			known[i] = table.Router{Address: r.Address, Self: r.Self}
		}
		keeper.Routers(known)
	}, log)
}

// listensOn are the addresses that a router of this configuration listens on.
func listensOn(cfg *config.Config) []string {
	listens := []string{cfg.Admin.Address}
	for _, l := range cfg.Listeners {
		listens = append(listens, l.Address)
	}
	return listens
}

// partOf is the part of this router among all.
func partOf(routers []discovery.Router) (part shaping.Part) {
	self := func(r discovery.Router) bool { return r.Self }
	part.Of, part.First = len(routers), max(0, slices.IndexFunc(routers, self))
	for _, r := range routers {
		if r.Self {
			part.Own++
		}
	}
	return part
}

// routers are those that share limits, for people.
func (g *gateway) routers() (seen []telemetry.Router) {
	for _, r := range g.peers.Routers() {
		seen = append(seen, telemetry.Router{Address: r.Address, Self: r.Self})
	}
	return seen
}

// firstPeers is how long weir waits at its start to be told which routers there
// are: until then it would let in what all of them may together.
const firstPeers = 5 * time.Second

func (g *gateway) awaitPeers(ctx context.Context) {
	timer := time.NewTimer(firstPeers)
	defer timer.Stop()
	select {
	case <-g.peers.Heard():
	case <-timer.C:
		g.keeper.Alone()
		g.log.Warn("nobody has said yet which routers there are; limits that are shared are whole here until somebody does")
	case <-ctx.Done():
	}
}
