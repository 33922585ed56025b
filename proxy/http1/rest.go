package http1

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/proxy"
)

// A connection that waits for its next call keeps its goroutine for a moment,
// because the next call of a busy client comes soon. Then it rests: without a
// goroutine, a call or a buffer, until the Watcher sees that bytes have come.
// That is what makes ten thousand idle clients cheap: 1 KiB each and not 9
// (BenchmarkIdleMemory, 2026-11-23).

// awake is how long a connection keeps its goroutine after a call.
const awake = 100 * time.Millisecond

// calls are those that no connection has.
var calls = sync.Pool{New: func() any { return new(proxy.Call) }}

// run serves a connection until it ends or rests.
func (s *Server) run(c *conn) {
	s.watcher.burst.wake()
	rests := s.guard(c)
	s.watcher.burst.sleep()
	if rests {
		s.rest(c)
	} else {
		s.leave(c)
	}
}

// rest has the Watcher wait for the connection's next call.
func (s *Server) rest(c *conn) {
	c.giveCall()
	now := time.Now()
	c.rests.Store(now.UnixNano())
	s.sweepIn(s.settings.Load().idle / 8)
	known := c.rested
	c.rested = true
	c.resting.what = c
	var err error
	if bad := c.rc.Control(func(fd uintptr) {
		err = s.watcher.resting.add(int(fd), unix.EPOLLIN|unix.EPOLLRDHUP, known, &c.resting)
	}); bad != nil || err != nil {
		s.end(c)
		return
	}
	// From here on it may be anybody's.
	if s.draining.Load() && s.watcher.resting.take(&c.resting) { // Drain may have come before
		s.end(c)
	}
}

// end closes a connection that has no goroutine and is the caller's.
func (s *Server) end(c *conn) {
	_ = c.nc.Close()
	s.leave(c)
}

// takeCall sees to it that the connection has a call, and says who makes it.
func (c *conn) takeCall() {
	if c.call == nil {
		c.call = calls.Get().(*proxy.Call)
	}
}

func (c *conn) giveCall() {
	if c.call != nil {
		c.call.Forget()
		calls.Put(c.call)
		c.call = nil
	}
}

// sweepIn has the resting connections looked at in a while, if nothing else
// does before.
func (s *Server) sweepIn(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sweeper == nil && !s.draining.Load() {
		s.sweeper = time.AfterFunc(max(d, awake), s.sweep)
	}
}

// sweep closes the connections that have rested for as long as one may idle.
func (s *Server) sweep() {
	idle := s.settings.Load().idle
	limit := time.Now().Add(awake - idle).UnixNano()
	var old []*conn
	resting := false
	s.mu.Lock()
	s.sweeper = nil
	for c := range s.conns {
		since := c.rests.Load()
		resting = resting || since != 0
		if since != 0 && since < limit && s.watcher.resting.take(&c.resting) {
			old = append(old, c)
		}
	}
	s.mu.Unlock()
	for _, c := range old {
		s.end(c)
	}
	if resting {
		s.sweepIn(idle / 8)
	}
}
