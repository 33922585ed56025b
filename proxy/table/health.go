package table

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/weir-gateway/weir/config"
)

// Active health checks: each endpoint of a function that asks for them is asked
// whether it is well, by a goroutine of its own. The first time is at random
// within an interval and the others a tenth around it, so that a thousand
// endpoints which came together are not asked together.

// checkHealth starts the checks of the endpoints that are here, and ends those of the
// ones that left or whose region is disabled. Where the settings change all begin anew.
func (k *Keeper) checkHealth(ctx context.Context, w *watch, here []*Endpoint) {
	if c := w.fn.HealthCheck; c == nil || w.checked != *c {
		w.stopChecks()
		for _, link := range w.links {
			link.unhealthy.Store(false)
		}
		if c == nil {
			return
		}
		w.checked = *c
	}
	stay := map[string]context.CancelFunc{}
	for _, ep := range here {
		if w.isDisabled(ep.Region) {
			continue
		}
		stop := w.checks[ep.ID]
		if stop == nil {
			var own context.Context
			own, stop = context.WithCancel(ctx)
			c := check{HealthCheck: w.checked, fn: w.fn, ep: ep, log: k.log.With("function", w.name, "endpoint", ep.ID, "address", ep.Addr)}
			k.work.Go(func() { c.run(own) })
		}
		stay[ep.ID] = stop
	}
	for id, stop := range w.checks {
		if stay[id] == nil {
			stop()
		}
	}
	w.checks = stay
}

func (w *watch) stopChecks() {
	for _, stop := range w.checks {
		stop()
	}
	w.checks = nil
}

// A check looks after one endpoint.
type check struct {
	config.HealthCheck
	fn  *Function
	ep  *Endpoint
	log *slog.Logger

	inARow int // how often it was otherwise than it is held to be
}

func (c *check) run(ctx context.Context) {
	timer := time.NewTimer(rand.N(c.Interval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := c.ask(ctx); ctx.Err() == nil {
			c.note(err)
		}
		timer.Reset(c.Interval - c.Interval/10 + rand.N(c.Interval/5+1))
	}
}

// ask tells what is wrong with the endpoint; nil if nothing is.
func (c *check) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	status, err := c.ep.Conns.Check(ctx, c.Path)
	if err == nil && c.Path != "" && (status < 200 || status > 299) {
		err = fmt.Errorf("it answers with status %d", status)
	}
	return err
}

// note takes over what the endpoint is held to be when it was otherwise often
// enough in a row.
func (c *check) note(err error) {
	link := c.ep.Link
	c.fn.checked(err == nil)
	if unhealthy := link.unhealthy.Load(); unhealthy == (err != nil) {
		c.inARow = 0
		return
	}
	c.inARow++
	switch {
	case err != nil && c.inARow >= c.UnhealthyThreshold:
		link.unhealthy.Store(true)
		c.log.Warn("endpoint unhealthy", "cause", err.Error(), "checks", c.inARow)
		c.fn.Shaken()
	case err == nil && c.inARow >= c.HealthyThreshold:
		link.unhealthy.Store(false)
		c.log.Info("endpoint healthy", "cause", "it passes its health check", "checks", c.inARow)
		c.fn.Shaken()
		c.fn.wake()
	default:
		return
	}
	c.inARow = 0
}
