package process

import (
	"context"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// A watch wants to know the endpoints of one function.
type watch struct {
	wake chan struct{} // capacity one: there is something new
	told uint64        // the version it has reported; guarded by Platform.mu
}

// Watch reports the endpoints of fn that run, until ctx ends. All reports of
// one watch come from the goroutine that called it: in order, one at a time,
// and when several changes come at once, only the newest set.
func (p *Platform) Watch(ctx context.Context, fn *config.Function, report func([]discovery.Endpoint)) error {
	if fn.Process == nil {
		return discovery.Nothing(ctx, report)
	}
	if fn.Process.Limits != (config.InstanceLimits{}) {
		if err := p.limiter.ready(); err != nil { // said now, and not to the first caller
			p.log.Warn("the function will not start", "function", fn.Name, "error", err.Error())
		}
	} else if fn.ColdStart.IdleMode == "throttle" {
		if err := p.limiter.ready(); err != nil {
			p.log.Warn("idle instances will be stopped, not throttled", "function", fn.Name, "error", err.Error())
		}
	}
	w := &watch{wake: make(chan struct{}, 1)}
	f := p.join(fn.Name, w)
	defer p.unjoin(fn.Name, f, w)
	for {
		set, version := p.set(f, fn.ColdStart.Concurrency)
		report(set)
		p.heard(w, version)
		select {
		case <-w.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *Platform) join(name string, w *watch) *function {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.functionLocked(name)
	f.watches[w] = struct{}{}
	return f
}

func (p *Platform) unjoin(name string, f *function, w *watch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(f.watches, w)
	p.pruneLocked(name, f)
	p.told.Broadcast()
}

// set is the endpoints that run. How many calls each takes is what the newest
// configuration says, not the one that the instance was started with.
func (p *Platform) set(f *function, slots int) ([]discovery.Endpoint, uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var set []discovery.Endpoint
	for _, in := range f.instances {
		if in.state == Running || in.state == Listening {
			set = append(set, discovery.Endpoint{
				ID:       in.id,
				Addr:     in.addr,
				Node:     p.node,
				Weight:   1,
				Slots:    slots,
				Unproven: in.state == Running,
			})
		}
	}
	return set, f.version
}

func (p *Platform) heard(w *watch, version uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.told = version
	p.told.Broadcast()
}

// publishLocked wakes everyone who wants to know f's endpoints.
func (p *Platform) publishLocked(f *function) {
	f.version++
	for w := range f.watches {
		select {
		case w.wake <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// awaitToldLocked waits until every watch has reported the present set, or a
// newer one. That is soon, because reports do not block.
func (p *Platform) awaitToldLocked(f *function) {
	version := f.version
	for w := range f.watches {
		for f.behind(w, version) {
			p.told.Wait()
		}
	}
}

// awaitTold is awaitToldLocked for those who do not hold the lock.
func (p *Platform) awaitTold(f *function) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.awaitToldLocked(f)
}

func (f *function) behind(w *watch, version uint64) bool {
	_, here := f.watches[w]
	return here && w.told < version
}
