package table

import (
	"math"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/shaping"
)

// An endpoint that comes, or comes back, has its calls by and by where the function has
// it so (load_balancing.slow_start): its weight times shaping.Ramp, in twentieths. What
// calls go by is in the Set (Endpoint.Pull), which the Keeper makes anew for each step;
// while nobody rises it costs nothing.
//
// Nobody rises when weir or the function has just started, nor where nobody else would
// have the calls.

// steps are how many there are from nothing to the whole weight.
const steps = 20

// Rising is an endpoint that has its calls by and by, as State has it.
const Rising = "slow_start"

// A riser is how an endpoint fares that may have to rise.
type riser struct {
	well  bool
	since time.Time // it has its calls by and by; zero: all of them
}

// minds tells whether what is in the Set follows from how endpoints fare, regions aside.
func (w *watch) minds() bool {
	return w.fn.LoadBalancing.SlowStart != nil || w.prefersZone()
}

// rise fills in what the endpoints of a set have of their weights at the moment now, and
// tells when that changes by itself; zero: it does not.
func (w *watch) rise(endpoints []*Endpoint, now time.Time) (next time.Time) {
	s := w.fn.LoadBalancing.SlowStart
	if s == nil {
		w.risers = nil
		return next
	}
	fresh := w.risers == nil || now.Sub(w.born) < firstWord
	here := make(map[string]*riser, len(endpoints))
	risen := map[string]bool{} // regions with one that has all of its calls
	at := moment.Of(now)
	for _, ep := range endpoints {
		r := w.risers[ep.ID]
		came := r == nil
		if came {
			r = &riser{}
		}
		well := ep.Well(at)
		switch {
		case !well:
			r.since = time.Time{}
		case !r.well && !(came && fresh):
			r.since = now
		}
		r.well = well
		risen[ep.Region] = risen[ep.Region] || well && r.since.IsZero()
		here[ep.ID] = r
	}
	w.risers = here
	for _, ep := range endpoints {
		r := here[ep.ID]
		if !risen[ep.Region] {
			r.since = time.Time{}
		}
		if r.since.IsZero() {
			continue
		}
		step, until := stepOf(now.Sub(r.since), *s)
		if step == steps {
			r.since = time.Time{}
			continue
		}
		ep.pull, ep.rising = ep.Weight*step, true
		next = sooner(next, r.since.Add(until))
	}
	return next
}

// stepOf is how many twentieths of its weight an endpoint has at t after it came, and
// until when.
func stepOf(t time.Duration, s config.SlowStart) (step int, until time.Duration) {
	part := shaping.Ramp(t, s.Window, float64(s.MinWeightPercent)/100, s.Aggression)
	step = max(1, int(part*steps+1e-9))
	at := float64(s.Window) * math.Pow(float64(step+1)/steps, s.Aggression)
	return step, max(time.Duration(math.Ceil(at)), time.Second) // as Ramp has it: as after a second
}

// rearrange has the Set of a function follow from how its endpoints fare now.
func (k *Keeper) rearrange(w *watch) {
	old := w.fn.Set()
	k.version++
	next := &Set{Version: k.version, Refusing: old.Refusing}
	for _, ep := range old.Endpoints {
		again := *ep
		again.pull, again.rising = 0, false
		next.Endpoints = append(next.Endpoints, &again)
	}
	k.arrange(w, next)
	w.fn.set.Store(next)
	w.fn.wake()
}
