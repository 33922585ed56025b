package shaping_test

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/shaping"
)

func TestNearest(t *testing.T) {
	standby := func(r shaping.Region) shaping.Region { r.Priority = 1; return r }
	ramping := func(factor float64, r shaping.Region) shaping.Region { r.Ramp = factor; return r }
	drained := func(r shaping.Region) shaping.Region { r.State = shaping.RegionDraining; return r }
	for _, test := range []struct {
		name      string
		regions   []shaping.Region
		closeness []float64
		percent   []float64
		panics    bool
	}{
		{"all to the nearest, whatever the weights", []shaping.Region{region(80, 4, 4), region(20, 4, 4)}, []float64{-1, 1}, []float64{0, 100}, false},
		{"what it cannot carry goes to the next one", []shaping.Region{region(1, 4, 4), region(1, 2, 4), region(1, 4, 4)}, []float64{0.5, 1, 0}, []float64{30, 70, 0}, false},
		{"and on", []shaping.Region{region(1, 2, 4), region(1, 1, 4), region(1, 4, 4)}, []float64{1, 0.5, 0}, []float64{70, 30, 0}, false},
		{"a standby is not asked for being near", []shaping.Region{region(1, 4, 4), standby(region(1, 4, 4))}, []float64{-1, 1}, []float64{100, 0}, false},
		{"a standby takes the rest", []shaping.Region{region(1, 2, 4), standby(region(1, 4, 4))}, []float64{-1, 1}, []float64{70, 30}, false},
		{"the nearest is down", []shaping.Region{region(1, 0, 4), region(1, 4, 4)}, []float64{1, 0}, []float64{0, 100}, false},
		{"the nearest is drained", []shaping.Region{drained(region(1, 4, 4)), region(1, 4, 4)}, []float64{1, 0}, []float64{0, 100}, false},
		{"the nearest has no weight", []shaping.Region{region(0, 4, 4), region(1, 4, 4)}, []float64{1, 0}, []float64{0, 100}, false},
		{"the nearest has come back", []shaping.Region{ramping(0.1, region(1, 4, 4)), region(1, 4, 4)}, []float64{1, 0}, []float64{10, 90}, false},
		{"and is the only one", []shaping.Region{ramping(0.1, region(1, 4, 4)), region(1, 0, 4)}, []float64{1, 0}, []float64{100, 0}, false},
		{"too little in all is divided in proportion", []shaping.Region{region(1, 1, 4), region(1, 1, 4)}, []float64{0, 1}, []float64{50, 50}, true},
		{"equally near: the first", []shaping.Region{region(1, 4, 4), region(1, 4, 4)}, []float64{1, 1}, []float64{100, 0}, false},
		{"none", nil, nil, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := shaping.Nearest(test.regions, test.closeness, shaping.DefaultFailover)
			if got.Panic != test.panics {
				t.Errorf("panic is %t, want %t", got.Panic, test.panics)
			}
			for i, want := range test.percent {
				if share := 100 * got.Regions[i].Share; math.Abs(share-want) > 0.01 {
					t.Errorf("region %d gets %.3f %%, want %.3f %%", i, share, want)
				}
			}
		})
	}
}

// Where none ramps, Nearest is Divide with each region a priority of its own.
func TestNearestIsDivideByRank(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		regions := drawRegions(t)
		closeness := make([]float64, len(regions))
		order := make([]int, len(regions))
		for i := range regions {
			regions[i].Ramp = 0
			closeness[i] = rapid.Float64Range(-1, 1).Draw(t, "closeness")
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int {
			return cmp.Or(cmp.Compare(regions[a].Priority, regions[b].Priority), cmp.Compare(closeness[b], closeness[a]))
		})
		ranked := slices.Clone(regions)
		for rank, i := range order {
			ranked[i].Priority = rank
		}
		want, got := shaping.Divide(ranked, shaping.DefaultFailover), shaping.Nearest(regions, closeness, shaping.DefaultFailover)
		if got.Panic != want.Panic || math.Abs(got.Whole-want.Whole) > 1e-9 {
			t.Errorf("panic %v, whole %v; want %v, %v", got.Panic, got.Whole, want.Panic, want.Whole)
		}
		sum := 0.0
		for i := range regions {
			sum += got.Regions[i].Share
			if math.Abs(got.Regions[i].Share-want.Regions[i].Share) > 1e-9 || math.Abs(got.Regions[i].Available-want.Regions[i].Available) > 1e-9 {
				t.Errorf("region %d has %+v, want %+v", i, got.Regions[i], want.Regions[i])
			}
		}
		if sum != 0 && math.Abs(sum-1) > 1e-9 {
			t.Errorf("the shares sum to %v", sum)
		}
	})
}

// One that ramps never makes the shares sum to less.
func TestNearestWithRamps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		regions := drawRegions(t)
		closeness := make([]float64, len(regions))
		for i := range closeness {
			closeness[i] = float64(i % 3)
		}
		d := shaping.Nearest(regions, closeness, shaping.DefaultFailover)
		sum := 0.0
		for i, r := range d.Regions {
			sum += r.Share
			if r.Share > 0 && !d.Panic && regions[i].Healthy == 0 || r.Share < 0 {
				t.Errorf("region %d, %+v, has %v", i, regions[i], r.Share)
			}
		}
		if sum != 0 && math.Abs(sum-1) > 1e-9 {
			t.Errorf("the shares sum to %v", sum)
		}
	})
}
