package table

import (
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/shaping"
	"github.com/weir-gateway/weir/shaping/geo"
)

// What of a Split depends on where the client is, for functions whose calls go to the
// nearest region (load_balancing.regions). The shares are those of shaping.Nearest.

// carryNear fills in how much each region takes of what those nearer leave.
func (s *Split) carryNear(f config.Failover) {
	carry, panics := shaping.Carry(s.inputs(), failoverOf(f))
	s.Nearest, s.PanicNear, s.callable = true, panics, nil
	for i := range s.Regions {
		r := &s.Regions[i]
		r.carry = scaled(carry[i])
		r.Set.part = 1 // all calls may be for it
		r.Set.Zones = r.Set.Zones.of(1)
		if r.carry > 0 {
			s.callable = append(s.callable, r.Set.Endpoints...)
		}
	}
}

// inputs are the regions as the arithmetic sees them, once their states are known.
func (s *Split) inputs() []shaping.Region {
	in := make([]shaping.Region, len(s.Regions))
	for i := range s.Regions {
		in[i] = s.Regions[i].input()
		if s.Regions[i].State == Waiting {
			in[i].State = shaping.RegionDraining
		}
	}
	return in
}

// ByDistance appends the regions that may be asked to regions: the first priority
// first, in it the nearest to at.
func (s *Split) ByDistance(at geo.Point, regions []*Region) []*Region {
	for i := range s.Regions {
		r := &s.Regions[i]
		if r.carry == 0 {
			continue
		}
		place := len(regions)
		regions = append(regions, r)
		for ; place > 0 && r.Before(regions[place-1], at); place-- {
			regions[place] = regions[place-1]
		}
		regions[place] = r
	}
	return regions
}

// Before tells whether a client at that place would rather have the region than another.
func (r *Region) Before(other *Region, at geo.Point) bool {
	if r.Priority != other.Priority {
		return r.Priority < other.Priority
	}
	return closeness(r.at, at) > closeness(other.at, at)
}

// closeness of a region's place; one without is farther than all.
func closeness(region, at geo.Point) float64 {
	if region == (geo.Point{}) {
		return -2
	}
	return region.Closeness(at)
}

// DrawNear picks one of the regions that ByDistance has sorted, for a call whose
// endpoint is drawn by the random number r.
func DrawNear(regions []*Region, r uint64) *Region {
	x := mix(r)
	for _, region := range regions {
		if x < region.carry {
			return region
		}
		x -= region.carry
	}
	return regions[0]
}

func pointOf(r config.Region) geo.Point {
	if r.Location == nil {
		return geo.Point{}
	}
	return geo.At(float64(r.Location[0]), float64(r.Location[1]))
}
