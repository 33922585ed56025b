package table

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/shaping"
	"github.com/weir-gateway/weir/shaping/geo"
)

// Shares says how the calls of a function are divided between regions, and why.
type Shares struct {
	Function string             `json:"function"`
	Shares   map[string]float64 `json:"shares"` // by region, in percent with two decimals
	Panic    bool               `json:"panic"`
	Why      []string           `json:"why"`
}

// Health is how many endpoints of a region there are, and how many of them are
// healthy.
type Health struct{ Healthy, Endpoints int }

// ExplainShares divides the calls of a function between its regions with the
// arithmetic that calls go by, as if so many endpoints were there. Of regions that
// health does not name, its endpoints in the configuration count, as healthy; if it
// has none there, a region counts as whole if health is nil, else as one without
// endpoints. client is where the calls come from; nil: nobody knows.
func ExplainShares(cfg *config.Config, fn config.Function, health map[string]Health, client *geo.Point) Shares {
	static := map[string]Health{}
	for _, ep := range fn.Endpoints {
		if ep.Weight > 0 {
			h := static[ep.Region]
			static[ep.Region] = Health{h.Healthy + 1, h.Endpoints + 1}
		}
	}
	names := map[string]bool{}
	spread := cfg.SpreadOf(fn.Name)
	for name := range spread.Regions {
		names[name] = true
	}
	for name := range static {
		names[name] = true
	}
	for name := range health {
		names[name] = true
	}
	var notes []string
	if len(names) == 0 {
		names[cfg.Region] = true
		notes = append(notes, "nothing is said of regions: all calls go where the endpoints are")
	}
	split := &Split{failover: spread.Failover}
	for name := range names {
		r := Region{Name: name, Region: config.Unsaid}
		if configured, known := spread.Regions[name]; known {
			r.Region, r.at = configured, pointOf(configured)
		} else if len(spread.Regions) > 0 {
			notes = append(notes, name+" is not configured: weight 1, priority 0")
		}
		h, said := health[name]
		if !said {
			h, said = static[name]
		}
		if !said && health == nil && len(static) == 0 {
			h = Health{1, 1}
			notes = append(notes, name+" is taken to be whole: its endpoints are not in the configuration")
		}
		r.Healthy, r.endpoints = h.Healthy, h.Endpoints
		split.Regions = append(split.Regions, r)
	}
	slices.SortFunc(split.Regions, func(a, b Region) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(notes)
	split.take(shaping.Divide(split.inputs(), failoverOf(split.failover)))
	home := slices.IndexFunc(split.Regions, func(r Region) bool { return r.Name == cfg.Region })
	if home >= 0 && fn.ColdStart.Scaler != "" && fn.ColdStart.PreferWarmRegion {
		split.Home = &split.Regions[home]
		split.spillFrom(home, split.Home.Asked() && split.Home.endpoints == 0)
	}
	s := split.explain(fn, notes, client)
	s.Why = append(s.Why, explainZones(cfg, fn)...)
	return s
}

// explainZones says how many calls stay in this weir's zone, if all the endpoints that
// the configuration has in its region are there and well.
func explainZones(cfg *config.Config, fn config.Function) []string {
	w := &watch{zone: cfg.Zone, fn: &Function{Function: fn}}
	if !w.prefersZone() {
		return nil
	}
	set := &Set{}
	for i := range fn.Endpoints {
		if ep := &fn.Endpoints[i]; ep.Region == cfg.Region && ep.Weight > 0 {
			set.Endpoints = append(set.Endpoints, &Endpoint{Link: &Link{}, Endpoint: discovery.Endpoint{Zone: ep.Zone, Weight: ep.Weight}})
		}
	}
	return []string{w.zones(set, config.LoadBalancing{}, time.Now()).explain(cfg.Zone)}
}

// ExplainShares says how the calls of the function that come from client are divided
// now; nil: nobody knows from where.
func (f *Function) ExplainShares(client *geo.Point) Shares {
	set := f.Set()
	s := f.explainRegions(set, client)
	if z, zone := set.Preferred(); z != nil {
		s.Why = append(s.Why, z.explain(zone))
	}
	return s
}

func (f *Function) explainRegions(set *Set, client *geo.Point) Shares {
	if set.Split != nil {
		return set.Split.explain(f.Function, nil, client)
	}
	s := Shares{Function: f.Name, Shares: map[string]float64{}, Why: []string{"its endpoints are all in one region, of which nothing is said"}}
	for _, ep := range set.Endpoints {
		s.Shares[ep.Region] = 100
	}
	if len(set.Endpoints) == 0 {
		s.Why[0] = "it has no endpoints now"
	}
	return s
}

func (s *Split) explain(fn config.Function, why []string, client *geo.Point) Shares {
	out := Shares{Function: fn.Name, Shares: map[string]float64{}, Panic: s.Panic, Why: why}
	say := func(format string, args ...any) { out.Why = append(out.Why, fmt.Sprintf(format, args...)) }
	near := fn.LoadBalancing.Regions == "nearest"
	switch {
	case near && client == nil:
		say("load_balancing.regions is nearest: so are calls divided of clients whose place is not known")
	case near:
		say("load_balancing.regions is nearest: of each priority the nearest region comes first, whatever its weight")
	case client != nil:
		say("load_balancing.regions is weights: it makes no difference where a client is")
	}
	spills := s
	if near && client != nil {
		s = s.nearestTo(*client)
		out.Panic = s.Panic
	}
	for i := range s.Regions {
		r := &s.Regions[i]
		out.Shares[r.Name] = math.Round(1e4*r.Share) / 100
		if near && client != nil {
			say("%s is %s", r.Name, distance(r.at, *client))
		}
		switch {
		case r.Disabled:
			say("%s is disabled", r.Name)
		case r.Drain:
			say("%s is drained", r.Name)
		case r.Weight == 0:
			say("%s has weight 0: it takes nothing, not even on failover", r.Name)
		case r.endpoints == 0:
			say("%s has no endpoints", r.Name)
		default:
			say("%s has weight %v, priority %d, and %d of %d endpoints healthy: it can carry %.2f %% of its share%s",
				r.Name, r.Weight, r.Priority, r.Healthy, r.endpoints, 100*r.Available, timeNote(r))
		}
	}
	switch {
	case s.Panic:
		say("in every region fewer than %d %% are healthy: health is ignored", s.failover.PanicThreshold)
	case !slices.ContainsFunc(s.Regions, func(r Region) bool { return r.Share > 0 }):
		say("no region may be asked")
	}
	out.Why = append(out.Why, spills.explainSpill()...)
	return out
}

// nearestTo divides the calls of a client whose place is known.
func (s *Split) nearestTo(client geo.Point) *Split {
	next := &Split{Regions: slices.Clone(s.Regions), failover: s.failover}
	near := make([]float64, len(next.Regions))
	for i := range next.Regions {
		near[i] = next.Regions[i].closeness(&client)
	}
	next.take(shaping.Nearest(next.inputs(), near, failoverOf(next.failover)))
	return next
}

// explainSpill says what becomes of the calls of a region that is cold.
func (s *Split) explainSpill() (why []string) {
	if !s.Spilling {
		return nil
	}
	how := "is cold: a call of its own starts an instance there, and goes"
	if s.Home.endpoints > 0 {
		how = "has its share by and by after it was cold: a call beyond goes"
	}
	for i := range s.Regions {
		r := &s.Regions[i]
		if r.Extra == 0 {
			continue
		}
		bound := fmt.Sprintf("as long as those are no more than %d %% of the calls that its endpoints take at once", r.OverflowPercent)
		if r.Spill != nil {
			bound = fmt.Sprintf("as long as those are no more than %d at once; %d are there now, %v away", r.Room, r.Spill.Taken(), r.Spill.RoundTrip())
		}
		why = append(why, fmt.Sprintf("%s %s to %s if its answer is there sooner so, %s. That is %.2f %% of what %s has (prefer_warm_region)",
			s.Home.Name, how, r.Name, bound, 100*r.Extra, r.Name))
	}
	return why
}

func distance(region, client geo.Point) string {
	if region == (geo.Point{}) {
		return "nowhere, without a location, and so the farthest"
	}
	return fmt.Sprintf("%.0f km away", region.Kilometres(client))
}

// timeNote is what a region does not have its share for, though it is well.
func timeNote(r *Region) string {
	switch r.State {
	case Waiting:
		return ", after failback_delay"
	case Returning:
		return fmt.Sprintf(", and by slow_start has %.0f %% of its weight", 100*r.Ramp)
	}
	return ""
}
