package table

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/discovery"
)

// zoned makes n endpoints of a region's zone.
func zoned(region, zone string, n int) (all []discovery.Endpoint) {
	for i := range n {
		id := fmt.Sprint(region, zone, i)
		all = append(all, discovery.Endpoint{ID: id, Addr: id + ":1", Region: region, Zone: zone, Weight: 1})
	}
	return all
}

const preferring = "region: a\nzone: x\nfunctions: { f: { load_balancing: { zones: prefer } } }\n"

// zonesOf are the Zones of the function in its own region.
func (k *keeping) zonesOf(function string) *Zones {
	set := k.function(function).Set()
	if set.Split == nil {
		return set.Zones
	}
	for i := range set.Split.Regions {
		if r := &set.Split.Regions[i]; r.Name == "a" {
			return r.Set.Zones
		}
	}
	return nil
}

func TestZones(t *testing.T) {
	var here, there, far []discovery.Endpoint
	f := func(name string, x, y, z, ill int, want string) {
		t.Helper()
		here, there, far = zoned("a", "x", x), zoned("a", "y", y), zoned("a", "z", z)
		for where, doc := range map[string]string{"one region": "", "two": "regions: { a: { weight: 4 }, b: {} }\n"} {
			keep(t, doc+preferring, func(t *testing.T, k *keeping) {
				all := append(append(append([]discovery.Endpoint{}, here...), there...), far...)
				if where == "two" {
					all = append(all, in("b", 2)...)
				}
				k.source.say("f", all...)
				fn := k.function("f")
				n := 0
				for _, ep := range fn.Set().Endpoints {
					if ep.Zone == "x" && n < ill {
						ep.unhealthy.Store(true)
						n++
					}
				}
				fn.Shaken()
				synctest.Wait()
				got := "everywhere"
				if z := k.zonesOf("f"); z != nil {
					got = fmt.Sprintf("%.2f", 100*z.Stays)
					if z.Far != nil {
						pulls := map[string]int{}
						for _, ep := range z.Far.Endpoints {
							pulls[ep.Zone] += ep.Pull()
						}
						got += fmt.Sprintf(", else y %.2f", 100*float64(pulls["y"])/float64(pulls["y"]+pulls["z"]))
					}
				}
				if got != want {
					t.Errorf("%s, %s: %s, want %s", name, where, got, want)
				}
			})
		}
	}
	f("even", 4, 4, 4, 0, "100.00")
	f("two zones", 2, 2, 0, 0, "100.00")
	f("more here", 8, 4, 4, 0, "100.00")
	f("half of ours is ill", 4, 4, 4, 2, "60.00, else y 50.00")
	f("one of twenty-one", 1, 10, 10, 0, "14.29, else y 50.00")
	f("only z has room", 1, 1, 19, 0, "14.29, else y 0.00")
	f("nobody here", 0, 4, 4, 0, "everywhere")
	f("all here ill", 2, 4, 4, 2, "everywhere")
	f("nobody else", 4, 0, 0, 0, "everywhere")
}

// If every zone has the same calls come in and all their weirs prefer their own, each
// zone has as many calls as its endpoints are due, and none that is due more than it
// has come in sends any away.
func TestZonesLeaveEachItsDue(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := []string{"v", "w", "x", "y"}[:rapid.IntRange(2, 4).Draw(rt, "zones")]
		counts, sum := map[string]int{}, 0
		var all []discovery.Endpoint
		for _, zone := range names {
			n := rapid.IntRange(1, 12).Draw(rt, zone)
			counts[zone], sum = n, sum+n
			all = append(all, zoned("a", zone, n)...)
		}
		var endpoints []*Endpoint
		for _, ep := range all {
			endpoints = append(endpoints, &Endpoint{Link: &Link{}, Endpoint: ep})
		}
		has := map[string]float64{}
		even := 1 / float64(len(names))
		for _, zone := range names {
			w := &watch{zone: zone, fn: &Function{}}
			w.fn.LoadBalancing.Zones = "prefer"
			z := w.zones(&Set{Endpoints: endpoints}, w.fn.LoadBalancing, time.Now())
			if z == nil {
				rt.Fatalf("%v: nothing is preferred", counts)
			}
			has[zone] += even * z.Stays
			if z.Far == nil {
				continue
			}
			whole := 0.0
			for _, ep := range z.Far.Endpoints {
				whole += float64(ep.Pull())
			}
			for _, ep := range z.Far.Endpoints {
				has[ep.Zone] += even * (1 - z.Stays) * float64(ep.Pull()) / whole
			}
		}
		for _, zone := range names {
			if due := float64(counts[zone]) / float64(sum); math.Abs(has[zone]-due) > .005 {
				rt.Fatalf("%v: %s has %.4f of the calls, its due is %.4f", counts, zone, has[zone], due)
			}
		}
	})
}

// A round of the endpoints elsewhere is short, although their parts are odd: it is made
// anew whenever an endpoint fares otherwise.
func TestZonesMakeShortRounds(t *testing.T) {
	var endpoints []*Endpoint
	for _, ep := range append(append(zoned("a", "x", 3), zoned("a", "y", 41)...), zoned("a", "z", 59)...) {
		endpoints = append(endpoints, &Endpoint{Link: &Link{}, Endpoint: ep})
	}
	w := &watch{zone: "x", fn: &Function{}}
	w.fn.LoadBalancing.Zones, w.fn.LoadBalancing.Policy = "prefer", "round_robin"
	z := w.zones(&Set{Endpoints: endpoints}, w.fn.LoadBalancing, time.Now())
	if n := len(z.Far.turns); n > 100*steps {
		t.Errorf("a round of %d endpoints has %d turns", len(z.Far.Endpoints), n)
	}
}

// What the parts of a region are of the function's calls follows from its share now, and
// not from those that it had before.
func TestZonesFollowTheShare(t *testing.T) {
	doc := func(weight int) string {
		return fmt.Sprintf("regions: { a: { weight: %d }, b: { weight: 50 } }\n", weight) + preferring
	}
	keep(t, doc(50), func(t *testing.T, k *keeping) {
		k.source.say("f", append(append(zoned("a", "x", 1), zoned("a", "y", 2)...), in("b", 2)...)...)
		for _, weight := range []int{50, 150, 50, 100, 50} { // each a change of regions only
			k.propose(t, doc(weight))
		}
		z := k.zonesOf("f")
		if got := []float64{z.Near.part, z.Far.part}; math.Abs(got[0]-1./3) > 1e-9 || math.Abs(got[1]-1./6) > 1e-9 {
			t.Errorf("the parts are %v, want 2/3 and 1/3 of a half", got)
		}
	})
}
