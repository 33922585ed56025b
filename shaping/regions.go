package shaping

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// RegionState is what an operator has said about a region.
type RegionState uint8

const (
	// RegionActive takes its share.
	RegionActive RegionState = iota
	// RegionDraining takes no new requests; those under way end.
	RegionDraining
	// RegionDisabled does not exist for this function.
	RegionDisabled
)

// Region is one region of one function, as Divide sees it.
type Region struct {
	Weight    float64 // relative to the regions of its priority; 0 takes nothing, not even on failover
	Priority  int     // 0 is asked first
	State     RegionState
	Endpoints int     // those not draining
	Healthy   int     // of Endpoints
	Ramp      float64 // the factor of slow start, in (0, 1]; 0 means not ramping
}

// Failover is what holds between regions. Its zero value shifts traffic as soon as
// one endpoint is unhealthy and never panics; DefaultFailover is what is usual.
type Failover struct {
	Overprovisioning float64 // how many times its share the healthy part may carry, at least 1
	PanicThreshold   float64 // below this healthy part of every region health is ignored; 0 is never
}

// DefaultFailover is Envoy's overprovisioning and weir's panic threshold.
var DefaultFailover = Failover{Overprovisioning: 1.4, PanicThreshold: 0.5}

// RegionShare is what one region gets, and why.
type RegionShare struct {
	Share     float64 // of the function's requests, from 0 to 1
	Available float64 // from 0 to 1; 0 for a region that is excluded or has no endpoints
}

// Division is a function's requests divided between its regions. The shares sum to 1,
// or are all 0 when no region may be asked.
type Division struct {
	Regions []RegionShare // in the order of the regions given
	Whole   float64       // the health of all priorities together, 1 at most: below, somebody lacks room
	Panic   bool          // health was ignored
}

// Divide divides a function's requests between its regions by Envoy's arithmetic of
// priority levels and locality weights (arch_overview/upstream/load_balancing), with a
// panic of weir's own: health is ignored only when every region that could take requests is
// below the threshold, and then the weights still hold. Envoy panics by priority, and so sends
// requests to a dead region beside a whole one.
//
// It protects nobody from too little capacity in total: with weights of 80 and 20 and
// a tenth of the first healthy, that tenth still gets 36 % of the requests.
//
// Regions are neither kept nor changed.
func Divide(regions []Region, failover Failover) Division {
	shares := make([]RegionShare, len(regions))
	over := max(failover.Overprovisioning, 1)
	for i, region := range regions {
		if region.counts() {
			shares[i].Available = region.available(over)
		}
	}

	levels, whole := levelsOf(regions, over)
	panics := whole < 1 && allBelow(regions, failover.PanicThreshold)
	if !panics && whole == 0 {
		return Division{Regions: shares, Whole: whole}
	}

	left := 1.0
	for _, level := range levels {
		load := level.load(whole, left)
		if panics {
			load = float64(level.endpoints) / float64(endpointsOf(levels))
		}
		left -= load
		level.divide(regions, shares, load, panics)
	}
	return Division{Regions: shares, Whole: whole, Panic: panics}
}

// Ramp is the factor of slow start at the moment t after a region came back: it
// rises from least to 1 within window, at first faster the higher aggression is.
func Ramp(t, window time.Duration, least, aggression float64) float64 {
	if t >= window {
		return 1
	}
	part := float64(max(t, time.Second)) / float64(window)
	return min(1, max(least, math.Pow(part, 1/aggression)))
}

// counts reports whether the region is in the sums.
func (r *Region) counts() bool {
	return r.State == RegionActive && r.Weight > 0 && r.Endpoints > 0
}

// available is how much of its share a region that counts can carry, from 0 to 1.
func (r *Region) available(over float64) float64 {
	return min(1, over*float64(r.Healthy)/float64(r.Endpoints))
}

// level is the regions of one priority.
type level struct {
	priority           int
	endpoints, healthy int
	health             float64 // from 0 to 1
}

// levelsOf returns the priorities that have regions, the first to be asked first, and
// the sum of their health, at most 1.
func levelsOf(regions []Region, over float64) ([]level, float64) {
	var levels []level
	for i := range regions {
		region := &regions[i]
		if !region.counts() {
			continue
		}
		at, found := slices.BinarySearchFunc(levels, region.Priority, func(l level, priority int) int {
			return cmp.Compare(l.priority, priority)
		})
		if !found {
			levels = slices.Insert(levels, at, level{priority: region.Priority})
		}
		levels[at].endpoints += region.Endpoints
		levels[at].healthy += region.Healthy
	}

	whole := 0.0
	for i := range levels {
		levels[i].health = min(1, over*float64(levels[i].healthy)/float64(levels[i].endpoints))
		whole += levels[i].health
	}
	return levels, min(1, whole)
}

// allBelow reports whether every region that counts has less than threshold of its
// endpoints healthy, and at least one counts.
func allBelow(regions []Region, threshold float64) bool {
	found := false
	for i := range regions {
		region := &regions[i]
		if !region.counts() {
			continue
		}
		if float64(region.Healthy) >= threshold*float64(region.Endpoints) {
			return false
		}
		found = true
	}
	return found
}

func endpointsOf(levels []level) int {
	sum := 0
	for i := range levels {
		sum += levels[i].endpoints
	}
	return sum
}

// load returns the part of all requests that the level takes of what those before it
// left over.
func (l *level) load(whole, left float64) float64 {
	if whole == 0 {
		return 0
	}
	return max(0, min(left, l.health/whole))
}

// divide gives each region of the level its part of load.
func (l *level) divide(regions []Region, shares []RegionShare, load float64, panics bool) {
	// Weights are divided by the greatest that takes part: two huge ones must not sum to
	// infinity, nor a tiny one vanish beside a huge one that is down.
	greatest := 0.0
	for i := range regions {
		if regions[i].counts() && regions[i].Priority == l.priority && (panics || shares[i].Available > 0) {
			greatest = max(greatest, regions[i].Weight)
		}
	}
	effective := func(i int) float64 {
		region := &regions[i]
		if !region.counts() || region.Priority != l.priority || !panics && shares[i].Available == 0 {
			return 0
		}
		weight := region.Weight / greatest
		if panics {
			return weight
		}
		if region.Ramp > 0 {
			weight *= region.Ramp
		}
		return weight * shares[i].Available
	}
	sum := 0.0
	for i := range regions {
		sum += effective(i)
	}
	if sum == 0 {
		return
	}
	for i := range regions {
		if part := effective(i); part > 0 {
			shares[i].Share = load * part / sum
		}
	}
}
