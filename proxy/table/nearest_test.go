package table

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/shaping/geo"
)

// What calls do is what explain says, wherever the client is; and none goes to a
// region that may not be asked.
func TestNearestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawRegions(t)
		degrees := func(name string, most float64) config.Degrees {
			return config.Degrees(rapid.Float64Range(-most, most).Draw(t, name))
		}
		for name, r := range d.spread.Regions {
			if rapid.IntRange(0, 4).Draw(t, "located") > 0 {
				r.Location = []config.Degrees{degrees("latitude", 90), degrees("longitude", 180)}
				d.spread.Regions[name] = r
			}
		}
		k, w := lab(d.spread)
		w.fn.LoadBalancing.Regions = "nearest"
		set := &Set{Endpoints: slices.Clone(d.endpoints)}
		k.arrange(w, set)
		s := set.Split
		if s == nil || s.Void != NoVoid {
			return
		}
		client := geo.At(float64(degrees("latitude", 90)), float64(degrees("longitude", 180)))
		regions := s.ByDistance(client, nil)
		says := s.explain(w.fn.Function, nil, &client)
		if says.Panic != s.PanicNear || s.PanicNear && !s.Panic {
			t.Fatalf("panic is %v, %v for clients of a known place, explained as %v", s.Panic, s.PanicNear, says.Panic)
		}
		left := uint64(math.MaxUint64)
		for _, r := range regions {
			part := min(left, r.carry)
			left -= part
			if want := says.Shares[r.Name]; math.Abs(100*math.Ldexp(float64(part), -64)-want) > 0.006 {
				t.Fatalf("%s has %v of all numbers, explained is %v %%", r.Name, part, want)
			}
			if r.Drain || r.Disabled || r.Weight == 0 || len(r.Set.Endpoints) == 0 || r.Healthy == 0 && !s.PanicNear {
				t.Fatalf("%+v may be asked", r)
			}
		}
		for name, share := range says.Shares {
			if share > 0.01 && !slices.ContainsFunc(regions, func(r *Region) bool { return r.Name == name }) {
				t.Fatalf("%s has %v %%, and cannot be drawn", name, share)
			}
		}
		for i, r := range regions[1:] {
			if before := regions[i]; r.Priority < before.Priority || r.Priority == before.Priority && r.closeness(&client) > before.closeness(&client) {
				t.Fatalf("%s comes before %s", before.Name, r.Name)
			}
		}
	})
}

// Two of five endpoints in each region are too few for whoever may be anywhere, and
// enough for a client that is near one: what that cannot carry goes to the next.
func TestPanicIsThatOfWhoCalls(t *testing.T) {
	k, w := lab(config.Spread{
		Failover: config.Failover{OverprovisioningFactor: 1.4, PanicThreshold: 50, SlowStart: config.SlowStart{Window: time.Minute, MinWeightPercent: 10, Aggression: 1}},
		Regions:  map[string]config.Region{"a": {Weight: 1, Location: []config.Degrees{0, 0}}, "b": {Weight: 1, Location: []config.Degrees{0, 90}}},
	})
	w.fn.LoadBalancing.Regions = "nearest"
	set := &Set{}
	for i := range 10 {
		ep := &Endpoint{Link: &Link{}, Endpoint: discovery.Endpoint{ID: fmt.Sprint(i), Region: []string{"a", "b"}[i%2], Weight: 1}}
		ep.unhealthy.Store(i >= 4)
		set.Endpoints = append(set.Endpoints, ep)
	}
	k.arrange(w, set)
	client := geo.At(0, 1)
	if s := set.Split; !s.Panic || s.PanicNear {
		t.Errorf("panic %v, and %v for those who are near", s.Panic, s.PanicNear)
	}
	anywhere, near := set.Split.explain(w.fn.Function, nil, nil), set.Split.explain(w.fn.Function, nil, &client)
	if !anywhere.Panic || near.Panic || near.Shares["a"] != 56 {
		t.Errorf("explained as %+v and %+v", anywhere, near)
	}
}
