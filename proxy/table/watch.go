package table

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// A watch is what the Keeper knows of one function's endpoints: what was
// reported, which of them have proven that they listen, and the Link of each,
// also of those that left while calls were on them. All but cancel is the
// Keeper's goroutine's.
type watch struct {
	name   string
	fn     *Function // the newest
	spread *config.Spread
	region string
	zone   string
	cancel context.CancelFunc

	reported []discovery.Endpoint
	spoken   bool      // the provider has reported once
	seen     time.Time // when the newest of all this was
	links    map[string]*Link
	proven   map[string]bool
	probing  map[string]context.CancelFunc
	checks   map[string]context.CancelFunc // of endpoints' health
	checked  config.HealthCheck            // the settings of these

	born    time.Time            // when the function came
	regions map[string]*regional // by name
	panics  bool

	risers  map[string]*riser // by id; nil: none has been looked at
	turns   zoneTurns
	risesAt time.Time // when an endpoint that rises has more of its calls; zero: none rises
}

// watchFunction begins to watch a function, or goes on with newer settings.
func (k *Keeper) watchFunction(ctx context.Context, name string, fn *Function, cfg *config.Config) {
	w := k.watches[name]
	if w != nil && w.fn.State == fn.State &&
		(w.fn.ColdStart.ReadyPath != fn.ColdStart.ReadyPath || w.fn.ColdStart.ReadyProbe != fn.ColdStart.ReadyProbe) {
		w.readyAnew()
	}
	if w != nil && w.fn.State == fn.State && sameSource(w.fn.Function, fn.Function) {
		w.fn, w.spread, w.region, w.zone = fn, cfg.SpreadOf(name), cfg.Region, cfg.Zone
		k.assemble(ctx, w)
		return
	}
	next := &watch{name: name, fn: fn, spread: cfg.SpreadOf(name), region: cfg.Region, zone: cfg.Zone, probing: map[string]context.CancelFunc{}}
	if w == nil || w.fn.State != fn.State {
		k.unwatch(name)
		next.links, next.proven = map[string]*Link{}, map[string]bool{}
		next.born, next.regions = time.Now(), map[string]*regional{}
	} else { // the set stands until the provider has spoken again
		w.stop()
		if k.unsettled[w] {
			delete(k.unsettled, w)
			k.unsettled[next] = true
		}
		next.reported, next.links, next.proven, next.spoken = w.reported, w.links, w.proven, w.spoken
		next.born, next.regions, next.panics, next.risers = w.born, w.regions, w.panics, w.risers
		delete(k.due, w)
		next.checked = w.checked // who is unhealthy stays so until a check says otherwise
	}
	k.watches[name] = next
	if set, ok := discovery.FixedSet(k.provider, &fn.Function); ok {
		next.cancel = func() {}
		next.reported, next.spoken, next.seen = set, true, time.Now()
		k.assemble(ctx, next)
		return
	}
	watching, cancel := context.WithCancel(ctx)
	next.cancel = cancel
	k.work.Go(func() {
		err := k.provider.Watch(watching, &fn.Function, func(endpoints []discovery.Endpoint) {
			k.inbox.put(func() { k.inbox.reports[next] = report{endpoints, time.Now()} })
		})
		if err != nil && watching.Err() == nil {
			k.log.Error("watch ended", "function", name, "provider", k.provider.String(), "error", err.Error())
		}
	})
}

// sameSource tells whether a provider would say the same of a and b.
func sameSource(a, b config.Function) bool {
	return reflect.DeepEqual(a.Endpoints, b.Endpoints) && sameInstances(a, b) &&
		a.Service == b.Service && a.ServiceScheme == b.ServiceScheme && slices.Equal(a.ServiceTags, b.ServiceTags) &&
		a.ColdStart.Scaler == b.ColdStart.Scaler && a.ColdStart.Concurrency == b.ColdStart.Concurrency
}

func (k *Keeper) unwatch(name string) {
	w := k.watches[name]
	if w == nil {
		return
	}
	w.stop()
	delete(k.watches, name)
	delete(k.unsettled, w)
	delete(k.due, w)
	for _, link := range w.links {
		link.Conns.CloseIdle()
	}
}

func (w *watch) stop() {
	w.cancel()
	for _, cancel := range w.probing {
		cancel()
	}
	w.stopChecks()
}

// assemble publishes the set of a function's endpoints that can be called, and
// wakes as many calls as they can take.
func (k *Keeper) assemble(ctx context.Context, w *watch) {
	k.version++
	next := &Set{Version: k.version}
	here := make(map[string]bool, len(w.reported))
	var settings *Settings
	for _, reported := range w.reported {
		if here[reported.ID] {
			continue // said twice
		}
		here[reported.ID] = true
		link := w.links[reported.ID]
		if link == nil {
			link = k.newLink(w.name, reported.ID, reported.Addr)
			w.links[reported.ID] = link
			if w.fn.Start != nil && reported.Slots == 0 {
				link.Slots.StartSlowly()
			}
		}
		link.Slots.SetLimit(reported.Slots)
		settings = settingsOf(w.fn, &reported, settings)
		link.Conns.Configure(settings)
		if reported.Region == "" {
			reported.Region = w.region
		}
		link.region = reported.Region
		disabled := w.isDisabled(reported.Region)
		if disabled {
			link.Conns.CloseIdle()
		}
		if proven, known := w.proven[reported.ID]; !proven && (known || reported.Unproven && !w.unprobed() || w.readyPath() != "") {
			if known && (reported.Region == w.region || !w.prefersWarm()) {
				next.Refusing = append(next.Refusing, link)
			}
			if disabled && (w.fn.Start == nil || reported.Region != w.region) {
				w.endProbe(reported.ID)
			} else { // also what is starting in a region that is disabled: the start is to end well
				k.probe(ctx, w, reported.ID, link)
			}
			continue
		}
		if reported.Weight > 0 {
			next.Endpoints = append(next.Endpoints, &Endpoint{Endpoint: reported, Link: link})
		}
	}
	for id := range w.probing {
		if !here[id] {
			w.endProbe(id)
		}
	}
	k.checkHealth(ctx, w, next.Endpoints)
	k.arrange(w, next)
	k.publish(w.fn, next, w.seen)
	w.letGo(here)
	k.note(w, here)
}

// isDisabled tells whether nobody is to look at a region's endpoints.
func (w *watch) isDisabled(region string) bool { return w.spread.Regions[region].Disabled }

func (k *Keeper) newLink(function, id, addr string) *Link {
	return &Link{
		Conns: k.newTransport(addr),
		doubt: func() { k.inbox.put(func() { k.inbox.doubts[doubt{function, id}] = struct{}{} }) },
	}
}

// publish makes a set the function's, then wakes. seen is when the news came
// that led to it.
func (k *Keeper) publish(fn *Function, next *Set, seen time.Time) {
	fn.set.Store(next)
	if len(next.Endpoints) > 0 {
		fn.seen.Store(true)
	}
	if fn.Start != nil {
		held := fn.Hold.Len() // before they go
		fn.wake()
		fn.Start.Serving(len(next.raised()), held, seen)
		return
	}
	fn.Hold.Wake(fn.Hold.Len()) // all: if none is left, nobody will come
}

// letGo forgets the links of endpoints that left, once no call is on them. An
// endpoint that comes back before has its old Link, so its slots are right.
func (w *watch) letGo(here map[string]bool) {
	var leaving map[string]int
	for id, link := range w.links {
		if here[id] {
			continue
		}
		link.Conns.CloseIdle()
		if link.Slots.InFlight() == 0 {
			delete(w.links, id)
			delete(w.proven, id)
			continue
		}
		if leaving == nil {
			leaving = map[string]int{}
		}
		leaving[link.region]++
	}
	if leaving != nil || w.fn.leaving.Load() != nil {
		w.fn.leaving.Store(&leaving)
	}
}

// sweep lets links go whose last call has ended since they left, and opens the
// windows of fresh ones wider. Of ten thousand functions it looks at those few that
// have such links.
func (k *Keeper) sweep() {
	for w := range k.unsettled {
		w.widen()
		here := map[string]bool{}
		for _, ep := range w.reported {
			here[ep.ID] = true
		}
		w.letGo(here)
		k.note(w, here)
	}
}

// note has sweep look at a watch for as long as it has to.
func (k *Keeper) note(w *watch, here map[string]bool) {
	busy := len(w.links) > len(here)
	for _, link := range w.links {
		busy = busy || link.Slots.Opening()
	}
	if busy {
		k.unsettled[w] = true
	} else {
		delete(k.unsettled, w)
	}
}

func (w *watch) widen() {
	wider := false
	for _, link := range w.links {
		wider = link.Slots.Widen() || wider
	}
	if wider {
		w.fn.wake()
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
