package table

import (
	"context"
	"fmt"
	"time"
)

// Whether an endpoint that nobody has vouched for, or that has refused a call, is
// ready: weir finds out by itself, without waiting for what the platform thinks, and
// never by a call.

// The spacing of probes grows with the wait, so that it adds a fiftieth at
// most: 1 ms at first, 8 ms from a boot of 0.4 s on, 100 ms after 10 s. A
// refused connection on loopback costs 0.03 ms.
const (
	tightProbe = time.Millisecond
	wideProbe  = 8 * time.Millisecond
	lateProbe  = 100 * time.Millisecond
	lateAfter  = 10 * time.Second
)

// probeOverlap is how long a probe is alone: of what does not answer another is
// asked beside it, as many as there is time for in probePatience. Who drops the
// first packet of a connection while it boots is told the next time after a second
// by the kernel, and after this by another connection.
const (
	probeOverlap  = 250 * time.Millisecond
	probePatience = time.Second
)

func probePause(elapsed time.Duration) time.Duration {
	if elapsed > lateAfter {
		return lateProbe
	}
	return min(max(elapsed/50, tightProbe), wideProbe)
}

// readyPath is what new instances of the function are asked for before they are
// called; empty if it is enough that they accept a connection.
func (w *watch) readyPath() string {
	if w.fn.Start == nil {
		return ""
	}
	return w.fn.ColdStart.ReadyPath
}

// unprobed tells whether it is enough that the platform says where an instance is.
func (w *watch) unprobed() bool {
	return w.fn.Start != nil && w.fn.ColdStart.ReadyProbe == "none"
}

// readyAnew lets those endpoints be that are called already, and has the others
// asked in another way.
func (w *watch) readyAnew() {
	for _, ep := range w.fn.Set().Endpoints {
		w.proven[ep.ID] = true
	}
	for id := range w.probing {
		w.endProbe(id)
	}
}

func (w *watch) endProbe(id string) {
	if cancel := w.probing[id]; cancel != nil {
		cancel()
		delete(w.probing, id)
	}
}

// probe asks an endpoint until it is ready.
func (k *Keeper) probe(ctx context.Context, w *watch, id string, link *Link) {
	if w.probing[id] != nil {
		return
	}
	ask := link.Conns.Probe
	if path := w.readyPath(); path != "" {
		ask = func(ctx context.Context) error { return link.saysReady(ctx, path) }
	}
	ctx, w.probing[id] = context.WithCancel(ctx)
	k.work.Go(func() {
		if k.awaitReady(ctx, ask) {
			k.inbox.put(func() { k.inbox.proven[probed{w, id}] = time.Now() })
		}
	})
}

// awaitReady asks until the answer is yes, or false if ctx ends before.
func (k *Keeper) awaitReady(ctx context.Context, ask func(context.Context) error) bool {
	ctx, cancel := context.WithCancel(ctx) // those that are still on their way end
	defer cancel()
	answers := make(chan error)
	timer := time.NewTimer(0)
	defer timer.Stop()
	began, open := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return false
		case err := <-answers:
			if err == nil {
				return ctx.Err() == nil
			}
			if open--; open == 0 {
				timer.Reset(probePause(time.Since(began)))
			}
		case <-timer.C:
			open++
			k.work.Go(func() {
				err := ask(ctx)
				select {
				case answers <- err:
				case <-ctx.Done():
				}
			})
			timer.Reset(probeOverlap)
		}
	}
}

// saysReady asks the endpoint itself.
func (l *Link) saysReady(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	status, err := l.Conns.Check(ctx, path)
	if err == nil && (status < 200 || status > 299) {
		err = fmt.Errorf("it answers with status %d", status)
	}
	return err
}
