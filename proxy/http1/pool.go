package http1

import (
	"container/list"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// A Pool is the connections to one endpoint: a table.Transport. The one used
// last is used next, so that those that are not needed grow old.
type Pool struct {
	addr     string
	unix     bool // addr is a path
	settings atomic.Pointer[upSettings]

	mu      sync.Mutex // guards all below
	idle    []*upConn  // the last is the one used last; empty while anybody waits
	open    int        // connections that stand or are on their way
	closed  bool       // no connection is kept any more
	sweeper *time.Timer

	waiting list.List // of *waiter, in the order in which they came (line.go)
	serial  uint64    // of the last that came
	dials   int       // connections on their way
	stood   uint64    // how many dials have gone well
}

// NewPool makes the Transport to an address: host:port, or unix:/path.
func NewPool(addr string) table.Transport {
	p := &Pool{}
	p.addr, p.unix = strings.CutPrefix(addr, "unix:")
	p.Configure(&table.Settings{
		Timeouts: config.Timeouts{Connect: time.Second, Idle: time.Minute},
		Account:  new(table.Account),
	})
	return p
}

// host is for a request without one.
func (p *Pool) host() string {
	if p.unix {
		return "localhost"
	}
	return p.addr
}

// Configure sets what the connections obey from now on. They are kept for two
// thirds of the idle timeout: an endpoint that has the same setting must not be
// the first to close.
func (p *Pool) Configure(s *table.Settings) {
	p.mu.Lock()
	was := p.settings.Load()
	now := newUpSettings(s, was)
	p.settings.Store(now)
	p.closed = false // the endpoint is there, perhaps again
	var old []*upConn
	if was != nil && was.tls != now.tls {
		old, p.idle = p.idle, nil
	}
	p.dialLocked()
	p.mu.Unlock()
	for _, u := range old {
		u.discard(table.Dismissed)
	}
}

// get returns a connection for a try: one that stands idle, or the first that
// comes free or stands. One that was kept is looked at before: the endpoint may
// have closed it, or have sent what nobody asked for, which would be taken for
// the answer to this call. A look is one system call, 0.3 µs; to trust
// connections for 250 µs spared about half of them under load (2026-11-25), and
// left a while in which two calls could be confused.
func (p *Pool) get(x *message.Exchange) (*upConn, error) {
	for {
		p.mu.Lock()
		u := p.popLocked()
		if u == nil {
			w := p.joinLocked(x.Down)
			p.mu.Unlock()
			var err error
			if u, err = p.await(w, x); err != nil {
				return nil, err
			}
		} else {
			p.mu.Unlock()
		}
		if !u.kept {
			return u, nil
		}
		end := u.look()
		if end == alive {
			return u, nil
		}
		u.discard(end)
	}
}

func (p *Pool) popLocked() *upConn {
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	u := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return u
}

// put gives a connection to whoever waits for one, or keeps it for another try.
func (p *Pool) put(u *upConn) {
	p.mu.Lock()
	taken := p.offerLocked(u)
	p.mu.Unlock()
	if !taken {
		u.discard(table.Dismissed)
	}
}

// offerLocked is put, if there is any use for the connection.
func (p *Pool) offerLocked(u *upConn) (taken bool) {
	if u.tls != p.settings.Load().tls {
		return false
	}
	if p.waiting.Len() > 0 {
		p.serveLocked(p.waiting.Front(), u, nil)
		return true
	}
	if p.closed {
		return false
	}
	u.kept = true
	p.idle = append(p.idle, u)
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(p.settings.Load().keep(), p.sweep)
	}
	return true
}

// sweep closes the connections that have stood for too long.
func (p *Pool) sweep() {
	keep := p.settings.Load().keep()
	limit := moment.Now().Add(-keep)
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && p.idle[n].since < limit {
		n++
	}
	old := append([]*upConn(nil), p.idle[:n]...)
	kept := copy(p.idle, p.idle[n:])
	clear(p.idle[kept:])
	p.idle = p.idle[:kept]
	p.sweeper = nil
	if kept > 0 {
		p.sweeper = time.AfterFunc(max(p.idle[0].since.Add(keep).Sub(moment.Now()), time.Second), p.sweep)
	}
	p.mu.Unlock()
	for _, u := range old {
		end := u.look()
		if end == alive {
			u.farewell()
			end = table.Idle
		}
		u.discard(end)
	}
}

// CloseIdle closes what stands idle, and lets no connection be kept until
// Configure is called.
func (p *Pool) CloseIdle() {
	p.mu.Lock()
	old := p.idle
	p.idle, p.closed = nil, true
	if p.sweeper != nil {
		p.sweeper.Stop()
		p.sweeper = nil
	}
	p.mu.Unlock()
	for _, u := range old {
		u.farewell()
		u.discard(table.Dismissed)
	}
}

// Probe makes one connection and keeps it for the first call.
func (p *Pool) Probe(ctx context.Context) error {
	u, err := p.dial(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.open++
	p.mu.Unlock()
	p.put(u)
	return nil
}

// alive is what look says of a connection that can be used.
const alive = table.End(255)

// look tells whether an idle connection can be used, or else why not: the
// endpoint has closed it, or sent what nobody asked for.
func (u *upConn) look() table.End {
	if u.secure != nil {
		return u.secure.look()
	}
	if u.rc.Control(u.lookFn) != nil {
		return table.Stale
	}
	return u.seen
}

// peekAt is made a function value once: a closure would be allocated every time.
func (u *upConn) peekAt(fd uintptr) {
	n, err := recv(fd, u.peek[:], unix.MSG_PEEK)
	switch {
	case err == unix.EAGAIN:
		u.seen = alive
	case err == 0 && n > 0:
		u.seen = table.Unsolicited
	default:
		u.seen = table.Stale
	}
}

// farewell tells the endpoint of a connection that nobody uses that it ends
// well. Only TLS has words for it.
func (u *upConn) farewell() {
	if u.secure != nil {
		_ = u.secure.tls.CloseWrite() // nothing is on its way: it does not block
	}
}

// discard closes a connection, which nobody else uses any more.
func (u *upConn) discard(why table.End) {
	_ = u.nc.Close()
	u.drop()
	p := u.pool
	p.settings.Load().Account.Close(why)
	p.mu.Lock()
	p.open--
	p.dialLocked() // there may be room for whoever waits
	p.mu.Unlock()
}
