package table

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
)

// Calls stay in this weir's zone where the function has it so (load_balancing.zones:
// prefer), as far as that leaves the endpoints of each zone no more calls than their
// due. Of a region's calls each zone is taken to have as many come in as the others: with
// Z zones that have healthy endpoints, of which this zone's weigh the part p of all,
//
//	min(1, Z·p) of the calls stay here,
//
// and the others go to the zones whose part is over 1/Z, to each as much as it is over.
// So all endpoints have as many calls as by their weights alone, whatever the zones are
// like, and as few calls as can be cross from zone to zone. (Envoy's zone aware routing
// does the same with what it knows of where its own hosts are; weir knows only where it
// is itself.) If the routers are not spread evenly over the zones, neither are the calls.
//
// It is about this weir's region only: to the others a call goes as it does.

// Zones are the endpoints of a region in two parts. Frozen.
type Zones struct {
	Near, Far *Set    // Far is nil if all calls stay
	Stays     float64 // of the calls, from 0 to 1

	upTo uint64
}

// zoneTurns are of the endpoints, where they have calls one after the other.
type zoneTurns struct{ near, far atomic.Uint64 }

// DrawFor picks the part for a call whose endpoint is drawn by the random number r, or
// by a key.
func (z *Zones) DrawFor(r uint64) *Set {
	if z.Far == nil || mix(mix(r)+1) < z.upTo {
		return z.Near
	}
	return z.Far
}

func (w *watch) prefersZone() bool { return w.zone != "" && w.fn.LoadBalancing.Zones == "prefer" }

// zones divides the endpoints of this weir's region at the moment now; nil if there is
// nothing to prefer: none of this zone is well, or none is elsewhere.
func (w *watch) zones(set *Set, policy config.LoadBalancing, now time.Time) *Zones {
	if !w.prefersZone() {
		return nil
	}
	pulls, whole, at := map[string]int{}, 0, moment.Of(now)
	for _, ep := range set.Endpoints {
		if ep.Well(at) {
			pulls[ep.Zone] += ep.Pull()
			whole += ep.Pull()
		}
	}
	here := pulls[w.zone]
	if here == 0 || here == whole {
		return nil
	}
	n, fine := len(pulls), fineness // compared in whole numbers: zones that weigh the same are the same
	if policy.Policy == "round_robin" {
		fine = 1 // or a round has tens of thousands of turns, and is made anew whenever one fares otherwise
	}
	z := &Zones{Stays: min(1, float64(n*here)/float64(whole)), Near: &Set{Version: set.Version, turn: &w.turns.near}}
	z.upTo = scaled(z.Stays)
	far := &Set{Version: set.Version, turn: &w.turns.far}
	for _, ep := range set.Endpoints {
		if ep.Zone == w.zone {
			z.Near.Endpoints = append(z.Near.Endpoints, ep)
			continue
		}
		if beyond := n*pulls[ep.Zone] - whole; beyond > 0 {
			there := *ep
			there.pull = max(1, int(math.Round(float64(ep.Pull()*fine)*float64(beyond)/float64(n*pulls[ep.Zone]))))
			far.Endpoints = append(far.Endpoints, &there)
		}
	}
	z.Near.arrange(policy)
	if n*here < whole {
		far.arrange(policy)
		z.Far = far
	}
	return z.of(1)
}

// Preferred are the zones of this weir's region, and which of them is its own; nil: none
// is preferred.
func (s *Set) Preferred() (z *Zones, zone string) {
	z = s.Zones
	if s.Split != nil {
		for i := range s.Split.Regions {
			if r := &s.Split.Regions[i]; r.Set.Zones != nil {
				z = r.Set.Zones
			}
		}
	}
	if z == nil {
		return nil, ""
	}
	return z, z.Near.Endpoints[0].Zone
}

// explain says how many calls stay in the zone.
func (z *Zones) explain(zone string) string {
	switch {
	case z == nil:
		return fmt.Sprintf("zone %s is preferred, but it has no endpoint that is well, or the others have none: it makes no difference", zone)
	case z.Far == nil:
		return fmt.Sprintf("all calls of this region stay in zone %s", zone)
	}
	return fmt.Sprintf("%.2f %% of the calls of this region stay in zone %s: more would be over what its endpoints are due", 100*z.Stays, zone)
}

// fineness is what a twentieth of a weight is counted in, where a part of it counts.
const fineness = 50

// of are the same zones of a region that has a part of the function's calls.
func (z *Zones) of(part float64) *Zones {
	if z == nil {
		return nil
	}
	next, near := *z, *z.Near
	near.part = part * z.Stays
	next.Near = &near
	if z.Far != nil {
		far := *z.Far
		far.part = part * (1 - z.Stays)
		next.Far = &far
	}
	return &next
}
