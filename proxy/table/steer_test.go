package table

import (
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// To steer is to come to what would come of dividing everything anew, whatever has
// changed of the regions.
func TestSteerIsToDivideAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, next := drawRegions(t), drawRegions(t).spread
		after := func(divide func(k *Keeper, w *watch, was *Set) *Split) *Split {
			k, w := lab(d.spread)
			set := &Set{Endpoints: slices.Clone(d.endpoints)}
			k.arrange(w, set)
			w.fn.set.Store(set)
			w.spread = &next
			return divide(k, w, set)
		}
		anew := func(k *Keeper, w *watch, was *Set) *Split {
			set := &Set{Endpoints: was.Endpoints}
			k.arrange(w, set)
			return set.Split
		}
		want := after(anew)
		got := after(func(k *Keeper, w *watch, was *Set) *Split {
			if regions := w.steered(was.Split); regions != nil {
				return k.divided(w, regions, w.born).Split
			}
			return anew(k, w, was)
		})
		if (got == nil) != (want == nil) {
			t.Fatalf("steered %v, anew %v", got, want)
		}
		if got == nil {
			return
		}
		if got.Panic != want.Panic || got.Void != want.Void || len(got.Regions) != len(want.Regions) || len(got.callable) != len(want.callable) {
			t.Fatalf("steered\n%+v\nanew\n%+v", got, want)
		}
		for i := range got.Regions {
			a, b := got.Regions[i], want.Regions[i]
			if a.Name != b.Name || a.Share != b.Share || a.State != b.State || a.upTo != b.upTo || a.carry != b.carry || a.at != b.at ||
				a.Weight != b.Weight || a.Priority != b.Priority || a.Drain != b.Drain || a.Disabled != b.Disabled || !slices.Equal(a.Set.Endpoints, b.Set.Endpoints) {
				t.Fatalf("steered\n%+v\nanew\n%+v", a, b)
			}
		}
	})
}

// A drain leaves alone what does not follow from it: functions, routes, endpoints.
func TestSteerLeavesFunctionsAlone(t *testing.T) {
	const doc = "regions: { a: { weight: 80, location: [1, 2] }, b: { weight: 20 } }\nfunctions: { f: {}, own: { regions: { a: { weight: 50 } } } }\n"
	keep(t, doc, func(t *testing.T, k *keeping) {
		for _, name := range []string{"f", "own"} {
			k.source.say(name, slices.Concat(in("a", 4), in("b", 4))...)
		}
		was, f, own := k.Table(), k.function("f"), k.function("own")
		set := f.Set()
		cfg := parse(t, doc)
		region := cfg.Regions["a"]
		region.Drain = true
		cfg.Regions["a"] = region // as an override says, but that it is not known what has changed
		cfg.Functions["own"].Spread.Regions["a"] = region
		k.Propose(cfg)
		synctest.Wait()
		now := k.Table()
		if now == was || now.Functions["f"] != f || now.Functions["own"] != own {
			t.Error("functions that are only steered are made anew")
		}
		if next := f.Set(); next == set || &next.Endpoints[0] != &set.Endpoints[0] || next.Split.Regions[0].Share != 0 {
			t.Errorf("the set is not the old one, divided anew: %+v", next)
		}
		for name, want := range map[string]string{"f": "a 0.00 b 100.00", "own": "a 0.00 b 100.00"} {
			if got := k.shares(name); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
		version := f.Set().Version
		k.Propose(cfg)
		synctest.Wait()
		if f.Set().Version != version {
			t.Error("a configuration that says the same divides anew")
		}
	})
}
