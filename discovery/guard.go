package discovery

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/weir-gateway/weir/config"
)

// Guard is the Provider that reports what p does, an empty set however only
// after p has gone on saying so for a while, if there was somebody: a source
// that was restarted, or was filled by somebody who failed, says so too.
func Guard(p Provider, after time.Duration) Provider { return guarded{p, after} }

type guarded struct {
	Provider
	after time.Duration
}

// Watch watches with the provider.
func (g guarded) Watch(ctx context.Context, fn *config.Function, report func([]Endpoint)) error {
	w := &guarding{after: g.after, report: report}
	defer w.end()
	return g.Provider.Watch(ctx, fn, w.hear)
}

// A guarding is one watch of a source that is guarded.
type guarding struct {
	after  time.Duration
	report func([]Endpoint)

	mu    sync.Mutex  // guards all below, and keeps reports in order
	last  []Endpoint  // that was reported
	timer *time.Timer // runs while an empty set is doubted
	ended bool
}

func (w *guarding) hear(set []Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(set) == 0 && len(w.last) > 0 {
		if w.timer == nil {
			w.timer = time.AfterFunc(w.after, w.believe)
		}
		return
	}
	if doubted := w.timer != nil; doubted {
		w.timer.Stop()
		w.timer = nil
		if slices.Equal(set, w.last) {
			return // as if nothing had been
		}
	}
	w.tellLocked(set)
}

// believe takes over that there is nobody.
func (w *guarding) believe() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil && !w.ended {
		w.timer = nil
		w.tellLocked(nil)
	}
}

func (w *guarding) tellLocked(set []Endpoint) {
	w.last = slices.Clone(set)
	w.report(set)
}

func (w *guarding) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
