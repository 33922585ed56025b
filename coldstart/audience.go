package coldstart

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrAudienceFull: as many as may watch functions start already do.
var ErrAudienceFull = errors.New("too many watch functions start")

// An audience is who waits for a function without standing in its line: people
// in front of a page that says how far the start is. They take no place from
// the calls, but while there is one the function is wanted.
//
// Decision, 2026-11-25: a page's place in line was given up with its answer. To
// keep it would hold a slot for a browser that may never come back, and count
// one visitor twice once it does. So a start that a page waits for is asked for
// and tried again as for a call, sized as if nobody waited, and kept up by
// min_up until the page has come back.
type audience struct {
	size atomic.Int64

	mu   sync.Mutex // guards seat
	seat map[Parker]struct{}
}

// Watch has p woken whenever the Activation's Status changes, until Unwatch. It
// may be woken for nothing.
func (c *Activation) Watch(p Parker) error {
	a, all := &c.audience, &c.activator.watching
	if all.Add(1) > c.activator.maxWatching.Load() {
		all.Add(-1)
		return ErrAudienceFull
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seat == nil {
		a.seat = map[Parker]struct{}{}
	}
	a.seat[p] = struct{}{}
	a.size.Store(int64(len(a.seat)))
	return nil
}

// Unwatch takes Watch back. Nobody wakes p after it has returned.
func (c *Activation) Unwatch(p Parker) {
	a := &c.audience
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.seat, p)
	a.size.Store(int64(len(a.seat)))
	c.activator.watching.Add(-1)
}

// Watching tells how many watch.
func (c *Activation) Watching() int { return int(c.audience.size.Load()) }

// WakeAudience has everyone who watches look.
func (c *Activation) WakeAudience() {
	a := &c.audience
	if a.size.Load() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for p := range a.seat {
		p.Wake() // under the lock, as in wakeLocked
	}
}

// NeedElse says that somebody wants the function who does not wait for it, being
// served elsewhere meanwhile. It is to be said again while there are such calls,
// more often than every elsePatience.
func (c *Activation) NeedElse() {
	at := time.Now()
	c.activator.post(func() {
		c.elseAt = at
		c.need(at)
	})
}

// awaited tells whether anybody waits for the function, in line, before a page or
// elsewhere.
func (c *Activation) awaited() bool {
	return !c.hold.Empty() || c.Watching() > 0 || time.Since(c.elseAt) < elsePatience
}

// elsePatience is how long a call that is served elsewhere counts as one that waits.
const elsePatience = 2 * time.Second

// SetMaxWatching bounds how many may watch at once, over all functions. Those
// who do stay.
func (a *Activator) SetMaxWatching(n int) { a.maxWatching.Store(int64(n)) }
