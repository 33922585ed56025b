package config

import (
	"maps"
	"strings"
	"time"
)

// Region is what a region is to every function that does not say otherwise. A
// region that only endpoints name has weight 1 and priority 0.
type Region struct {
	// Weight is its share beside the other regions of its priority, as long as it
	// is well. 0 takes no call, not even when all others are down: a standby is one
	// of priority 1.
	Weight float64 `yaml:"weight" default:"1"`
	// Priority says who is asked first: 0. Those of the next one take what the ones
	// before cannot.
	Priority int `yaml:"priority" default:"0"`
	// Drain lets no new call in. Calls under way end, health checks go on, and
	// clients with a sticky cookie of one of its endpoints stay there.
	Drain bool `yaml:"drain" default:"false"`
	// Disabled is as if the region had no endpoints: no new call goes there, nor does
	// a client with a sticky cookie, and no health check. Calls under way end. It says
	// more than drain, and goes before it.
	Disabled bool `yaml:"disabled" default:"false"`
	// OverflowPercent is how many calls at once it takes, beyond its own share, for
	// functions that are cold where they would be called (prefer_warm_region): of
	// those that its healthy endpoints take. Of an endpoint without a limit 100. 0 is
	// none.
	OverflowPercent int `yaml:"overflow_percent" default:"20"`
	// Location is [latitude, longitude], in degrees: functions with
	// load_balancing.regions: nearest go by it. A region without one is the farthest.
	Location []Degrees `yaml:"location" shown:"given"`
}

// Asked tells whether an operator wants the region to take calls.
func (r *Region) Asked() bool { return !r.Drain && !r.Disabled && r.Weight > 0 }

// Unsaid is a region of which nothing is configured.
var Unsaid = Region{Weight: 1, OverflowPercent: 20}

// A Degrees is an angle, north and east of zero if it is positive.
type Degrees float64

// FunctionRegion is what a region is to one function; what is not given comes from
// Config.Regions.
type FunctionRegion struct {
	// Weight as in Region.
	Weight float64 `yaml:"weight" default:"1"`
	// Priority as in Region.
	Priority int `yaml:"priority" default:"0"`
}

// Failover is how calls are divided between regions that are not all well.
type Failover struct {
	// OverprovisioningFactor is how many times its share the healthy part of a
	// region may carry before it gives calls away: at 1.4 as long as 72 % of its
	// endpoints are healthy.
	OverprovisioningFactor float64 `yaml:"overprovisioning_factor" default:"1.4"`
	// PanicThreshold, in percent: if in every region fewer of the endpoints are
	// healthy, all of them get calls, healthy or not. 0 is never; then calls are
	// answered 503 while nobody is.
	PanicThreshold int `yaml:"panic_threshold" default:"50"`
	// SlowStart lets a region that comes back have its share by and by.
	SlowStart SlowStart `yaml:"slow_start"`
	// FailbackDelay is how long a region that was down has to be well before it has
	// calls again, as long as the others can take them. One that goes down
	// meanwhile begins anew.
	FailbackDelay time.Duration `yaml:"failback_delay" default:"30s"`
}

// SlowStart multiplies the weight of a region by (t / window) ^ (1 / aggression),
// where t is the time since it came back. There is none when weir starts, nor for
// the only region left.
type SlowStart struct {
	// Window after which it has all of its weight.
	Window time.Duration `yaml:"window" default:"60s"`
	// MinWeightPercent of its weight it has at least; 100 is no slow start.
	MinWeightPercent int `yaml:"min_weight_percent" default:"10"`
	// Aggression over 1 gives it more at first, below 1 less.
	Aggression float64 `yaml:"aggression" default:"1"`
}

// A Spread is how the calls of functions are divided between regions. Frozen, and
// common to those that say nothing of their own.
type Spread struct {
	// Regions that are configured, with what the function says otherwise.
	Regions map[string]Region `yaml:"-"`
	// Failover of the Config.
	Failover Failover `yaml:"-"`
}

// SpreadOf is how the calls of a function are divided between regions. To drain a
// region is to change one Spread, and not each of ten thousand functions.
func (c *Config) SpreadOf(function string) *Spread {
	if fn := c.Functions[function]; fn != nil && fn.Spread != nil {
		return fn.Spread
	}
	if c.spread != nil {
		return c.spread
	}
	return &Spread{} // of a Config made by hand
}

// spreadOf is that of a function which says so much itself; nil of one that says
// nothing.
func (c *Config) spreadOf(own map[string]FunctionRegion) *Spread {
	if len(own) == 0 {
		return nil
	}
	s := &Spread{Regions: maps.Clone(c.spread.Regions), Failover: c.spread.Failover}
	for name, r := range own {
		region, known := s.Regions[name]
		if !known {
			continue // a mistake, and told
		}
		region.Weight, region.Priority = r.Weight, r.Priority
		s.Regions[name] = region
	}
	return s
}

// completeRegions takes over what a function does not say of a region.
func completeRegions(cfg *Config, fn *Function, d *document, at *path) {
	for name, own := range fn.Regions {
		common, known := cfg.Regions[name]
		if !known {
			continue
		}
		given := func(key string) bool { return d.isGiven(at.entry(name).key(key).String()) }
		inherit(&own, &FunctionRegion{common.Weight, common.Priority}, given)
		fn.Regions[name] = own
	}
	fn.Spread = cfg.spreadOf(fn.Regions)
}

// mostRegionWeight and mostPriority are beyond what anybody means.
const (
	mostRegionWeight = 1_000_000_000
	mostPriority     = 100
)

func (c *checker) regions(p *path) {
	for _, name := range sortedKeys(c.cfg.Regions) {
		at, r := p.entry(name), c.cfg.Regions[name]
		c.name(at, name)
		c.weightAndPriority(at, r.Weight, r.Priority)
		c.percent(at.key("overflow_percent"), r.OverflowPercent)
		c.location(at.key("location"), r.Location)
	}
	c.somebodyTakesCalls(p, p, c.cfg.Regions)
}

func (c *checker) weightAndPriority(p *path, weight float64, priority int) {
	if weight > mostRegionWeight {
		c.fail(p.key("weight"), "weights are compared with each other: 80 and 20 will do", "must be from 0 to %d, not %v", mostRegionWeight, weight)
	}
	if priority > mostPriority {
		c.fail(p.key("priority"), "0 is asked first, 1 is a standby", "must be from 0 to %d, not %d", mostPriority, priority)
	}
}

func (c *checker) location(p *path, location []Degrees) {
	const hint = "say location: [39.04, -77.49] for latitude and longitude"
	switch {
	case location == nil:
	case len(location) != 2:
		c.fail(p, hint, "must be two numbers, not %d", len(location))
	case location[0] < -90 || location[0] > 90:
		c.fail(p.item(0), hint, "is a latitude and must be from -90 to 90, not %v", location[0])
	case location[1] < -180 || location[1] > 180:
		c.fail(p.item(1), hint, "is a longitude and must be from -180 to 180, not %v", location[1])
	}
}

// somebodyTakesCalls refuses regions of which none does. An operator may want that
// at night, by an override; in a file it is a mistake. drains is where drain and
// disabled are said, weights where weights are.
func (c *checker) somebodyTakesCalls(drains, weights *path, regions map[string]Region) {
	if len(regions) == 0 || !c.d.sound(weights) {
		return
	}
	for _, name := range sortedKeys(regions) {
		r := regions[name]
		said := weights.entry(name).key("weight")
		switch {
		case r.Disabled:
			said = drains.entry(name).key("disabled")
		case r.Drain:
			said = drains.entry(name).key("drain")
		}
		at, _ := c.d.place(said.String())
		if r.Asked() || at.in != nil && at.in.layer == OverrideLayer {
			return
		}
	}
	c.fail(weights, "leave one with a weight, without drain and disabled; who wants to send every call away does it by weir drain", "are all drained, disabled or without weight: nobody would take a call")
}

// functionRegions checks what a function says of regions.
func (c *checker) functionRegions(p *path, fn Function) {
	if len(fn.Regions) == 0 {
		return
	}
	known := sortedKeys(c.cfg.Regions)
	for _, name := range sortedKeys(fn.Regions) {
		if _, here := c.cfg.Regions[name]; !here {
			hint := didYouMean(name, known)
			if hint == "" {
				hint = thereIs(known)
			}
			c.d.spoil(p)
			c.fail(p.entry(name), hint, "is not under regions")
			continue
		}
		own, common := fn.Regions[name], c.cfg.Regions[name]
		if own.Weight == common.Weight { // what was inherited was checked where it comes from
			own.Weight = 0
		}
		if own.Priority == common.Priority {
			own.Priority = 0
		}
		c.weightAndPriority(p.entry(name), own.Weight, own.Priority)
	}
	var top *path
	c.somebodyTakesCalls(top.key("regions"), p, fn.Spread.Regions)
}

func (c *checker) failover(p *path, f Failover) {
	if f.OverprovisioningFactor < 1 || f.OverprovisioningFactor > 100 {
		c.fail(p.key("overprovisioning_factor"), "say overprovisioning_factor: 1.4", "must be from 1 to 100, not %v", f.OverprovisioningFactor)
	}
	c.percent(p.key("panic_threshold"), f.PanicThreshold)
	c.slowStart(p.key("slow_start"), f.SlowStart)
}

func (c *checker) slowStart(p *path, s SlowStart) {
	if s.Window <= 0 {
		c.fail(p.key("window"), "for no slow start say min_weight_percent: 100", "must be more than 0")
	}
	if s.MinWeightPercent < 1 || s.MinWeightPercent > 100 {
		c.fail(p.key("min_weight_percent"), "", "must be from 1 to 100, not %d", s.MinWeightPercent)
	}
	if s.Aggression < 0.1 || s.Aggression > 10 {
		c.fail(p.key("aggression"), "say aggression: 1 for an even rise", "must be from 0.1 to 10, not %v", s.Aggression)
	}
}

// readDegrees reads a number that may be negative.
func readDegrees(text string) (Degrees, *wrong) {
	f, bad := readDecimal(strings.TrimPrefix(text, "-"))
	if strings.HasPrefix(text, "-") {
		f = -f
	}
	return Degrees(f), bad
}
