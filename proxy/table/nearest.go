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
	s.Nearest, s.PanicNear, s.callable, s.near = true, panics, nil, nil
	for i := range s.Regions {
		r := &s.Regions[i]
		r.carry = scaled(carry[i])
		r.Set.part = 1 // all calls may be for it
		r.Set.Zones = r.Set.Zones.of(1)
		if r.carry > 0 {
			s.callable = append(s.callable, r.Set.Endpoints...)
			s.near = append(s.near, r)
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

// ByDistance are the regions that may be asked: the first priority first, in it the
// nearest to at. They are in room, if that has room for them.
func (s *Split) ByDistance(at geo.Point, room []*Region) []*Region {
	regions := append(room[:0], s.near...)
	for i := 1; i < len(regions); i++ { // they are few
		for k := i; k > 0 && regions[k].goesBefore(regions[k-1], &at); k-- {
			regions[k], regions[k-1] = regions[k-1], regions[k]
		}
	}
	return regions
}

// Before tells whether a client at that place would rather have the region than another.
func (r *Region) Before(other *Region, at geo.Point) bool { return r.goesBefore(other, &at) }

func (r *Region) goesBefore(other *Region, at *geo.Point) bool {
	if r.Priority != other.Priority {
		return r.Priority < other.Priority
	}
	return r.closeness(at) > other.closeness(at)
}

// closeness of the region to a place; one without a place of its own is farther than all.
func (r *Region) closeness(at *geo.Point) float64 {
	if r.at == (geo.Point{}) {
		return -2
	}
	return r.at.Closeness(*at)
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
