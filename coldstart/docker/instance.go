package docker

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/weir-gateway/weir/config"
)

// state of an instance.
type state uint8

const (
	starting state = iota // being created, started or resumed
	running
	pausing // out of the set, about to be paused
	paused
	leaving // out of the set, being stopped and removed
)

func (s state) live() bool { return s <= running }

// The labels that say what is ours.
const (
	labelGateway  = "weir.gateway"
	labelScaler   = "weir.scaler"
	labelFunction = "weir.function"
	labelSpec     = "weir.spec"
	labelInstance = "weir.instance"
)

// An instance is one container, from the wish to have it until it is removed.
type instance struct {
	name      string // the container's, and its endpoint's id
	f         *function
	spec      string // a hash of what it was started from
	docker    *config.Docker
	published bool
	gone      chan struct{} // closed when it is removed

	// Guarded by Platform.mu.
	state  state
	id     string // the container's; empty before it is created
	addr   string // empty before it is known
	since  time.Time
	proven bool // published only: a connection has stayed open
	oom    bool // it has run out of its memory
	logs   *logs
}

func newInstance(f *function, fn config.Function, spec string, now time.Time) *instance {
	short := strings.ToLower(rand.Text()[:8])
	return &instance{
		name: "weir-" + fn.Name + "-" + short, f: f, spec: spec, docker: fn.Docker, published: fn.Docker.Publish != "",
		gone: make(chan struct{}), since: now,
	}
}

// specOf is a hash of all that an instance is started from.
func specOf(fn config.Function) string {
	text, err := json.Marshal(fn.Docker)
	if err != nil {
		panic("BUG: a docker block cannot be written: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// stopTimeout is in seconds, as the engine has it: one at least, or it would
// kill at once.
func (in *instance) stopTimeout() int {
	if in.docker == nil {
		return 10
	}
	return max(int((in.docker.StopTimeout+time.Second-1)/time.Second), 1)
}

// removeLocked has an instance stopped and removed, beside the caller.
func (p *Platform) removeLocked(in *instance) {
	was := in.state
	in.state = leaving
	p.besideLocked(func() { // or it is an orphan, to be found at the next start
		p.show(in.f)
		p.remove(in, was == paused)
	})
}

// forget ends what weir knows of an instance.
func (p *Platform) forget(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(in.f.instances, in); i >= 0 {
		in.f.instances = slices.Delete(slices.Clone(in.f.instances), i, i+1)
		close(in.gone)
	}
}

// ended hears that a container is not running any more. What nobody has asked
// for is told, once it is out of the set.
func (p *Platform) ended(in *instance, how string) {
	p.mu.Lock()
	asked, logs, since, tell := in.state == leaving, in.logs, in.since, p.failed
	in.state = leaving
	if in.oom {
		how += ", having run out of its memory,"
	}
	p.mu.Unlock()
	if asked {
		return
	}
	p.show(in.f)
	last := logs.finish()
	err := fmt.Errorf("instance of %q %s after %v", in.f.name, how, time.Since(since).Round(time.Millisecond))
	if last != "" {
		err = fmt.Errorf("%w: %s", err, last)
	}
	p.log.Info("instance ended", "function", in.f.name, "instance", in.name, "how", strings.TrimRight(how, ","))
	p.remove(in, false)
	if tell != nil {
		tell(in.f.name, since, err)
	}
}

// prove waits until a published port leads to somebody. The engine's proxy
// takes connections before the function does, and closes them at once.
func (p *Platform) prove(in *instance, addr string) {
	const held = 20 * time.Millisecond
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-in.gone:
			return
		case <-pause.C:
		}
		if conn, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			conn.SetReadDeadline(time.Now().Add(held))
			_, err := conn.Read(make([]byte, 1))
			conn.Close()
			if nerr, ok := err.(net.Error); ok && nerr.Timeout() {
				p.mu.Lock()
				in.proven = true
				p.mu.Unlock()
				p.show(in.f)
				return
			}
		}
		pause.Reset(5 * time.Millisecond)
	}
}
