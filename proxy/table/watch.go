package table

import (
	"context"
	"reflect"
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
	region string
	cancel context.CancelFunc

	reported []discovery.Endpoint
	spoken   bool      // the provider has reported once
	seen     time.Time // when the newest of all this was
	links    map[string]*Link
	proven   map[string]bool
	probing  map[string]context.CancelFunc
}

// watchFunction begins to watch a function, or goes on with newer settings.
func (k *Keeper) watchFunction(ctx context.Context, name string, fn *Function, cfg *config.Config) {
	w := k.watches[name]
	if w != nil && w.fn.State == fn.State && sameSource(w.fn.Function, fn.Function) {
		w.fn, w.region = fn, cfg.Region
		k.assemble(ctx, w)
		return
	}
	next := &watch{name: name, fn: fn, region: cfg.Region, probing: map[string]context.CancelFunc{}}
	if w == nil || w.fn.State != fn.State {
		k.unwatch(name)
		next.links, next.proven = map[string]*Link{}, map[string]bool{}
	} else { // the set stands until the provider has spoken again
		w.stop()
		next.reported, next.links, next.proven, next.spoken = w.reported, w.links, w.proven, w.spoken
	}
	ctx, next.cancel = context.WithCancel(ctx)
	k.watches[name] = next
	k.work.Go(func() {
		err := k.provider.Watch(ctx, fn.Function, func(endpoints []discovery.Endpoint) {
			k.inbox.put(func() { k.inbox.reports[next] = report{endpoints, time.Now()} })
		})
		if err != nil && ctx.Err() == nil {
			k.log.Error("watch ended", "function", name, "provider", k.provider.String(), "error", err.Error())
		}
	})
}

// sameSource tells whether a provider would say the same of a and b.
func sameSource(a, b config.Function) bool {
	return reflect.DeepEqual(a.Endpoints, b.Endpoints) && sameInstances(a, b) &&
		a.ColdStart.Scaler == b.ColdStart.Scaler && a.ColdStart.Concurrency == b.ColdStart.Concurrency
}

func (k *Keeper) unwatch(name string) {
	w := k.watches[name]
	if w == nil {
		return
	}
	w.stop()
	delete(k.watches, name)
	for _, link := range w.links {
		link.Conns.CloseIdle()
	}
}

func (w *watch) stop() {
	w.cancel()
	for _, cancel := range w.probing {
		cancel()
	}
}

// assemble publishes the set of a function's endpoints that can be called, and
// wakes as many calls as they can take.
func (k *Keeper) assemble(ctx context.Context, w *watch) {
	k.version++
	next := &Set{Version: k.version}
	here := map[string]bool{}
	for _, reported := range w.reported {
		if here[reported.ID] {
			continue // said twice
		}
		here[reported.ID] = true
		link := w.links[reported.ID]
		if link == nil {
			link = &Link{Conns: k.newTransport(reported.Addr)}
			w.links[reported.ID] = link
			if w.fn.Start != nil && reported.Slots == 0 {
				link.Slots.StartSlowly()
			}
		}
		link.Slots.SetLimit(reported.Slots)
		link.Conns.Configure(settingsOf(w.fn, reported))
		if reported.Region == "" {
			reported.Region = w.region
		}
		if reported.Unproven && !w.proven[reported.ID] {
			k.probe(ctx, w, reported.ID, link)
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
	next.weigh()
	k.publish(w.fn, next, w.seen)
	w.letGo(here)
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
		fn.Start.Serving(len(next.Endpoints), held, seen)
		return
	}
	fn.Hold.Wake(fn.Hold.Len()) // all: if none is left, nobody will come
}

// letGo forgets the links of endpoints that left, once no call is on them. An
// endpoint that comes back before has its old Link, so its slots are right.
func (w *watch) letGo(here map[string]bool) {
	for id, link := range w.links {
		if here[id] {
			continue
		}
		link.Conns.CloseIdle()
		if link.Slots.InFlight() == 0 {
			delete(w.links, id)
			delete(w.proven, id)
		}
	}
}

// sweep lets links go whose last call has ended since they left, and opens the
// windows of fresh ones wider.
func (k *Keeper) sweep() {
	for _, w := range k.watches {
		w.widen()
		if len(w.links) == len(w.reported) {
			continue
		}
		here := map[string]bool{}
		for _, ep := range w.reported {
			here[ep.ID] = true
		}
		w.letGo(here)
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

// The spacing of probes grows with the wait, so that it adds a fiftieth at
// most: 1 ms at first, 8 ms from a boot of 0.4 s on, 100 ms after 10 s. A
// refused connection on loopback costs 0.03 ms.
const (
	tightProbe = time.Millisecond
	wideProbe  = 8 * time.Millisecond
	lateProbe  = 100 * time.Millisecond
	lateAfter  = 10 * time.Second
)

func probePause(elapsed time.Duration) time.Duration {
	if elapsed > lateAfter {
		return lateProbe
	}
	return min(max(elapsed/50, tightProbe), wideProbe)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (w *watch) endProbe(id string) {
	if cancel := w.probing[id]; cancel != nil {
		cancel()
		delete(w.probing, id)
	}
}

// probe connects to an endpoint until it accepts.
func (k *Keeper) probe(ctx context.Context, w *watch, id string, link *Link) {
	if w.probing[id] != nil {
		return
	}
	ctx, w.probing[id] = context.WithCancel(ctx)
	k.work.Go(func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for began := time.Now(); ; {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			if link.Conns.Probe(ctx) == nil {
				k.inbox.put(func() { k.inbox.proven[probed{w, id}] = time.Now() })
				return
			}
			timer.Reset(probePause(time.Since(began)))
		}
	})
}
