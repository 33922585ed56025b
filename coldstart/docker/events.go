package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// How often an engine that is away is looked for.
const (
	firstLook = 50 * time.Millisecond
	lastLook  = 2 * time.Second
)

// Run listens to the engine until ctx ends. Containers live on.
func (p *Platform) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, p.cancel)
	defer stop()
	pause := firstLook
	for p.ctx.Err() == nil {
		heard, err := p.listen()
		if heard {
			pause = firstLook
		}
		p.lost(err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-p.ctx.Done():
			timer.Stop()
		}
		pause = min(2*pause, lastLook)
	}
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.work.Wait()
	return p.engine.Close()
}

// lost notes that the engine cannot be heard. What is known stands.
func (p *Platform) lost(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.reached || p.away == nil
	p.reached, p.away = false, err
	if p.ctx.Err() != nil {
		p.away = errEnded
		first = false
	}
	if first {
		p.log.Warn("the engine cannot be reached", "error", p.away.Error())
	}
	select {
	case <-p.tried:
	default:
		close(p.tried)
	}
}

// listen takes in what there is, and then what happens, until the connection
// ends. The events come first, so that nothing is missed in between.
func (p *Platform) listen() (heard bool, err error) {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	ours := make(client.Filters).Add("label", labelGateway+"="+p.gateway, labelScaler+"="+p.name)
	stream := p.engine.Events(ctx, client.EventsListOptions{Filters: ours.Clone().Add("type", "container")})
	known := p.known()
	list, err := p.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		return false, err
	}
	if info, err := p.engine.Info(ctx, client.InfoOptions{}); err == nil {
		p.mu.Lock()
		p.node = info.Info.Name
		p.mu.Unlock()
	}
	p.sync(ctx, known, list.Items)
	for {
		select {
		case e := <-stream.Messages:
			p.happened(ctx, e)
		case err := <-stream.Err:
			return true, errors.Join(errors.New("the connection has ended"), err)
		}
	}
}

// known are the containers that weir has had made.
func (p *Platform) known() (all []*instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.functions {
		for _, in := range f.instances {
			if in.id != "" {
				all = append(all, in)
			}
		}
	}
	return all
}

// sync takes over what the engine says is there. What was known before and is
// not is lost.
func (p *Platform) sync(ctx context.Context, known []*instance, all []container.Summary) {
	there := map[string]bool{}
	for _, c := range all {
		name := c.Labels[labelInstance]
		there[name] = true
		p.mu.Lock()
		in := p.findLocked(name)
		p.mu.Unlock()
		if in == nil {
			p.adopt(ctx, c)
		} else if c.State == container.StateExited || c.State == container.StateDead {
			p.mourn(ctx, in)
		} else {
			p.follow(in)
		}
	}
	p.mu.Lock()
	first := !p.synced
	p.reached, p.synced, p.away = true, true, nil
	p.mu.Unlock()
	for _, in := range known {
		if !there[in.name] {
			p.ended(in, "has gone, nobody knows how,")
			p.forget(in)
		}
	}
	if first {
		p.mu.Lock()
		functions := make([]*function, 0, len(p.functions))
		for _, f := range p.functions {
			functions = append(functions, f)
		}
		p.mu.Unlock()
		for _, f := range functions {
			p.show(f)
		}
	}
	p.log.Info("the engine is there", "containers", len(all))
	select {
	case <-p.tried:
	default:
		close(p.tried)
	}
}

// adopt takes over a container of ours that this weir has not started, or does
// not remember to have; an orphan is removed.
func (p *Platform) adopt(ctx context.Context, c container.Summary) {
	p.mu.Lock()
	if p.retired { // it is for the one after
		p.mu.Unlock()
		return
	}
	f := p.functionLocked(c.Labels[labelFunction])
	in := &instance{
		name: c.Labels[labelInstance], f: f, spec: c.Labels[labelSpec], gone: make(chan struct{}),
		id: c.ID, since: time.Unix(c.Created, 0), state: starting,
	}
	var why string
	switch {
	case f.fn == nil || f.fn.Docker == nil:
		why = "its function is not configured"
	case in.spec != specOf(*f.fn):
		why = "its function is configured otherwise now"
	case c.State == container.StateRunning:
	case c.State == container.StatePaused && f.fn.ColdStart.KeepsIdle():
		in.state = paused
	default:
		why = "it is " + string(c.State)
	}
	if !p.before.yield(in.name, why == "") {
		p.mu.Unlock()
		return
	}
	f.instances = append(f.instances, in)
	slices.SortStableFunc(f.instances, func(a, b *instance) int { return a.since.Compare(b.since) })
	if why != "" {
		p.log.Info("orphan removed", "function", f.name, "instance", in.name, "reason", why)
		if c.State == container.StatePaused {
			in.state = paused
		}
		p.removeLocked(in)
		p.mu.Unlock()
		return
	}
	in.docker, in.published = f.fn.Docker, f.fn.Docker.Publish != ""
	p.mu.Unlock()
	p.log.Info("instance adopted", "function", f.name, "instance", in.name)
	p.follow(in)
	if seen, err := p.engine.ContainerInspect(ctx, in.id, client.ContainerInspectOptions{}); err == nil {
		p.mu.Lock()
		in.throttled = in.isThrottled(seen.Container.HostConfig)
		reserve := in.state == paused || in.throttled
		if reserve {
			in.addr = addressOf(in.docker, seen.Container.NetworkSettings)
			in.state = paused
		}
		p.mu.Unlock()
		if reserve {
			return
		}
	}
	if err := p.locate(ctx, in); err != nil {
		p.log.Warn("cannot adopt", "function", f.name, "instance", in.name, "error", err.Error())
	}
}

// mourn finds out how a container ended that has, while nobody listened.
func (p *Platform) mourn(ctx context.Context, in *instance) {
	how := "exited, nobody knows how,"
	if seen, err := p.engine.ContainerInspect(ctx, in.id, client.ContainerInspectOptions{}); err == nil && seen.Container.State != nil {
		how = fmt.Sprintf("exited with status %d", seen.Container.State.ExitCode)
	}
	p.mu.Lock()
	left := in.state == leaving // and could not be removed
	p.mu.Unlock()
	if left {
		p.remove(in, false)
		return
	}
	p.ended(in, how)
}

// happened takes in one event.
func (p *Platform) happened(ctx context.Context, e events.Message) {
	labels := e.Actor.Attributes
	p.mu.Lock()
	in := p.findLocked(labels[labelInstance])
	if in == nil {
		p.mu.Unlock()
		if e.Action == events.ActionStart { // of a start whose answer was lost
			p.adopt(ctx, container.Summary{ID: e.Actor.ID, Labels: labels, Created: e.Time, State: container.StateRunning})
		}
		return
	}
	defer p.mu.Unlock()
	switch e.Action {
	case events.ActionOOM:
		in.oom = true
	case events.ActionPause, events.ActionUnPause: // ours, or somebody's at the engine
		p.besideLocked(func() { p.recheck(ctx, in) })
	case events.ActionDie: // beside the events: its last words may take a moment
		p.besideLocked(func() { p.ended(in, "exited with status "+labels["exitCode"]) })
	case events.ActionDestroy:
		p.besideLocked(func() {
			p.ended(in, "was removed")
			p.forget(in)
		})
	}
}

// settle is how long after a pause or a resume of weir's own the engine's word is
// not taken: moby notes each twice, when it does it and when containerd tells of
// it, and the second note of a resume can undo the first one of the pause that
// came after it. Measured on 2026-11-26: 20 ms, on a busy machine.
const settle = 500 * time.Millisecond

// recheck looks whether a container is paused, if that is not what weir
// believes. The event alone does not say: it may be older than what weir did.
func (p *Platform) recheck(ctx context.Context, in *instance) {
	for {
		select {
		case in.f.turn <- struct{}{}:
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		wait := time.Until(in.acted.Add(settle))
		p.mu.Unlock()
		if wait <= 0 {
			break
		}
		in.f.end()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
	defer in.f.end()
	seen, err := p.engine.ContainerInspect(ctx, in.id, client.ContainerInspectOptions{})
	if err != nil || seen.Container.State == nil {
		return
	}
	frozen := seen.Container.State.Paused
	p.mu.Lock()
	addr := in.addr
	switch {
	case in.throttled: // not by freezing
		p.mu.Unlock()
		return
	case frozen && in.state == running:
		in.state = paused
	case !frozen && in.state == paused:
		in.state = starting
	default:
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	p.log.Info("somebody else has paused or resumed the instance", "function", in.f.name, "instance", in.name, "paused", frozen)
	p.serve(in, addr)
}

func (p *Platform) findLocked(name string) *instance {
	for _, f := range p.functions {
		for _, in := range f.instances {
			if in.name == name {
				return in
			}
		}
	}
	return nil
}

// patience is how long an instance may take to stop.
func (in *instance) patience() time.Duration { return time.Duration(in.stopTimeout()) * time.Second }
