package http1

import (
	"net"
	"net/netip"
	"sync/atomic"
)

// The door is where a connection is let in or not, before it costs anything:
// by its address, by how many its client has, by how many there are. To make
// room, the connection that has idled the longest is closed; only if none idles
// is the new one.
//
// Decision, 2026-11-25: who is turned away gets a reset and no answer. A 503
// would have to wait for a request, and waiting is what there is no room for.

// A door counts whom it turned away, and lets those in that it should.
type door struct {
	refused [numRefusals]atomic.Int64
	evicted [numEvictions]atomic.Int64
}

// A refusal is why a connection was closed before it had a call.
type refusal int

const (
	refusedAccess refusal = iota
	refusedConnections
	refusedPerClient
	refusedDescriptors
	refusedProxyHeader
	numRefusals
)

// refusals are the values of the metric's label reason.
var refusals = [numRefusals]string{
	refusedAccess:      "access",
	refusedConnections: "connections",
	refusedPerClient:   "connections_per_client",
	refusedDescriptors: "descriptors",
	refusedProxyHeader: "proxy_header",
}

// An eviction is what an idle connection was closed for.
type eviction int

const (
	evictedConnections eviction = iota
	evictedDescriptors
	numEvictions
)

var evictions = [numEvictions]string{
	evictedConnections: "connections",
	evictedDescriptors: "descriptors",
}

// Refused tells how many connections were turned away, by reason.
func (s *Server) Refused() map[string]int {
	counts := make(map[string]int, numRefusals)
	for why, name := range refusals {
		counts[name] = int(s.door.refused[why].Load())
	}
	return counts
}

// Evicted tells how many idle connections were closed to make room, by what was
// short.
func (s *Server) Evicted() map[string]int {
	counts := make(map[string]int, numEvictions)
	for why, name := range evictions {
		counts[name] = int(s.door.evicted[why].Load())
	}
	return counts
}

// refuse turns a connection away: with a reset, so that nothing of it stays in
// the kernel.
func (s *Server) refuse(nc net.Conn, why refusal) {
	s.door.refused[why].Add(1)
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = nc.Close()
}

// accept begins to serve a connection, if it may come in.
func (s *Server) accept(nc net.Conn) {
	cfg := s.settings.Load()
	peer, _ := addrOf(nc.RemoteAddr())
	// A connection of a trusted proxy is no client's, and one with a PROXY
	// header in front is not known to be anybody's yet: neither the rules nor
	// the limit for clients are about it.
	unproven := cfg.proxied.Allows(peer)
	direct := !unproven && !cfg.trusted.Allows(peer)
	if direct && !cfg.access.Allows(peer) {
		s.refuse(nc, refusedAccess)
		return
	}
	if direct && !s.enter(peer, cfg.Limits.ConnectionsPerClient) {
		s.refuse(nc, refusedPerClient)
		return
	}
	if limit := cfg.Limits.Connections; limit > 0 && s.Open() >= limit && !s.evict(evictedConnections) {
		if direct {
			s.exit(peer)
		}
		s.refuse(nc, refusedConnections)
		return
	}
	s.start(nc, cfg, peer, direct, unproven)
}

// A clientKey is what a client's connections are counted by: its address, or of
// IPv6 the /64 that it can choose from.
type clientKey [16]byte

func clientKeyOf(addr netip.Addr) clientKey {
	key := clientKey(addr.As16())
	if addr.Is6() {
		clear(key[8:])
	}
	return key
}

// enter counts a connection of a client's, unless there are as many as may be;
// exit takes it back.
func (s *Server) enter(client netip.Addr, limit int) bool {
	if !client.IsValid() {
		return true
	}
	key := clientKeyOf(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.clients[key]
	if limit > 0 && n >= limit {
		return false
	}
	s.clients[key] = n + 1
	return true
}

func (s *Server) exit(client netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exitLocked(client)
}

func (s *Server) exitLocked(client netip.Addr) {
	if !client.IsValid() {
		return
	}
	key := clientKeyOf(client)
	if n := s.clients[key]; n > 1 {
		s.clients[key] = n - 1
	} else {
		delete(s.clients, key)
	}
}

// glances is how many connections are looked at for one that idles when none
// rests. Going through all of them would make a full house dear to whoever is
// turned away, and so to weir.
const glances = 64

// evict closes the connection that has idled the longest, and tells whether
// there was one. Those that do not rest yet have idled for less than awake:
// among them any will do.
func (s *Server) evict(why eviction) bool {
	if s.evictResting(why) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	looked := 0
	for c := range s.conns { // from anywhere
		if c.leaveLocked() {
			s.door.evicted[why].Add(1)
			return true
		}
		if looked++; looked == glances {
			break
		}
	}
	return false
}

func (s *Server) evictResting(why eviction) bool {
	c := s.line.takeFirst(s.watcher, never)
	if c == nil {
		return false
	}
	s.door.evicted[why].Add(1)
	s.end(c)
	return true
}

// leaveLocked has a connection end that waits for a call, and tells whether it
// does wait; under the server's lock, which the connection's goroutine passes
// through before it touches the deadline again.
func (c *conn) leaveLocked() bool {
	if !c.state.CompareAndSwap(waiting, leaving) {
		return false
	}
	_ = c.nc.SetReadDeadline(longAgo)
	return true
}
