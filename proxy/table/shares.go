package table

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/shaping"
)

// What happens to the regions of a function over time. All of it is the Keeper's
// goroutine's; the shares go out with the set.

// A regional is what the Keeper remembers of one region of a function.
type regional struct {
	turn  atomic.Uint64 // of its endpoints
	spill Spill

	seen  bool      // it has had endpoints
	takes bool      // it may be asked, as far as it goes by itself
	down  bool      // it cannot, and not because somebody wants it so
	waits time.Time // it is back, and has no share before
	back  time.Time // since then it has its share by and by; zero: it has all of it

	cold bool // it has no endpoints, or has its share by and by after that

	state string // that was told
}

// follow takes in how the region is at the moment now. Nothing of a fresh function
// has come back; one that is raised by calls has no endpoints while nobody calls.
func (l *regional) follow(r *Region, now time.Time, f config.Failover, fresh, raised bool) {
	there := r.endpoints > 0 && !r.Disabled
	takes := r.Asked() && r.Healthy > 0
	switch {
	case r.Disabled: // what nobody looks at is not down, and will come as a new one does
		l.waits, l.back = time.Time{}, time.Time{}
		l.down, l.seen = false, false
	case !takes:
		l.waits, l.back = time.Time{}, time.Time{}
		l.down = r.Healthy == 0 && l.seen && (there || !raised)
	case !l.takes && (l.seen || !fresh):
		l.back = now
		if l.down && f.FailbackDelay > 0 {
			l.waits = now.Add(f.FailbackDelay)
			l.back = l.waits
		}
	}
	l.cold = !there || l.cold && takes && !l.back.IsZero()
	l.takes, l.seen = takes, l.seen || there
}

// waiting tells whether the region has to be well for a while yet.
func (l *regional) waiting(now time.Time) bool { return now.Before(l.waits) }

// ramp is the factor of slow start, from 0 to 1.
func (l *regional) ramp(now time.Time, s config.SlowStart) float64 {
	if l.back.IsZero() {
		return 1
	}
	factor := shaping.Ramp(now.Sub(l.back), s.Window, float64(s.MinWeightPercent)/100, s.Aggression)
	if factor == 1 {
		l.back = time.Time{}
	}
	return factor
}

// arrange fills in what calls look at in a set of a function's endpoints.
func (k *Keeper) arrange(w *watch, set *Set) {
	policy := w.fn.LoadBalancing
	set.turn = &w.fn.turn
	set.faring = w.minds()
	now := time.Now()
	w.risesAt = w.rise(set.Endpoints, now)
	regions := w.regionsOf(set)
	if regions == nil {
		clear(w.regions)
		w.panics = false
		due := w.risesAt
		if set.faring {
			_, back := wellOf(set.Endpoints, now)
			due = sooner(due, back)
		}
		k.dueAt(w, due)
		set.arrange(policy)
		policy.Sticky = nil
		set.Zones = w.zones(set, policy, now)
		return
	}
	set.mark(policy)
	policy.Sticky = nil
	fresh := len(w.regions) == 0 || now.Sub(w.born) < firstWord
	for i := range regions {
		regions[i].Set.turn = &w.regional(regions[i].Name).turn
		regions[i].Set.arrange(policy)
		if regions[i].Name == w.region {
			regions[i].Set.Zones = w.zones(regions[i].Set, policy, now)
		}
	}
	set.Split = k.split(w, regions, fresh, now)
	k.tellUnconfigured(w, set.Split)
}

// split divides a function's calls between regions, which it keeps, at the moment now.
// fresh is that the function has just come, so that no region has come back.
func (k *Keeper) split(w *watch, regions []Region, fresh bool, now time.Time) *Split {
	failover := w.spread.Failover
	s := &Split{Regions: regions, failover: failover}
	due := time.Time{}
	held := false
	for i := range s.Regions {
		r := &s.Regions[i]
		r.Healthy, r.carry = 0, 0
		if !r.Disabled {
			well, next := wellOf(r.Set.Endpoints, now)
			r.Healthy, due = well, sooner(due, next)
		}
		l := w.regional(r.Name)
		l.follow(r, now, failover, fresh, w.fn.Start != nil)
		held = held || l.waiting(now)
	}
	d := w.divide(s, now)
	if held && d.Whole < 1 { // the others cannot do without it
		for i := range s.Regions {
			if l := w.regional(s.Regions[i].Name); l.waiting(now) {
				l.waits, l.back = time.Time{}, now
			}
		}
		d = w.divide(s, now)
	}
	s.take(d)
	s.finish()
	for i := range s.Regions {
		r := &s.Regions[i]
		l := w.regional(r.Name)
		if len(s.Best) == 1 && r.Share > 0 {
			l.back, r.Ramp = time.Time{}, 1 // the only one left
		}
		r.State = stateOf(r, l, now)
		if l.waiting(now) {
			due = sooner(due, l.waits)
		} else if !l.back.IsZero() {
			due = sooner(due, now.Add(min(max(failover.SlowStart.Window/100, 50*time.Millisecond), time.Second)))
		}
	}
	w.spill(s)
	if len(s.Best) == 0 {
		s.Void = w.void(s.Regions)
	} else if w.fn.LoadBalancing.Regions == "nearest" {
		s.carryNear(failover)
	}
	k.tellSplit(w, s)
	k.dueAt(w, sooner(due, w.risesAt))
	return s
}

// divide is the arithmetic for the regions as they stand.
func (w *watch) divide(s *Split, now time.Time) shaping.Division {
	failover := w.spread.Failover
	in := make([]shaping.Region, len(s.Regions))
	for i := range s.Regions {
		r := &s.Regions[i]
		l := w.regional(r.Name)
		r.Ramp = l.ramp(now, failover.SlowStart)
		in[i] = r.input()
		if l.waiting(now) {
			in[i].State = shaping.RegionDraining
		}
	}
	return shaping.Divide(in, failoverOf(failover))
}

// input is the region as shaping.Divide sees it.
func (r *Region) input() shaping.Region {
	in := shaping.Region{Weight: r.Weight, Priority: r.Priority, Endpoints: r.endpoints, Healthy: r.Healthy, Ramp: r.Ramp}
	switch {
	case r.Disabled:
		in.State = shaping.RegionDisabled
	case r.Drain:
		in.State = shaping.RegionDraining
	}
	return in
}

// take takes over what the arithmetic says.
func (s *Split) take(d shaping.Division) {
	s.Panic = d.Panic
	for i := range s.Regions {
		s.Regions[i].Share, s.Regions[i].Available = d.Regions[i].Share, d.Regions[i].Available
	}
}

func failoverOf(f config.Failover) shaping.Failover {
	return shaping.Failover{Overprovisioning: f.OverprovisioningFactor, PanicThreshold: float64(f.PanicThreshold) / 100}
}

func stateOf(r *Region, l *regional, now time.Time) string {
	switch {
	case r.Disabled:
		return RegionDisabled
	case r.Drain:
		return RegionDrained
	case r.Weight == 0:
		return Weightless
	case r.endpoints == 0:
		return RegionCold
	case r.Healthy == 0:
		return Down
	case l.waiting(now):
		return Waiting
	case !l.back.IsZero():
		return Returning
	}
	return Active
}

// void tells why none of the regions has a share. What would be raised where no
// call may go helps nobody.
func (w *watch) void(regions []Region) Void {
	some := func(fits func(Region) bool) bool { return slices.ContainsFunc(regions, fits) }
	home := slices.IndexFunc(regions, func(r Region) bool { return r.Name == w.region })
	raised := w.fn.Start != nil
	switch {
	case w.prefersWarm() && home >= 0 && regions[home].Asked() && regions[home].endpoints == 0:
		return Cold // and whoever is ill elsewhere is no reason not to start
	case some(func(r Region) bool { return r.Asked() && r.endpoints > 0 }):
		return Unwell
	case raised && home >= 0 && regions[home].shut():
		return Drained
	case raised && home >= 0 && !regions[home].Asked():
		return Unasked
	case raised || some(func(r Region) bool { return r.Asked() }):
		return Cold
	case some(func(r Region) bool { return r.shut() }):
		return Drained
	}
	return Unasked
}

// shut tells whether an operator has said so, and not by a weight.
func (r *Region) shut() bool { return r.Drain || r.Disabled }

func (w *watch) regional(name string) *regional {
	l := w.regions[name]
	if l == nil {
		l = &regional{}
		w.regions[name] = l
	}
	return l
}

// splitAnew has the shares of a function follow from how its endpoints fare now.
func (k *Keeper) splitAnew(w *watch, now time.Time) {
	old := w.fn.Set()
	if old.Split == nil {
		delete(k.due, w)
		return
	}
	next := k.divided(w, slices.Clone(old.Split.Regions), now)
	w.fn.set.Store(next)
	if same(old.Split, next.Split) {
		return
	}
	w.fn.wake()
}

// divided is the function's Set as it is, with its calls divided between regions anew.
func (k *Keeper) divided(w *watch, regions []Region, now time.Time) *Set {
	next := *w.fn.Set()
	k.version++
	next.Version, next.Split = k.version, k.split(w, regions, now.Sub(w.born) < firstWord, now)
	return &next
}

// same tells whether no call would notice the difference.
func same(a, b *Split) bool {
	for i := range a.Regions {
		a, b := &a.Regions[i], &b.Regions[i]
		if a.Share != b.Share || a.carry != b.carry || a.Extra != b.Extra || a.Room != b.Room {
			return false
		}
	}
	return a.Panic == b.Panic && a.PanicNear == b.PanicNear && a.Void == b.Void
}

// tellSplit logs what has changed, and why. What the operator has changed was told
// when the configuration was read.
func (k *Keeper) tellSplit(w *watch, s *Split) {
	for i := range s.Regions {
		r := &s.Regions[i]
		l := w.regional(r.Name)
		was := l.state
		l.state = r.State
		if was == r.State || was == "" || !r.Asked() || was == RegionDrained || was == RegionDisabled || was == Weightless {
			continue
		}
		level := slog.LevelInfo
		switch {
		case r.State == Down:
			level = slog.LevelWarn
		case was == Returning && r.State == Active: // that it would be was told
			level = slog.LevelDebug
		}
		k.log.Log(context.Background(), level, "region", "function", w.name, "region", r.Name, "state", r.State, "was", was,
			"cause", causeOf(r, was), "share", fmt.Sprintf("%.4f", r.Share))
	}
	if s.Panic != w.panics {
		w.panics = s.Panic
		level, cause := slog.LevelInfo, "enough endpoints are healthy again"
		if s.Panic {
			level, cause = slog.LevelWarn, "in every region fewer endpoints are healthy than panic_threshold: all get calls"
		}
		k.log.Log(context.Background(), level, "panic", "function", w.name, "panic", s.Panic, "cause", cause)
	}
}

func causeOf(r *Region, was string) string {
	endpoints := fmt.Sprintf("%d of %d endpoints healthy", r.Healthy, r.endpoints)
	switch {
	case r.State == RegionCold:
		return "it has no endpoints any more"
	case r.State == Waiting:
		return endpoints + "; it waits for failback_delay"
	case was == Waiting && r.State == Returning:
		return "it was well for long enough, or the others could not do without it"
	case was == Returning && r.State == Active:
		return "slow_start is over"
	}
	return endpoints
}

// tellRegions logs what the operator has changed of regions.
func (k *Keeper) tellRegions(prev, next *config.Config) {
	if prev == nil {
		return
	}
	for name, r := range next.Regions {
		was, known := prev.Regions[name]
		if !known {
			was = config.Unsaid
		}
		for _, c := range []struct {
			key    string
			is, as any
		}{{"drain", r.Drain, was.Drain}, {"disabled", r.Disabled, was.Disabled}, {"weight", r.Weight, was.Weight}, {"priority", r.Priority, was.Priority}} {
			if c.is != c.as {
				from := next.Origin("regions." + name + "." + c.key)
				k.log.Info("region", "region", name, c.key, c.is, "was", c.as, "cause", cmp.Or(from.Place, from.Layer))
			}
		}
	}
}

// tellUnconfigured logs, once for each, regions that only endpoints name where
// others are configured.
func (k *Keeper) tellUnconfigured(w *watch, s *Split) {
	known := w.spread.Regions
	if len(known) == 0 {
		return
	}
	for i := range s.Regions {
		name := s.Regions[i].Name
		if _, here := known[name]; !here && !k.unconfigured[name] {
			k.unconfigured[name] = true
			k.log.Warn("endpoints are in a region that is not configured: it has weight 1 and priority 0", "region", name)
		}
	}
}
