package http1

import (
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// An acceptor accepts connections through thick and thin. When descriptors have
// run out (EMFILE, ENFILE), connections that rest are closed to win some. When
// none rests, one is left that was kept for this: with it a connection can be
// accepted and closed, so that its client hears at once instead of waiting in a
// queue that nobody empties, and the loop does not spin.
//
// Go has raised the soft limit of descriptors to the hard one before main
// begins (package syscall, since 1.19), and gives instances that are started as
// processes the one they would have had.
//
// One goroutine uses it.
type acceptor struct {
	server  *Server
	ln      net.Listener
	reserve int // the descriptor that is kept; -1: it is not there

	pause time.Duration
	told  time.Time // when the log last heard of it
	count struct{ evicted, refused int }
}

const (
	// An accept that fails for another reason is tried again after a pause
	// that grows.
	firstAcceptPause = 5 * time.Millisecond
	longAcceptPause  = time.Second

	// evictAtOnce is how many connections are closed when descriptors run
	// out: a call needs a second one for its endpoint.
	evictAtOnce = 16

	// tellEvery is how often the log hears of descriptors.
	tellEvery = 10 * time.Second
)

func newAcceptor(s *Server, ln net.Listener) *acceptor {
	a := &acceptor{server: s, ln: ln, reserve: -1}
	a.keepReserve()
	return a
}

// accept returns the next connection. An error is the end.
func (a *acceptor) accept() (net.Conn, error) {
	for {
		nc, err := a.ln.Accept()
		switch {
		case err == nil:
			a.pause = 0
			if a.reserve >= 0 || a.keepReserve() {
				return nc, nil
			}
			// It came by the descriptor that was kept, and there is no other.
			if a.evict(unix.EMFILE) && a.keepReserve() {
				return nc, nil
			}
			a.server.refuse(nc, refusedDescriptors)
			a.keepReserve()
			a.count.refused++
			a.tell(unix.EMFILE)
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE):
			a.makeRoom(err)
		default:
			a.rest(err)
		}
	}
}

// makeRoom wins a descriptor for the next accept. The kernel asks for one before
// it looks whether anybody waits, so it may be a while until that returns.
func (a *acceptor) makeRoom(err error) {
	if a.evict(err) {
		return
	}
	if a.reserve >= 0 {
		_ = unix.Close(a.reserve)
		a.reserve = -1
		return
	}
	a.rest(err) // somebody else was quicker
	a.keepReserve()
}

// evict closes some of those that rest, if any do.
func (a *acceptor) evict(err error) bool {
	n := a.server.watcher.evict(evictAtOnce, evictedDescriptors)
	if n == 0 {
		return false
	}
	a.count.evicted += n
	a.tell(err)
	return true
}

// keepReserve takes a descriptor that is good for nothing but to be given up.
func (a *acceptor) keepReserve() bool {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return false
	}
	a.reserve = fd
	return true
}

func (a *acceptor) close() {
	if a.reserve >= 0 {
		_ = unix.Close(a.reserve)
	}
}

// rest lets a while pass.
func (a *acceptor) rest(err error) {
	a.pause = min(max(2*a.pause, firstAcceptPause), longAcceptPause)
	a.server.log.Warn("cannot accept", "listener", a.server.Name(), "error", err.Error(), "pause_ms", a.pause.Milliseconds())
	<-time.NewTimer(a.pause).C
}

// tell says once in a while what the want of descriptors has cost.
func (a *acceptor) tell(err error) {
	now := time.Now()
	if now.Sub(a.told) < tellEvery {
		return
	}
	a.told = now
	a.server.log.Warn("descriptors have run out: raise the limit (LimitNOFILE, ulimit -n) or lower limits.connections",
		"listener", a.server.Name(), "error", err.Error(), "idle_closed", a.count.evicted, "refused", a.count.refused)
	a.count.evicted, a.count.refused = 0, 0
}
