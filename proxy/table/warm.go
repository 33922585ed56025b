package table

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/shaping"
)

// Calls of a region that is cold go to one that is warm, where the function has it
// so (cold_start.prefer_warm_region), while an instance is started here.
//
// The shares stay what they are: a region without endpoints has none, and one that
// comes back has its own by slow start. What the others have beyond what would be
// theirs if this region were whole is its calls (Region.Extra), and only these are
// bounded (Region.Room): what a region has by its weight is its own affair.
//
// Decision, 2026-11-26: the bound is calls at once, not a rate, and by what the
// region's endpoints take, not by what they have: a standby, which has nothing, is
// what one would rather send calls to than to a region that is busy. It is each
// router's for itself.

// A Spill is what a function's calls of another region are bounded by in one, and
// know of it. It lives as long as the Keeper remembers the region.
type Spill struct {
	taken     shaping.Slots
	roundTrip atomic.Int64
}

// unknownTrip is how far away a region is taken to be that no connection was made
// to: farther than most.
const unknownTrip = 200 * time.Millisecond

// Take takes one of the places that the region has for such calls, if one is free.
func (r *Region) Take() bool { return r.Room > 0 && r.Spill.taken.Take() }

// GiveBack frees a place.
func (s *Spill) GiveBack() { s.taken.GiveBack() }

// Taken tells how many places are taken.
func (s *Spill) Taken() int { return s.taken.InFlight() }

// RoundTrip is how long a packet takes to the region and back, by the connections
// that were made to it.
func (s *Spill) RoundTrip() time.Duration {
	if d := s.roundTrip.Load(); d > 0 {
		return time.Duration(d)
	}
	return unknownTrip
}

// note takes in how long a connection took: an eighth of what is new, as RFC 6298
// has it. Of two that come at once one may be lost.
func (s *Spill) note(took time.Duration) {
	was := s.roundTrip.Load()
	if was == 0 {
		was = int64(took)
	}
	s.roundTrip.Store(max(was+(int64(took)-was)/8, 1))
}

// Dialed says how long a connection to an endpoint took to make.
func (s *State) Dialed(ep *Endpoint, took time.Duration) {
	split := s.Set().Split
	if split == nil || split.Home == nil {
		return
	}
	for i := range split.Regions {
		if r := &split.Regions[i]; r.Name == ep.Region && r.Spill != nil {
			r.Spill.note(took)
		}
	}
}

// tellEvery is how often the Activator is told, at most, that calls go elsewhere.
const tellEvery = 250 * time.Millisecond

// Spilled says that a call went elsewhere, since no instance is up here: that is to
// start one. It costs three atomic loads, unless it was not said for a while, or what
// it led to is over.
func (s *State) Spilled(now time.Time) {
	at, was, since := now.UnixNano(), s.spilled.Load(), s.Start.Status().Since.UnixNano()
	if time.Duration(at-was) < tellEvery && s.spiltIn.Load() == since {
		return
	}
	if s.spilled.CompareAndSwap(was, at) { // else somebody else says it now
		s.spiltIn.Store(since)
		s.Start.NeedElse()
	}
}

// IsExtra tells whether a call that was drawn for the region is the cold region's
// own; x is a random number, not that of Draw.
func (r *Region) IsExtra(x uint64) bool { return r.Extra > 0 && x < scaled(r.Extra) }

// prefersWarm tells whether the function's calls may go elsewhere while it is cold.
func (w *watch) prefersWarm() bool { return w.fn.Start != nil && w.fn.ColdStart.PreferWarmRegion }

// spill fills in what regions take for this one, once their shares and states are
// known.
func (w *watch) spill(s *Split) {
	if !w.prefersWarm() {
		return
	}
	home := slices.IndexFunc(s.Regions, func(r Region) bool { return r.Name == w.region })
	if home < 0 {
		return
	}
	s.Home = &s.Regions[home]
	s.spillFrom(home, s.Home.Asked() && w.regional(w.region).cold)
	for i := range s.Regions {
		r := &s.Regions[i]
		if r.Spill = &w.regional(r.Name).spill; i == home {
			r.Spill = nil
			continue
		}
		r.Room = 0
		if r.Share > 0 && !s.Panic && s.Home.Asked() {
			r.Room = roomFor(r.OverflowPercent, r.Set.Endpoints, time.Now())
		}
		r.Spill.taken.SetLimit(r.Room)
	}
}

// spillFrom fills in which calls of the others are those of a region that is cold, or
// comes back from that.
func (s *Split) spillFrom(home int, cold bool) {
	s.Spilling = false
	whole := s.inputs()
	whole[home].Ramp = 1
	if whole[home].Endpoints == 0 {
		whole[home].Endpoints, whole[home].Healthy = 1, 1
	}
	d := shaping.Divide(whole, failoverOf(s.failover))
	for i := range s.Regions {
		r := &s.Regions[i]
		r.Extra = 0
		if cold && i != home && r.Share > 0 {
			r.Extra = max(1-d.Regions[i].Share/r.Share, 0)
			if r.Extra < 1e-9 {
				r.Extra = 0
			}
		}
		s.Spilling = s.Spilling || r.Extra > 0
	}
}

// usualSlots is what an endpoint without a limit is taken to take at once.
const usualSlots = 100

// roomFor is how many calls some percent of what endpoints take are: one at least.
func roomFor(percent int, endpoints []*Endpoint, now time.Time) int {
	sum, at := 0, moment.Of(now)
	for _, ep := range endpoints {
		if !ep.Well(at) {
			continue
		}
		if ep.Endpoint.Slots > 0 { // as reported: a window that opens is no limit
			sum += ep.Endpoint.Slots
		} else {
			sum += usualSlots
		}
	}
	return int(math.Ceil(float64(sum*percent) / 100))
}

// room is how many more calls of a cold region the others take now.
func (s *Split) room() (sum int) {
	for i := range s.Regions {
		if r := &s.Regions[i]; r.Room > 0 && r.Spill != nil {
			sum += max(r.Room-r.Spill.Taken(), 0)
		}
	}
	return sum
}

// raised are the endpoints that are the Activator's affair: all, or those of this
// weir's region where that matters.
func (s *Set) raised() []*Endpoint {
	if s.Split == nil || s.Split.Home == nil {
		return s.Endpoints
	}
	return s.Split.Home.Set.Endpoints
}

// elsewhere is how many calls are at endpoints that are not, and would be if all
// regions were warm.
func (s *Set) elsewhere() (calls int) {
	if s.Split == nil || s.Split.Home == nil {
		return 0
	}
	for i := range s.Split.Regions {
		r := &s.Split.Regions[i]
		if r == s.Split.Home {
			continue
		}
		for _, ep := range r.Set.Endpoints {
			calls += ep.Link.Slots.InFlight()
		}
		calls -= r.Spill.Taken()
	}
	return max(calls, 0)
}
