package http1

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/internal/moment"
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
	s.line.remove(c)
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
	s.line.push(c, s.settings.Load().idle, s.sweep) // before the Watcher has it: then others may take it out
	known := c.rested
	c.rested = true
	c.resting.what = c
	var err error
	if bad := c.rc.Control(func(fd uintptr) {
		err = s.watcher.resting.add(int(fd), unix.EPOLLIN|unix.EPOLLRDHUP, known, &c.resting)
	}); bad != nil || err != nil {
		s.line.remove(c)
		s.end(c)
		return
	}
	// From here on it may be anybody's.
	if s.draining.Load() && s.watcher.resting.take(&c.resting) { // Drain may have come before
		s.line.remove(c)
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

// sweep closes the connections that have rested for as long as one may idle.
func (s *Server) sweep() {
	idle := s.settings.Load().idle
	limit := moment.Now().Add(awake - idle)
	for c := s.line.takeFirst(s.watcher, limit); c != nil; c = s.line.takeFirst(s.watcher, limit) {
		s.end(c)
	}
	s.line.sweepAgain(idle)
}

// A restLine has the connections of one server that rest, in the order in which
// they came to. Who is in it is not necessarily at rest any more: that is for
// the Watcher to tell, whose take makes a connection somebody's. The line is
// only where to look first.
type restLine struct {
	mu          sync.Mutex // before that of the Watcher
	first, last *conn
	sweeper     *time.Timer // looks for those that have rested too long; nil if none rests
	stopped     bool
}

// never is a limit that takeFirst takes for none.
const never moment.Moment = 0

// push lets a connection rest from now on. When the first has rested for as
// long as one may idle, sweep is called.
func (l *restLine) push(c *conn, idle time.Duration, sweep func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.rests.Store(int64(moment.Now()))
	c.inLine, c.prev, c.next = true, l.last, nil
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
	if l.sweeper == nil && !l.stopped {
		l.sweeper = time.AfterFunc(max(idle-awake, awake), sweep)
	}
}

// remove takes a connection out, if it is in.
func (l *restLine) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removeLocked(c)
}

func (l *restLine) removeLocked(c *conn) {
	if !c.inLine {
		return
	}
	if c.prev == nil {
		l.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		l.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.inLine, c.prev, c.next = false, nil, nil
	c.rests.Store(0)
}

// takeFirst takes the connection that has rested the longest, since before the
// limit; nil if there is none. It is the caller's then.
func (l *restLine) takeFirst(w *Watcher, limit moment.Moment) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := l.first; c != nil; c = c.next {
		if limit != never && c.rests.Load() >= int64(limit) {
			return nil
		}
		if w.resting.take(&c.resting) { // or a call comes, or it is about to rest
			l.removeLocked(c)
			return c
		}
	}
	return nil
}

// since is when the first came to rest; 0 if none rests.
func (l *restLine) since() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		return 0
	}
	return l.first.rests.Load()
}

// sweepAgain has the next sweep happen when the first is due, but not so soon
// that there is one for each.
func (l *restLine) sweepAgain(idle time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stopped:
	case l.first == nil:
		l.sweeper = nil
	default:
		due := moment.Moment(l.first.rests.Load()).Add(idle - awake).Sub(moment.Now())
		l.sweeper.Reset(max(due, idle/8, awake))
	}
}

// sweepNow has a sweep happen early.
func (l *restLine) sweepNow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sweeper != nil && !l.stopped {
		l.sweeper.Reset(0)
	}
}

// stop ends the sweeping.
func (l *restLine) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	if l.sweeper != nil {
		l.sweeper.Stop()
	}
}
