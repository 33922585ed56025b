package http1

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// A Pool is the connections to one endpoint: a table.Transport. The one used
// last is used next, so that those that are not needed grow old.
type Pool struct {
	network, addr string
	host          string // for a request without one
	connect, keep atomic.Int64

	mu      sync.Mutex // guards all below
	idle    []*upConn  // the last is the one used last
	closed  bool       // no connection is kept any more
	sweeper *time.Timer
}

// NewPool makes the Transport to an address: host:port, or unix:/path.
func NewPool(addr string) table.Transport {
	p := &Pool{network: "tcp", addr: addr, host: addr}
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		p.network, p.addr, p.host = "unix", path, "localhost"
	}
	p.Configure(config.Timeouts{Connect: time.Second, Idle: time.Minute})
	return p
}

// Configure sets the timeouts from now on. Connections are kept for two thirds
// of the idle timeout: an endpoint that has the same setting must not be the
// first to close.
func (p *Pool) Configure(t config.Timeouts) {
	p.connect.Store(int64(t.Connect))
	p.keep.Store(int64(t.Idle) * 2 / 3)
}

// get returns a connection that stood idle, or nil. It is looked at before:
// the endpoint may have closed it, or have sent what nobody asked for, which
// would be taken for the answer to this call. A look is one system call, 0.3 µs;
// to trust connections for a while spared three of four and left a while in
// which two calls could be confused.
func (p *Pool) get() *upConn {
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return nil
		}
		u := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if u.alive() {
			return u
		}
		u.discard()
	}
}

// put keeps a connection for another try.
func (p *Pool) put(u *upConn) {
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.idle = append(p.idle, u)
		if p.sweeper == nil {
			p.sweeper = time.AfterFunc(time.Duration(p.keep.Load()), p.sweep)
		}
	}
	p.mu.Unlock()
	if closed {
		u.discard()
	}
}

// sweep closes the connections that have stood for too long.
func (p *Pool) sweep() {
	keep := time.Duration(p.keep.Load())
	limit := time.Now().Add(-keep)
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && p.idle[n].since.Before(limit) {
		n++
	}
	old := append([]*upConn(nil), p.idle[:n]...)
	p.idle = append(p.idle[:0], p.idle[n:]...)
	p.sweeper = nil
	if len(p.idle) > 0 {
		p.sweeper = time.AfterFunc(max(time.Until(p.idle[0].since.Add(keep)), time.Second), p.sweep)
	}
	p.mu.Unlock()
	for _, u := range old {
		u.discard()
	}
}

// CloseIdle closes what stands idle, and lets no connection be kept.
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
		u.discard()
	}
}

// Probe makes one connection and keeps it for the first call.
func (p *Pool) Probe(ctx context.Context) error {
	u, err := p.dial(ctx)
	if err != nil {
		return err
	}
	u.since = time.Now()
	p.put(u)
	return nil
}

// dial makes a connection. The error is message.ErrConnect or
// ErrConnectTimeout, and says what happened.
func (p *Pool) dial(ctx context.Context) (*upConn, error) {
	dialer := net.Dialer{Timeout: time.Duration(p.connect.Load())}
	nc, err := dialer.DialContext(ctx, p.network, p.addr)
	if err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return nil, fmt.Errorf("%w: %w", message.ErrConnectTimeout, err)
		}
		return nil, fmt.Errorf("%w: %w", message.ErrConnect, err)
	}
	u := &upConn{pool: p}
	if err := u.open(nc); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("%w: %w", message.ErrConnect, err)
	}
	u.body = body{wire: &u.wire, fillOne: u.fillBody}
	u.lookFn = u.look
	return u, nil
}

// alive tells whether an idle connection can be used: the endpoint has neither
// closed it nor sent anything that nobody asked for.
func (u *upConn) alive() bool {
	return u.rc.Control(u.lookFn) == nil && u.silent
}

// look is made a function value once: a closure would be allocated every time.
func (u *upConn) look(fd uintptr) {
	_, err := recv(fd, u.peek[:], unix.MSG_PEEK)
	u.silent = err == unix.EAGAIN
}

func (u *upConn) discard() {
	_ = u.nc.Close()
	u.drop()
}
