package shaping_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/shaping"
)

func region(weight float64, healthy, endpoints int) shaping.Region {
	return shaping.Region{Weight: weight, Endpoints: endpoints, Healthy: healthy}
}

func TestDivide(t *testing.T) {
	at := func(priority int, r shaping.Region) shaping.Region { r.Priority = priority; return r }
	in := func(state shaping.RegionState, r shaping.Region) shaping.Region { r.State = state; return r }
	ramping := func(factor float64, r shaping.Region) shaping.Region { r.Ramp = factor; return r }
	noPanic := shaping.Failover{Overprovisioning: 1.4}

	for _, test := range []struct {
		name     string
		regions  []shaping.Region
		failover shaping.Failover
		percent  []float64
		panics   bool
	}{
		{"both whole", []shaping.Region{region(80, 4, 4), region(20, 4, 4)}, shaping.DefaultFailover, []float64{80, 20}, false},
		{"the number of endpoints does not matter", []shaping.Region{region(50, 2, 2), region(50, 8, 8)}, shaping.DefaultFailover, []float64{50, 50}, false},
		{"one draining", []shaping.Region{in(shaping.RegionDraining, region(80, 4, 4)), region(20, 4, 4)}, shaping.DefaultFailover, []float64{0, 100}, false},
		{"one disabled", []shaping.Region{in(shaping.RegionDisabled, region(80, 4, 4)), region(20, 4, 4)}, shaping.DefaultFailover, []float64{0, 100}, false},
		{"both draining", []shaping.Region{in(shaping.RegionDraining, region(80, 4, 4)), in(shaping.RegionDraining, region(20, 4, 4))}, shaping.DefaultFailover, []float64{0, 0}, false},
		{"weight 0 is no standby", []shaping.Region{region(100, 0, 4), region(0, 4, 4)}, noPanic, []float64{0, 0}, false},
		{"weight 0 gets nothing in a panic either", []shaping.Region{region(100, 0, 4), region(0, 4, 4)}, shaping.DefaultFailover, []float64{100, 0}, true},
		{"one down", []shaping.Region{region(80, 0, 4), region(20, 4, 4)}, shaping.DefaultFailover, []float64{0, 100}, false},
		{"one cold", []shaping.Region{region(80, 4, 4), region(20, 0, 0)}, shaping.DefaultFailover, []float64{100, 0}, false},
		{"three quarters are enough", []shaping.Region{region(80, 3, 4), region(20, 4, 4)}, shaping.DefaultFailover, []float64{80, 20}, false},
		{"half", []shaping.Region{region(80, 2, 4), region(20, 4, 4)}, shaping.DefaultFailover, []float64{73.684, 26.316}, false},
		{"a tenth still gets a third", []shaping.Region{region(80, 1, 10), region(20, 10, 10)}, shaping.DefaultFailover, []float64{35.897, 64.103}, false},
		{"standby, first at 72 %", []shaping.Region{region(1, 18, 25), at(1, region(1, 4, 4))}, shaping.DefaultFailover, []float64{100, 0}, false},
		{"standby, first at 50 %", []shaping.Region{region(1, 2, 4), at(1, region(1, 4, 4))}, shaping.DefaultFailover, []float64{70, 30}, false},
		{"ramping, a quarter", []shaping.Region{region(80, 4, 4), ramping(0.25, region(20, 4, 4))}, shaping.DefaultFailover, []float64{94.118, 5.882}, false},
		{"the only region left does not feel its ramp", []shaping.Region{region(80, 0, 4), ramping(0.1, region(20, 4, 4))}, shaping.DefaultFailover, []float64{0, 100}, false},
		{"no panic beside a whole region", []shaping.Region{region(60, 0, 6), region(40, 4, 4)}, shaping.DefaultFailover, []float64{0, 100}, false},
		{"panic keeps the weights", []shaping.Region{region(80, 1, 4), region(20, 1, 4)}, shaping.DefaultFailover, []float64{80, 20}, true},
		{"panic divides priorities by endpoints", []shaping.Region{region(1, 0, 6), at(1, region(1, 0, 4))}, shaping.DefaultFailover, []float64{60, 40}, true},
		{"no panic when two priorities together are whole", []shaping.Region{region(1, 9, 20), at(1, region(1, 9, 20))}, shaping.DefaultFailover, []float64{63, 37}, false},
		{"all down, no panic", []shaping.Region{region(80, 0, 4), region(20, 0, 4)}, noPanic, []float64{0, 0}, false},
		{"all cold", []shaping.Region{region(80, 0, 0), region(20, 0, 0)}, shaping.DefaultFailover, []float64{0, 0}, false},
		{"huge weights", []shaping.Region{region(math.MaxFloat64, 1, 1), region(math.MaxFloat64, 1, 1)}, shaping.DefaultFailover, []float64{50, 50}, false},
		{"a tiny weight beside a huge one that is down", []shaping.Region{region(math.MaxFloat64, 0, 1), region(1e-300, 1, 1)}, shaping.DefaultFailover, []float64{0, 100}, false},
		{"none", nil, shaping.DefaultFailover, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := shaping.Divide(test.regions, test.failover)
			if got.Panic != test.panics {
				t.Errorf("panic is %t, want %t", got.Panic, test.panics)
			}
			if len(got.Regions) != len(test.percent) {
				t.Fatalf("%d shares, want %d", len(got.Regions), len(test.percent))
			}
			for i, want := range test.percent {
				if share := 100 * got.Regions[i].Share; math.Abs(share-want) > 0.01 {
					t.Errorf("region %d gets %.3f %%, want %.3f %%", i, share, want)
				}
			}
		})
	}
}

func drawRegions(t *rapid.T) []shaping.Region {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) shaping.Region {
		endpoints := rapid.IntRange(0, 12).Draw(t, "endpoints")
		return shaping.Region{
			Weight:    float64(rapid.IntRange(0, 100).Draw(t, "weight")),
			Priority:  rapid.IntRange(0, 3).Draw(t, "priority"),
			State:     rapid.SampledFrom([]shaping.RegionState{shaping.RegionActive, shaping.RegionActive, shaping.RegionDraining, shaping.RegionDisabled}).Draw(t, "state"),
			Endpoints: endpoints,
			Healthy:   rapid.IntRange(0, endpoints).Draw(t, "healthy"),
			Ramp:      rapid.SampledFrom([]float64{0, 0.1, 0.5, 1}).Draw(t, "ramp"),
		}
	}), 1, 6).Draw(t, "regions")
}

const rounding = 1e-9

// TestDivideLaws checks what holds for any regions.
func TestDivideLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		regions := drawRegions(t)
		failover := shaping.Failover{Overprovisioning: 1.4, PanicThreshold: rapid.SampledFrom([]float64{0, 0.5, 1}).Draw(t, "threshold")}
		before := shaping.Divide(regions, failover)

		sum := 0.0
		for i, got := range before.Regions {
			sum += got.Share
			if got.Share < 0 || got.Share > 1+rounding {
				t.Fatalf("region %d gets %v", i, got.Share)
			}
			if got.Share > 0 && (regions[i].State != shaping.RegionActive || regions[i].Weight == 0 || regions[i].Endpoints == 0) {
				t.Fatalf("region %d is excluded and gets %v", i, got.Share)
			}
			if got.Share > 0 && regions[i].Healthy == 0 && !before.Panic {
				t.Fatalf("region %d has nothing healthy and gets %v", i, got.Share)
			}
		}
		if sum != 0 && math.Abs(sum-1) > rounding {
			t.Fatalf("the shares sum to %v", sum)
		}

		scaled := slices.Clone(regions)
		for i := range scaled {
			scaled[i].Weight *= 7
		}
		same(t, "scaling the weights", before, shaping.Divide(scaled, failover))

		turned := slices.Clone(regions)
		slices.Reverse(turned)
		after := shaping.Divide(turned, failover)
		slices.Reverse(after.Regions)
		same(t, "turning the order", before, after)

		changed := rapid.IntRange(0, len(regions)-1).Draw(t, "changed")
		raised := slices.Clone(regions)
		raised[changed].Weight += float64(rapid.IntRange(1, 50).Draw(t, "more weight"))
		rises(t, "more weight", changed, before, shaping.Divide(raised, failover), regions[changed].Weight > 0)

		if regions[changed].Healthy < regions[changed].Endpoints {
			healed := slices.Clone(regions)
			healed[changed].Healthy++
			rises(t, "more healthy", changed, before, shaping.Divide(healed, failover), true)
		}

		if regions[changed].Healthy > 0 {
			hurt := slices.Clone(regions)
			hurt[changed].Healthy--
			after := shaping.Divide(hurt, failover)
			for priority := range regions[changed].Priority {
				if after.Panic == before.Panic && loadOf(regions, after, priority) < loadOf(regions, before, priority)-rounding {
					t.Fatalf("priority %d loses load when priority %d loses health", priority, regions[changed].Priority)
				}
			}
		}

		drained := slices.Clone(regions)
		drained[changed].State = shaping.RegionDraining
		keepsRatios(t, regions, changed, before, shaping.Divide(drained, failover))
	})
}

func same(t *rapid.T, what string, before, after shaping.Division) {
	for i := range before.Regions {
		if before.Panic != after.Panic || math.Abs(before.Regions[i].Share-after.Regions[i].Share) > rounding {
			t.Fatalf("%s changes %+v to %+v", what, before, after)
		}
	}
}

func rises(t *rapid.T, what string, at int, before, after shaping.Division, holds bool) {
	if holds && before.Panic == after.Panic && after.Regions[at].Share < before.Regions[at].Share-rounding {
		t.Fatalf("%s lowers region %d from %v to %v", what, at, before.Regions[at].Share, after.Regions[at].Share)
	}
}

func loadOf(regions []shaping.Region, division shaping.Division, priority int) float64 {
	sum := 0.0
	for i, region := range regions {
		if region.Priority == priority {
			sum += division.Regions[i].Share
		}
	}
	return sum
}

// keepsRatios checks that the others of the priority keep their ratios when a region goes.
func keepsRatios(t *rapid.T, regions []shaping.Region, gone int, before, after shaping.Division) {
	if before.Panic != after.Panic {
		return
	}
	for i := range regions {
		for j := range i {
			if i == gone || j == gone || regions[i].Priority != regions[j].Priority {
				continue
			}
			was := before.Regions[i].Share * after.Regions[j].Share
			is := after.Regions[i].Share * before.Regions[j].Share
			if math.Abs(was-is) > rounding {
				t.Fatalf("without region %d, regions %d and %d change their ratio", gone, i, j)
			}
		}
	}
}
