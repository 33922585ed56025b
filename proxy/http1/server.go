package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/shaping"
)

// ErrForced: calls were still running when the time for draining was over, and
// were cut off.
var ErrForced = errors.New("calls were cut off")

// A Core carries the calls that a Server reads: a *proxy.Proxy.
type Core interface {
	Serve(c *proxy.Call)
	Refuse(c *proxy.Call, err error)
}

// A Server is the serve loop of one listener.
type Server struct {
	settings atomic.Pointer[settings]
	core     Core
	watcher  *Watcher
	log      *slog.Logger

	draining atomic.Bool
	open     atomic.Int64
	done     sync.WaitGroup // connections

	door door
	line restLine

	mu       sync.Mutex // guards all below
	listener net.Listener
	conns    map[*conn]struct{}
	clients  map[clientKey]int // how many connections each has
}

// settings are what may change while the Server runs. Frozen.
type settings struct {
	config.Listener
	idle    time.Duration   // the keep-alive wait
	trusted *shaping.Access // TrustedProxies
	access  *shaping.Access // Access
	proxied *shaping.Access // ProxyProtocol.From
}

// NewServer makes a Server for a listener; idle is the keep-alive wait.
func NewServer(cfg config.Listener, idle time.Duration, core Core, w *Watcher, log *slog.Logger) *Server {
	s := &Server{core: core, watcher: w, log: log, conns: map[*conn]struct{}{}, clients: map[clientKey]int{}}
	s.Configure(cfg, idle)
	w.serves(s)
	return s
}

// Configure changes everything but the address, for the calls that come from
// now on.
func (s *Server) Configure(cfg config.Listener, idle time.Duration) {
	limits := &cfg.Limits
	limits.TargetBytes = orElse(limits.TargetBytes, limits.HeadBytes)
	limits.HeadTimeout = orElse(limits.HeadTimeout, unlimited)
	limits.BodyProgress = orElse(limits.BodyProgress, unlimited)
	s.settings.Store(&settings{
		Listener: cfg,
		idle:     idle,
		trusted:  shaping.Only(cfg.TrustedProxies),
		access:   shaping.NewAccess(cfg.Access),
		proxied:  shaping.Only(cfg.ProxyProtocol.From),
	})
	s.line.sweepNow() // idle may be shorter now
}

// unlimited is what a timeout of 0 stands for.
const unlimited = 10_000 * time.Hour

// orElse returns a limit, or what stands for none if it is 0.
func orElse[T config.Size | time.Duration](limit, none T) T {
	if limit == 0 {
		return none
	}
	return limit
}

// Open tells how many clients are connected.
func (s *Server) Open() int { return int(s.open.Load()) }

// Name is the listener's.
func (s *Server) Name() string { return s.settings.Load().Name }

// Serve accepts connections from ln until Drain or Close; it owns ln.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	s.listener = ln
	s.mu.Unlock()
	if s.draining.Load() {
		return ln.Close()
	}
	a := newAcceptor(s, ln)
	defer a.close()
	for {
		nc, err := a.accept()
		if s.draining.Load() {
			if err == nil {
				_ = nc.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("listener %s: %w", s.Name(), err)
		}
		s.accept(nc)
	}
}

// start begins to serve a connection; direct tells that it is counted among its
// peer's, unproven that a PROXY header comes first.
func (s *Server) start(nc net.Conn, cfg *settings, peer netip.Addr, direct, unproven bool) {
	c := &conn{server: s, counted: direct, unproven: unproven}
	if err := c.open(nc); err != nil {
		s.log.Error("cannot serve", "listener", s.Name(), "error", err.Error())
		_ = nc.Close()
		if direct {
			s.exit(peer)
		}
		return
	}
	c.body = body{wire: &c.wire, fillOne: c.fillBody, err: io.EOF} // no call, no body to come
	c.parkFn = c.parked
	_, port := addrOf(nc.LocalAddr())
	c.describe(peer, port)
	c.meet(cfg)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() { // under the lock that Drain takes before it waits for done
		_ = nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.open.Add(1)
	s.done.Add(1) // leave takes it back
	go s.run(c)
}

// leave ends the account of a connection that was closed.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	if c.counted {
		s.exitLocked(c.client.Addr)
	}
	s.mu.Unlock()
	s.open.Add(-1)
	s.done.Done()
}

// guard serves a connection, and keeps a panic from costing more than it.
func (s *Server) guard(c *conn) (rests bool) {
	defer func() {
		if bug := recover(); bug != nil {
			rests = false
			s.log.Error("BUG: a connection panicked", "panic", fmt.Sprint(bug), "stack", string(debug.Stack()))
			c.Unwatch()
			_ = c.nc.Close()
		}
	}()
	return c.serve()
}

// Drain stops accepting, closes idle connections, and waits for the calls that
// are running; their answers end their connections. When ctx ends first the
// rest is cut off and ErrForced returned. It may be called again, with another
// time: the earlier one counts.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	defer s.watcher.leaves(s)
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close()
	}
	for c := range s.conns {
		c.leaveLocked()
	}
	s.mu.Unlock()
	s.line.stop()
	for c := s.line.takeFirst(s.watcher, never); c != nil; c = s.line.takeFirst(s.watcher, never) {
		s.end(c)
	}
	over := make(chan struct{})
	go func() {
		s.done.Wait()
		close(over)
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.hangUp()
	}
	s.mu.Unlock()
	<-over
	return ErrForced
}
