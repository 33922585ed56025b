package process

import (
	"reflect"
	"slices"
	"time"

	"github.com/weir-gateway/weir/config"
)

// Instances in reserve. A paused one is stopped by SIGSTOP: it keeps its
// memory, gets no processor, is in no set and does not count. SIGCONT has it
// run again at once, in this same call; there is nothing to wait for and no
// state in between. What has become of it meanwhile is told by its exit, as
// always.
//
// Its pid is signalled with Platform.mu held, while it is not gone: it is
// reaped only after that.

// pause puts the newest instances beyond n in reserve, as far as they serve.
func (p *Platform) pause(name string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.functions[name]
	if f == nil {
		return
	}
	live := f.live()
	var paused []*instance
	for _, in := range live[min(max(n, 0), len(live)):] {
		if in.state != Starting {
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
			signalGroup(in.pid, sigstop)
			in.log.Info("instance paused", "pid", in.pid)
		}
	}
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
		if in.state == Paused {
			signalGroup(in.pid, sigcont)
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

// stopLocked asks an instance to end.
func (in *instance) stopLocked() {
	in.become(Stopping)
	in.stopped = time.Now()
	close(in.asked)
}
