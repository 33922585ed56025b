package shaping

import (
	"cmp"
	"slices"
)

// Carry tells how much of a client's requests each region takes at most, if those
// before it leave so much: its available part, less while it ramps. Where all
// together cannot take all requests, each takes more in proportion; in a panic each
// takes as much of them as it has of the endpoints. The sum is at least 1, or
// 0 when no region may be asked.
//
// Weights say nothing here but that a region with 0 takes nothing.
func Carry(regions []Region, failover Failover) (carry []float64, panics bool) {
	carry = make([]float64, len(regions))
	over := max(failover.Overprovisioning, 1)
	endpoints, available, sum := 0, 0.0, 0.0
	for i := range regions {
		region := &regions[i]
		if !region.counts() {
			continue
		}
		part := region.available(over)
		endpoints += region.Endpoints
		available += part
		if region.Ramp > 0 {
			part *= region.Ramp
		}
		carry[i] = part
		sum += part
	}
	panics = available < 1 && allBelow(regions, failover.PanicThreshold)
	for i := range regions {
		switch {
		case panics && regions[i].counts():
			carry[i] = float64(regions[i].Endpoints) / float64(endpoints)
		case panics:
			carry[i] = 0
		case sum > 0 && sum < 1:
			carry[i] /= sum
		}
	}
	return carry, panics
}

// Nearest divides the requests of clients in one place between regions: those of one
// priority after the other, in it the closest first, each as far as it can carry. It
// is Divide's arithmetic for levels with one region each, but that a region which
// ramps lets the next one have what it does not take yet. Of regions equally close
// the earlier one comes first. closeness has one figure for each region, larger for
// what is nearer.
func Nearest(regions []Region, closeness []float64, failover Failover) Division {
	carry, panics := Carry(regions, failover)
	d := Division{Regions: make([]RegionShare, len(regions)), Panic: panics}
	over := max(failover.Overprovisioning, 1)
	for i := range regions {
		if r := &regions[i]; r.counts() {
			d.Regions[i].Available = r.available(over)
			d.Whole = min(1, d.Whole+d.Regions[i].Available)
		}
	}
	order := make([]int, len(regions))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(regions[a].Priority, regions[b].Priority), cmp.Compare(closeness[b], closeness[a]))
	})
	left := 1.0
	for _, i := range order {
		d.Regions[i].Share = min(left, carry[i])
		left -= d.Regions[i].Share
	}
	return d
}
