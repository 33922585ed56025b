package docker

import (
	"context"
	"time"
)

// What happens when the configuration puts a scaler on another engine, or under
// another gateway's name: another Platform takes its place. Its functions begin anew
// there. What the one before has is stopped as soon as the calls on it have ended;
// where both see the same engine, under the same name, the new one takes it over
// instead. Then the old one ends.

const (
	// A platform that has nothing left ends after a while: the Keeper may hear of the
	// one after it a moment later than it does.
	lingers = 10 * time.Second

	// What is on an engine that cannot be reached for so long is let go of: it is
	// where nobody looks any more.
	letGoAfter = time.Minute
)

// Succeed has p, which does not run yet, take the place of another.
func (p *Platform) Succeed(old *Platform) {
	p.mu.Lock()
	p.before = old
	p.mu.Unlock()
	old.mu.Lock()
	old.after = p
	old.mu.Unlock()
	old.Retire()
}

// Retire says that no function is p's any more. It takes in nothing new, stops what
// it has when it is told to, and its Run returns when nothing is left.
func (p *Platform) Retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.retired {
		p.retired = true
		p.besideLocked(p.windUp)
	}
}

// windUp ends Run once nothing is left for it to do.
func (p *Platform) windUp() {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	var empty, away time.Duration
	for empty < p.lingers && away < p.letsGo {
		select {
		case <-look.C:
		case <-p.ctx.Done():
			return
		}
		empty, away = empty+time.Second, away+time.Second
		p.mu.Lock()
		if p.reached {
			away = 0
		}
		for _, f := range p.functions {
			if len(f.instances) > 0 {
				empty = 0
			}
		}
		p.mu.Unlock()
	}
	p.letGo()
	p.cancel()
	p.mu.Lock()
	before, after := p.before, p.after
	p.mu.Unlock()
	if after != nil {
		after.mu.Lock()
		after.before = before // and p is nobody's memory any more
		after.mu.Unlock()
	}
}

// letGo forgets what is on an engine that cannot be reached. It stays there.
func (p *Platform) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.functions {
		for _, in := range f.instances {
			p.log.Warn("left on an engine that cannot be reached, and nobody's any more", "function", f.name, "instance", in.name, "engine", p.engine.DaemonHost())
			close(in.gone)
		}
		f.instances = nil
	}
}

// mayStop waits until p may stop what it has: until the one after it, if there is
// one, knows what is its, and, if it has retired, until it hears its engine. over is
// that it has ended, and has nothing to stop.
func (p *Platform) mayStop(ctx context.Context) (over bool, err error) {
	p.mu.Lock()
	retired, settled := p.retired, p.tried
	if p.after != nil {
		settled = p.after.tried
	}
	p.mu.Unlock()
	if !retired {
		return false, nil
	}
	select {
	case <-settled:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	look := time.NewTicker(lastLook / 4)
	defer look.Stop()
	for {
		p.mu.Lock()
		reached := p.reached
		p.mu.Unlock()
		if over = p.ctx.Err() != nil; over || reached {
			return over, nil
		}
		select {
		case <-look.C:
		case <-p.ctx.Done():
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// yield tells the one after p whether it may do with an instance as it likes: if it
// is not p's, nor of one before, or if it is wanted and can be had. Then it is p's no
// more. Else it is left to p.
func (p *Platform) yield(name string, wanted bool) bool {
	for p != nil {
		p.mu.Lock()
		in, before := p.findLocked(name), p.before
		if in != nil {
			defer p.mu.Unlock()
			if !wanted || in.state != running && in.state != paused {
				return false
			}
			p.yieldLocked(in)
			return true
		}
		p.mu.Unlock()
		p = before
	}
	return true
}

// yieldLocked forgets an instance that goes on under somebody else.
func (p *Platform) yieldLocked(in *instance) {
	in.state = leaving // whoever still looks at it finds that it has been asked to go
	p.forgetLocked(in)
	if in.logs != nil {
		in.logs.cancel()
	}
	p.log.Info("instance handed over", "function", in.f.name, "instance", in.name)
}
