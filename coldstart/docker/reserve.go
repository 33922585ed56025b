package docker

import (
	"context"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Instances in reserve: out of the set and not counted, and those that come back
// first. With idle_mode pause a container is frozen; with throttle it runs on, with
// next to no processor.

// What a throttled container has of a processor: 1 %, the least that the engine
// takes. Enough for what beats once a second, not for work.
const (
	throttledNanoCPUs = 1e7
	throttledQuota    = 1000   // µs
	throttledPeriod   = 100000 // in each of these
)

// resume has an instance in reserve run again. It is where it was.
func (p *Platform) resume(in *instance) error {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	p.mu.Lock()
	throttled := in.throttled
	p.mu.Unlock()
	if err := p.wake(ctx, in, in.id, throttled); err != nil {
		p.mu.Lock()
		p.removeLocked(in) // whatever it is now, it is not what we believed
		p.mu.Unlock()
		return classed("resume", err)
	}
	p.mu.Lock()
	addr := in.addr
	in.acted, in.throttled = time.Now(), false
	p.mu.Unlock()
	p.serve(in, addr)
	p.log.Info("instance resumed", "function", in.f.name, "instance", in.name)
	return nil
}

// wake gives a container its processor back, in the way in which it was taken.
func (p *Platform) wake(ctx context.Context, in *instance, id string, throttled bool) (err error) {
	if throttled {
		_, err = p.engine.ContainerUpdate(ctx, id, client.ContainerUpdateOptions{Resources: in.processor(false)})
	} else {
		_, err = p.engine.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
	}
	return err
}

// pause puts a container that is out of the set in reserve.
func (p *Platform) pause(in *instance, throttle bool) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	var err error
	done := "paused"
	if throttle {
		done = "throttled"
		_, err = p.engine.ContainerUpdate(ctx, in.id, client.ContainerUpdateOptions{Resources: in.processor(true)})
	} else {
		_, err = p.engine.ContainerPause(ctx, in.id, client.ContainerPauseOptions{})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case in.state != pausing:
	case err != nil: // then it goes the other way
		p.log.Warn("cannot be "+done, "function", in.f.name, "instance", in.name, "error", err.Error())
		p.removeLocked(in)
	default:
		in.state, in.acted, in.throttled = paused, time.Now(), throttle
		p.log.Info("instance "+done, "function", in.f.name, "instance", in.name)
	}
}

// processor is what a container has of it. The engine wants it in the terms in
// which it was said first.
func (in *instance) processor(throttled bool) *container.Resources {
	limit := int64(in.docker.Limits.CPUs * 1e9)
	switch {
	case limit > 0 && throttled:
		return &container.Resources{NanoCPUs: min(throttledNanoCPUs, limit)}
	case limit > 0:
		return &container.Resources{NanoCPUs: limit}
	case throttled:
		return &container.Resources{CPUPeriod: throttledPeriod, CPUQuota: throttledQuota}
	}
	return &container.Resources{CPUPeriod: throttledPeriod, CPUQuota: -1}
}

// isThrottled tells whether a container that weir finds is one that an earlier weir
// has throttled.
func (in *instance) isThrottled(host *container.HostConfig) bool {
	if host == nil || in.docker == nil {
		return false
	}
	if limit := int64(in.docker.Limits.CPUs * 1e9); limit > 0 {
		return host.NanoCPUs < limit
	}
	return host.CPUQuota == throttledQuota
}
