package table

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/shaping/geo"
)

// A Split is how the calls of a function are divided between regions at one
// moment. Frozen. The shares are those of shaping.Divide.
type Split struct {
	Regions []Region  // by name: those that are configured, and those that endpoints name
	Best    []*Region // those with a share, the largest first
	Panic   bool      // too few are healthy anywhere: health is ignored
	Void    Void      // why no region has a share
	Nearest bool      // the shares are for clients of which nobody knows where they are
	// PanicNear is Panic for the other clients: what each region can carry suffices
	// sooner than their endpoints taken together do.
	PanicNear bool

	// Home is this weir's own region, if the function's instances are raised there
	// and its calls may go elsewhere while they are not (prefer_warm_region); else
	// nil. Spilling is that such calls may come: it is cold, or comes back from that.
	Home     *Region
	Spilling bool

	callable []*Endpoint // in regions with a share
	near     []*Region   // that may be asked by clients of which somebody knows where they are
	failover config.Failover
}

// A Void is why no region of a function may be asked.
type Void uint8

// The reasons.
const (
	NoVoid  Void = iota // one may
	Drained             // an operator wants it so, or has them disabled
	Unasked             // all have weight 0
	Unwell              // no endpoint is healthy, and there is no panic
	Cold                // there are no endpoints
)

// A Region is one region of one function in a Split.
type Region struct {
	Name          string
	config.Region // as it is for the function

	Set       *Set    // its endpoints, with what the function's policy needs
	Healthy   int     // endpoints that may take calls
	Ramp      float64 // what slow start leaves of its weight, from 0 to 1
	Available float64 // how much of its share it can carry, from 0 to 1
	Share     float64 // of the function's calls, from 0 to 1
	State     string  // one of the states below

	// Extra is which part of its calls are Home's, from 0 to 1, while the function is
	// Spilling. It takes Room of them at once.
	Extra float64
	Room  int
	Spill *Spill

	endpoints int    // in Set
	upTo      uint64 // random numbers below are its, or another's before it

	at    geo.Point // where it is; zero: nobody has said
	carry uint64    // how many random numbers are its at most, if Nearest
}

// The states of a region, as logs and the admin interface show them.
const (
	Active         = "active"
	RegionDrained  = "drained"
	RegionDisabled = "disabled"   // nobody looks at its endpoints
	Weightless     = "weightless" // its weight is 0
	RegionCold     = "cold"       // it has no endpoints
	Down           = "down"       // none of them is healthy
	Waiting        = "waiting"    // it is back, and has to be well for a while (failback_delay)
	Returning      = "returning"  // it has its share by and by (slow_start)
)

// Draw picks a region by the shares; x is a random number. One has a share.
func (s *Split) Draw(x uint64) *Region {
	for i := range s.Regions {
		if x < s.Regions[i].upTo {
			return &s.Regions[i]
		}
	}
	return s.Best[0]
}

// DrawFor is Draw for a call whose endpoint is drawn by the random number r.
func (s *Split) DrawFor(r uint64) *Region { return s.Draw(mix(r)) }

// After picks the region, of those that may be asked, for a try after one that
// failed in the one with that name: the same one once more, since nearly always it
// was one endpoint of many, and another one after that.
func After(regions []*Region, name string, tries int) *Region {
	for _, r := range regions {
		if (r.Name == name) == (tries < 2) {
			return r
		}
	}
	return regions[0]
}

// Keeps tells whether a client that was at an endpoint may go on to be: while its
// region drains too.
func (s *Split) Keeps(ep *Endpoint) bool {
	for i := range s.Regions {
		if r := &s.Regions[i]; r.Name == ep.Region {
			return r.Share > 0 || r.carry > 0 || r.Drain && !r.Disabled && r.Weight > 0
		}
	}
	return false
}

// StateOf tells how one of the endpoints is held to be at the moment now. Of one in
// a disabled region nobody knows.
func (s *Set) StateOf(ep *Endpoint, now time.Time) string {
	if s.Split != nil {
		for i := range s.Split.Regions {
			if r := &s.Split.Regions[i]; r.Disabled && r.Name == ep.Region {
				return RegionDisabled
			}
		}
	}
	if state := ep.State(moment.Of(now)); state != Healthy || !ep.rising {
		return state
	}
	return Rising
}

// Well is how many endpoints may take calls now.
func (s *Set) Well() int {
	well, _ := wellOf(s.Endpoints, time.Now())
	return well
}

// Callable are the endpoints that may be called.
func (s *Set) Callable() []*Endpoint {
	if s.Split != nil {
		return s.Split.callable
	}
	return s.Endpoints
}

// regionsOf are the regions of a function with these endpoints, those with their
// own part of them; nil if there is one, of which nothing is configured.
func (w *watch) regionsOf(set *Set) []Region {
	configured := w.spread.Regions
	parts := map[string]*Set{}
	for name := range configured {
		parts[name] = nil
	}
	for _, ep := range set.Endpoints {
		part := parts[ep.Region]
		if part == nil {
			part = &Set{Version: set.Version}
			parts[ep.Region] = part
		}
		part.Endpoints = append(part.Endpoints, ep)
	}
	if w.prefersWarm() && parts[w.region] == nil {
		parts[w.region] = nil
	}
	if len(configured) == 0 && len(parts) < 2 {
		return nil
	}
	regions := make([]Region, 0, len(parts))
	for name, part := range parts {
		region, known := configured[name]
		if !known {
			region = config.Unsaid
		}
		if part == nil {
			part = &Set{Version: set.Version}
		}
		regions = append(regions, Region{Name: name, Region: region, Set: part, endpoints: len(part.Endpoints), at: pointOf(region)})
	}
	slices.SortFunc(regions, func(a, b Region) int { return strings.Compare(a.Name, b.Name) })
	return regions
}

// finish fills in what calls look at, once the shares are known.
func (s *Split) finish() {
	sum := 0.0
	for i := range s.Regions {
		r := &s.Regions[i]
		if r.Share > 0 {
			s.Best = append(s.Best, r)
			s.callable = append(s.callable, r.Set.Endpoints...)
		}
		sum += r.Share
		r.upTo = scaled(sum)
		part := *r.Set
		part.part = r.Share
		part.Zones = r.Set.Zones.of(r.Share)
		r.Set = &part
	}
	slices.SortStableFunc(s.Best, func(a, b *Region) int { return cmp.Compare(b.Share, a.Share) })
}

// scaled is a part of 1 as a part of all random numbers.
func scaled(part float64) uint64 {
	if part > 1-1e-12 {
		return math.MaxUint64
	}
	return uint64(math.Ldexp(part, 64))
}

// wellOf counts the endpoints that may take calls at the moment now, and tells when
// the next one may that is set aside; zero if none is.
func wellOf(endpoints []*Endpoint, now time.Time) (well int, next time.Time) {
	at := moment.Of(now)
	for _, ep := range endpoints {
		if ep.Well(at) {
			well++
		} else if until := ep.Outlier.Until(at); !until.IsZero() {
			next = sooner(next, until)
		}
	}
	return well, next
}

// sooner is the earlier of two moments, of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
