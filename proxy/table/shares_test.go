package table

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/internal/moment"
)

// lab is a Keeper's arithmetic without a Keeper at work.
func lab(spread config.Spread) (*Keeper, *watch) {
	k := &Keeper{due: map[*watch]time.Time{}, unconfigured: map[string]bool{}, log: slog.New(slog.DiscardHandler)}
	w := &watch{spread: &spread, fn: &Function{Function: config.Function{Name: "f"}, State: &State{}}, regions: map[string]*regional{}, born: time.Now()}
	return k, w
}

// drawn are regions with endpoints of which some are ill, and weights.
type drawn struct {
	spread    config.Spread
	endpoints []*Endpoint
}

func drawRegions(t *rapid.T) (d drawn) {
	d.spread.Failover = config.Failover{OverprovisioningFactor: 1.4, PanicThreshold: rapid.SampledFrom([]int{0, 50, 100}).Draw(t, "threshold")}
	d.spread.Failover.SlowStart = config.SlowStart{Window: time.Minute, MinWeightPercent: 10, Aggression: 1}
	d.spread.Regions = map[string]config.Region{}
	for i := range rapid.IntRange(1, 5).Draw(t, "regions") {
		name := fmt.Sprint("r", i)
		if rapid.IntRange(0, 9).Draw(t, "configured") > 0 {
			d.spread.Regions[name] = config.Region{
				Weight:   float64(rapid.IntRange(0, 100).Draw(t, "weight")),
				Priority: rapid.IntRange(0, 2).Draw(t, "priority"),
				Drain:    rapid.IntRange(0, 4).Draw(t, "drain") == 0,
				Disabled: rapid.IntRange(0, 4).Draw(t, "disabled") == 0,
			}
		}
		n := rapid.IntRange(0, 8).Draw(t, "endpoints")
		ill := rapid.IntRange(0, n).Draw(t, "ill")
		for j := range n {
			ep := &Endpoint{Link: &Link{}, Endpoint: discovery.Endpoint{ID: fmt.Sprint(name, ".", j), Region: name, Weight: 1}}
			switch {
			case j >= ill:
			case j%3 == 0:
				ep.unhealthy.Store(true)
			case j%3 == 1:
				ep.Outlier.Failed(moment.Now().Add(time.Hour))
				ep.Outlier.Failed(moment.Now())
			default:
				ep.doubted.Store(true)
			}
			d.endpoints = append(d.endpoints, ep)
		}
	}
	return d
}

func (d drawn) split(shuffle bool) *Split {
	k, w := lab(d.spread)
	set := &Set{Endpoints: slices.Clone(d.endpoints)}
	if shuffle {
		slices.Reverse(set.Endpoints)
	}
	k.arrange(w, set)
	return set.Split
}

// The laws, for the split that calls see.
func TestSplitLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawRegions(t)
		s := d.split(false)
		if s == nil {
			t.Skip("one region, of which nothing is said")
		}
		sum := 0.0
		for i := range s.Regions {
			r := &s.Regions[i]
			sum += r.Share
			if r.Share > 0 && (r.Drain || r.Disabled || r.Weight == 0 || len(r.Set.Endpoints) == 0 || r.Healthy == 0 && !s.Panic) {
				t.Fatalf("%+v has a share", r)
			}
			well := 0
			for _, ep := range r.Set.Endpoints {
				if ep.Region != r.Name {
					t.Fatalf("%s is in %s", ep.ID, r.Name)
				}
				state := (&Set{Split: s}).StateOf(ep, time.Now())
				if (state == RegionDisabled) != r.Disabled {
					t.Fatalf("%s of %+v is %s", ep.ID, r, state)
				}
				if state == Healthy && !ep.Doubted() {
					well++
				}
			}
			if well != r.Healthy {
				t.Fatalf("%d of %s are healthy, counted are %d", well, r.Name, r.Healthy)
			}
		}
		if sum != 0 && math.Abs(sum-1) > 1e-9 || (sum == 0) != (s.Void != NoVoid) || (sum == 0) != (len(s.Best) == 0) {
			t.Fatalf("shares sum to %v, void %d", sum, s.Void)
		}
		if !slices.IsSortedFunc(s.Best, func(a, b *Region) int { return int(1e9 * (b.Share - a.Share)) }) {
			t.Fatal("the best is not first")
		}
		for _, other := range []*Split{d.split(true), s} {
			for i := range s.Regions {
				if other.Regions[i].Share != s.Regions[i].Share || other.Void != s.Void {
					t.Fatal("the order of endpoints makes a difference")
				}
			}
		}
		if sum == 0 {
			return
		}
		for range 50 {
			if r := s.Draw(rapid.Uint64().Draw(t, "x")); r.Share == 0 {
				t.Fatalf("%s is drawn, and has no share", r.Name)
			}
		}
		for _, x := range []uint64{0, 1, math.MaxUint64 - 1, math.MaxUint64} {
			if r := s.Draw(x); r.Share == 0 {
				t.Fatalf("%s is drawn by %d, and has no share", r.Name, x)
			}
		}
		for tries := 1; tries < 4; tries++ {
			if r := After(s.Best, s.Best[0].Name, tries); r.Share == 0 || len(s.Best) > 1 && (r == s.Best[0]) != (tries < 2) {
				t.Fatalf("after %d tries in %s: %s", tries, s.Best[0].Name, r.Name)
			}
		}
	})
}

// Draws come to the shares: within 1.2 points of 20,000, which is 4 sigma; and so do
// those of hashes of keys.
func TestDraw(t *testing.T) {
	spread := config.Spread{Regions: map[string]config.Region{"a": {Weight: 50}, "b": {Weight: 30}, "c": {Weight: 0}, "d": {Weight: 20}}}
	spread.Failover.OverprovisioningFactor = 1.4
	d := drawn{spread: spread}
	for _, name := range []string{"a", "b", "c", "d"} {
		d.endpoints = append(d.endpoints, &Endpoint{Link: &Link{}, Endpoint: discovery.Endpoint{ID: name, Region: name, Weight: 1}})
	}
	s := d.split(false)
	const n = 20_000
	source := rand.New(rand.NewPCG(1, 2)) // always the same draws
	had, keys := map[string]int{}, map[string]int{}
	for i := range n {
		had[s.DrawFor(source.Uint64()).Name]++
		keys[s.DrawFor(hash(fmt.Appendf(nil, "user-%d", i))).Name]++
	}
	for name, share := range map[string]float64{"a": 0.5, "b": 0.3, "c": 0, "d": 0.2} {
		for _, of := range []map[string]int{had, keys} {
			if got := float64(of[name]) / n; math.Abs(got-share) > 0.012 {
				t.Errorf("%s has %.4f, want %.2f", name, got, share)
			}
		}
	}
}

func TestDrawAllocs(t *testing.T) {
	s := evenSplit(3)
	r := uint64(0)
	if n := testing.AllocsPerRun(1000, func() { r += golden; s.DrawFor(r) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func evenSplit(n int) *Split {
	d := drawn{}
	d.spread.Failover.OverprovisioningFactor = 1.4
	for i := range n {
		name := fmt.Sprint("r", i)
		d.endpoints = append(d.endpoints, &Endpoint{Link: &Link{}, Endpoint: discovery.Endpoint{ID: name, Region: name, Weight: 1}})
	}
	return d.split(false)
}

func BenchmarkDrawRegion(b *testing.B) {
	for _, n := range []int{2, 3, 8} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := evenSplit(n)
			b.ReportAllocs()
			for r := uint64(0); b.Loop(); r += golden {
				s.DrawFor(r)
			}
		})
	}
}

// BenchmarkSplitAnew is what a change of health costs the Keeper.
func BenchmarkSplitAnew(b *testing.B) {
	for _, n := range []int{8, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			spread := config.Spread{Regions: map[string]config.Region{"r0": {Weight: 50}, "r1": {Weight: 50}}}
			spread.Failover.OverprovisioningFactor = 1.4
			k, w := lab(spread)
			set := &Set{}
			for i := range n {
				set.Endpoints = append(set.Endpoints, &Endpoint{Link: &Link{}, Endpoint: discovery.Endpoint{ID: fmt.Sprint(i), Region: fmt.Sprint("r", i%2), Weight: 1}})
			}
			k.arrange(w, set)
			w.fn.set.Store(set)
			b.ReportAllocs()
			for b.Loop() {
				k.splitAnew(w, time.Now())
			}
		})
	}
}
