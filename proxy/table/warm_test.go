package table

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/shaping"
)

const warmDoc = "region: home\nregions: { home: { weight: 80 }, away: { weight: 20 } }\n" +
	"functions: { f: { cold_start: { scaler: p, prefer_warm_region: true }, process: { command: [none] } } }\n" +
	"scalers: { p: { type: process } }\nroutes: [{ path_prefix: /, function: f }]\n"

func elsewhere(id string, slots int) discovery.Endpoint {
	e := ep(id)
	e.Region, e.Slots = "away", slots
	return e
}

// What the warm region has beyond its weight is the cold one's.
func TestSpillOfAColdRegion(t *testing.T) {
	keep(t, warmDoc, func(t *testing.T, k *keeping) {
		time.Sleep(time.Minute)
		k.source.say("f", elsewhere("a", 10), elsewhere("b", 0))
		synctest.Wait()
		split := k.function("f").Set().Split
		if r := split.Regions[0]; !split.Spilling || split.Home.Name != "home" || r.Share != 1 || math.Abs(r.Extra-.8) > 1e-9 || r.Room != 22 {
			t.Errorf("%+v %+v", split, r)
		}
		if s := k.function("f").Start.Status().State; s != "cold" {
			t.Errorf("%s, by instances elsewhere", s)
		}
		k.source.say("f", elsewhere("a", 10), elsewhere("b", 0), ep("h"))
		synctest.Wait()
		time.Sleep(15 * time.Second)
		synctest.Wait()
		split = k.function("f").Set().Split // 20 of 80 have come back: 20 and 20
		if r := split.Regions[0]; !split.Spilling || math.Abs(r.Share-.5) > .02 || math.Abs(r.Extra-.6) > .02 {
			t.Errorf("after a quarter of slow_start away has %v, of which %v are home's", r.Share, r.Extra)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if split = k.function("f").Set().Split; split.Spilling || split.Regions[0].Extra != 0 {
			t.Errorf("it never ends: %+v", split.Regions[0])
		}
	})
}

// A region that was down is no cold one: failover is not bounded.
func TestNoSpillOfARegionThatIsDown(t *testing.T) {
	keep(t, warmDoc, func(t *testing.T, k *keeping) {
		time.Sleep(time.Minute)
		k.source.say("f", elsewhere("a", 10), ep("h"))
		synctest.Wait()
		time.Sleep(2 * time.Minute)
		f := k.function("f")
		for _, ep := range f.Set().Endpoints {
			if ep.ID == "h" {
				ep.unhealthy.Store(true)
			}
		}
		f.Shaken()
		synctest.Wait()
		if split := f.Set().Split; split.Spilling || split.Regions[0].Share != 1 {
			t.Errorf("%+v", split.Regions[0])
		}
	})
}

// The Activator takes the instances here for its own, and no others.
func TestWithdrawLeavesOtherRegionsAlone(t *testing.T) {
	keep(t, warmDoc, func(t *testing.T, k *keeping) {
		k.source.say("f", elsewhere("a", 10), ep("h"))
		synctest.Wait()
		f := k.function("f")
		links := map[string]*Link{}
		for _, ep := range f.Set().Endpoints {
			links[ep.ID] = ep.Link
		}
		f.Gate.Enter(moment.Now())
		if !links["a"].Slots.Take() {
			t.Fatal("no slot")
		}
		if calls, _ := f.InUse(); calls != 0 {
			t.Errorf("%d calls are inside, by one that is elsewhere", calls)
		}
		if !f.Withdraw() {
			t.Error("a call elsewhere keeps the instance here")
		}
		if links["h"].Slots.Take() || !links["a"].Slots.Take() {
			t.Error("the wrong ones are withdrawn")
		}
		if addrs := f.Addresses(); len(addrs) != 1 || addrs[0] != "h:1" {
			t.Errorf("%v are asked before they stop", addrs)
		}
		f.Restore()
		if !links["h"].Slots.Take() {
			t.Error("it is not restored")
		}
	})
}

// Whatever the regions: what a region has that is not the cold one's is what it would
// have if that were whole, and all of the cold one's calls are somewhere.
func TestSpillLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 5).Draw(t, "regions")
		s := &Split{}
		s.failover.OverprovisioningFactor = 1.4
		for i := range n {
			all := rapid.IntRange(1, 8).Draw(t, "endpoints")
			r := Region{Name: string(rune('a' + i)), endpoints: all, Healthy: rapid.IntRange(0, all).Draw(t, "healthy"), Ramp: 1}
			r.Weight = float64(rapid.IntRange(1, 100).Draw(t, "weight"))
			r.Priority = rapid.IntRange(0, 1).Draw(t, "priority")
			s.Regions = append(s.Regions, r)
		}
		home := rapid.IntRange(0, n-1).Draw(t, "home")
		s.Regions[home].endpoints, s.Regions[home].Healthy = 0, 0
		s.Home = &s.Regions[home]
		s.take(shaping.Divide(s.inputs(), failoverOf(s.failover)))
		s.spillFrom(home, true)

		whole := s.inputs()
		whole[home].Endpoints, whole[home].Healthy = 1, 1
		nominal := shaping.Divide(whole, failoverOf(s.failover))
		for i, r := range s.Regions {
			if r.Extra < 0 || r.Extra > 1 {
				t.Fatalf("%s: %v", r.Name, r.Extra)
			}
			if own := r.Share * (1 - r.Extra); r.Share > 0 && own > nominal.Regions[i].Share+1e-9 {
				t.Fatalf("%s has %v of its own, and would have %v", r.Name, own, nominal.Regions[i].Share)
			}
		}
	})
}

func TestSpillAllocs(t *testing.T) {
	r := &Region{Room: 1, Spill: &Spill{}, Extra: .5}
	r.Spill.taken.SetLimit(1)
	if n := testing.AllocsPerRun(100, func() {
		if !r.IsExtra(1) || !r.Take() || r.Take() {
			t.Error("one of one place")
		}
		r.Spill.GiveBack()
		r.Spill.note(time.Millisecond)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// What a call that goes elsewhere pays for the bound.
func BenchmarkSpill(b *testing.B) {
	r := &Region{Room: 20, Spill: &Spill{}, Extra: .5}
	r.Spill.taken.SetLimit(r.Room)
	b.ReportAllocs()
	for b.Loop() {
		if r.IsExtra(1) && r.Take() {
			r.Spill.GiveBack()
		}
	}
}

// weir explain says what would become of the calls of a cold region.
func TestExplainSpill(t *testing.T) {
	cfg := parse(t, warmDoc)
	f := func(home, away Health, want string) {
		t.Helper()
		s := ExplainShares(cfg, *cfg.Functions["f"], map[string]Health{"home": home, "away": away}, nil)
		got := ""
		for _, why := range s.Why {
			if strings.Contains(why, "prefer_warm_region") {
				got += why
			}
		}
		if got != want {
			t.Errorf("%v %v: %q, want %q", home, away, got, want)
		}
	}
	f(Health{}, Health{2, 2}, "home is cold: a call of its own starts an instance there, and goes to away if its answer is there sooner so, "+
		"as long as those are no more than 20 % of the calls that its endpoints take at once. That is 80.00 % of what away has (prefer_warm_region)")
	f(Health{1, 1}, Health{2, 2}, "")
	f(Health{}, Health{}, "")
	f(Health{0, 2}, Health{2, 2}, "") // down, and not cold
}
