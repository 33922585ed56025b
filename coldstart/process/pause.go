package process

import (
	"reflect"
	"slices"
	"time"

	"github.com/weir-gateway/weir/config"
)

// Instances in reserve. One is in no set and does not count, and keeps its memory.
// With idle_mode pause it is stopped by SIGSTOP and gets no processor; with throttle
// it has a hundredth of one, by its cgroup, so that its connections and timers live
// on. SIGCONT, or its limit as it was, has it run again at once, in this same call;
// there is nothing to wait for and no state in between. What has become of it
// meanwhile is told by its exit, as always.
//
// Its pid is signalled with Platform.mu held, while it is not gone: it is
// reaped only after that.

// pause puts the newest instances beyond n in reserve, as far as they serve, and can
// be throttled if that is the way.
func (p *Platform) pause(name string, n int, throttle bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.functions[name]
	if f == nil {
		return
	}
	live := f.live()
	var paused []*instance
	for _, in := range live[min(max(n, 0), len(live)):] {
		if in.state != Starting && (!throttle || in.limits != nil) {
			in.awake = in.state
			in.become(Paused)
			paused = append(paused, in)
		}
	}
	if paused == nil {
		return
	}
	p.publishLocked(f)
	p.awaitToldLocked(f) // nobody is sent to them any more
	for _, in := range paused {
		if in.state == Paused { // nobody has resumed it meanwhile
			in.slow(throttle)
		}
	}
}

// slow takes the processor from an instance that is out of the set. The caller
// holds Platform.mu.
func (in *instance) slow(throttle bool) {
	if !throttle {
		signalGroup(in.pid, sigstop)
		in.log.Info("instance paused", "pid", in.pid)
		return
	}
	if err := in.limits.throttle(true); err != nil {
		in.log.Warn("the instance cannot be throttled and is stopped", "error", err.Error())
		in.stopLocked()
		return
	}
	in.throttled = true
	in.log.Info("instance throttled", "pid", in.pid)
}

// quicken gives it back, and tells whether that went well. The caller holds
// Platform.mu.
func (in *instance) quicken() bool {
	if !in.throttled {
		signalGroup(in.pid, sigcont)
		return true
	}
	in.throttled = false
	if err := in.limits.throttle(false); err != nil {
		in.log.Warn("the instance stays throttled and is stopped", "error", err.Error())
		return false
	}
	return true
}

// resumeLocked brings paused instances back until n live, and returns all that
// do. One that was started from another configuration is stopped instead.
func (p *Platform) resumeLocked(f *function, fn config.Function, n int) (live []*instance) {
	for _, in := range f.instances {
		if in.state == Paused && !reflect.DeepEqual(in.fn.Process, fn.Process) {
			in.stopLocked()
		}
	}
	missing := n - len(f.live())
	for _, in := range f.instances {
		if missing <= 0 {
			break
		}
		if in.state == Paused && !in.quicken() {
			in.stopLocked()
		}
		if in.state == Paused {
			in.raised = time.Now()
			in.become(in.awake)
			in.log.Info("instance resumed", "pid", in.pid)
			missing--
			p.publishLocked(f)
		}
	}
	return f.live()
}

// stopPaused ends what is in reserve.
func (p *Platform) stopPaused(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.functions[name]; f != nil {
		p.stopPausedLocked(f)
	}
}

func (p *Platform) stopPausedLocked(f *function) {
	for _, in := range slices.Clone(f.instances) {
		if in.state == Paused {
			in.stopLocked()
		}
	}
}

// stopLocked asks an instance to end. At a hundredth of a processor it would take
// long to obey.
func (in *instance) stopLocked() {
	if in.throttled {
		in.quicken()
	}
	in.become(Stopping)
	in.stopped = time.Now()
	close(in.asked)
}
