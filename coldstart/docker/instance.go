package docker

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/config"
)

// state of an instance.
type state uint8

const (
	starting state = iota // being created, started or resumed
	running
	pausing // out of the set, about to be put in reserve
	paused  // in reserve: frozen, or throttled
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
	state     state
	id        string // the container's; empty before it is created
	addr      string // empty before it is known
	own       string // where it listens in its own network; empty if it has none
	since     time.Time
	acted     time.Time // when weir last paused or resumed it
	proven    bool      // published only: a connection has stayed open
	oom       bool      // it has run out of its memory
	throttled bool      // it is in reserve, and not frozen
	logs      *logs
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
	p.forgetLocked(in)
}

func (p *Platform) forgetLocked(in *instance) {
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
	if tell != nil { // before what takes the engine 100 ms: somebody may be held for it
		tell(in.f.name, since, err)
	}
	p.bury(in)
}

// How a published port is found to lead to somebody: the engine's proxy takes
// connections before the function does, and closes them at once.
const (
	// How long a connection to the port stays open if there is somebody: a guess,
	// for engines whose networks cannot be reached from here. 20 ms were not
	// enough for the proxy to notice on a busy machine (2026-11-25).
	heldOpen = 50 * time.Millisecond
	// For so long, a refusal at the container's own address is believed.
	ownBelieved = 10 * time.Second
)

// prove waits until a published port leads to somebody: until the container
// accepts a connection at its own address, where the engine runs here and its
// networks can be reached, and else until one to the port stays open.
func (p *Platform) prove(in *instance, addr, own string) {
	if !strings.HasPrefix(p.engine.DaemonHost(), "unix:") {
		own = "" // it may be somebody else's here
	}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for began := time.Now(); ; {
		select {
		case <-p.ctx.Done():
			return
		case <-in.gone:
			return
		case <-pause.C:
		}
		listens, err := false, error(nil)
		if own != "" {
			listens, err = p.accepts(own)
		}
		if own == "" || err != nil && (!errors.Is(err, unix.ECONNREFUSED) || time.Since(began) > ownBelieved) {
			own = ""
			listens = p.staysOpen(addr)
		}
		if listens {
			p.mu.Lock()
			in.proven = true
			p.mu.Unlock()
			p.show(in.f)
			return
		}
		pause.Reset(5 * time.Millisecond)
	}
}

func (p *Platform) accepts(addr string) (bool, error) {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(p.ctx, "tcp", addr)
	if err != nil {
		return false, err
	}
	_ = conn.Close()
	return true, nil
}

func (p *Platform) staysOpen(addr string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(p.ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(heldOpen))
	_, err = conn.Read(make([]byte, 1))
	var slow net.Error
	return errors.As(err, &slow) && slow.Timeout()
}
