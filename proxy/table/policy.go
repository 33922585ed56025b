package table

import (
	"fmt"
	"math"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
)

// A Policy is how one of the endpoints of a set is chosen (proxy/balance.go).
type Policy uint8

// The policies.
const (
	LeastRequest Policy = iota
	RoundRobin
	PeakEWMA
	ConsistentHash
)

// hashBy is which field or cookie consistent hashing goes by; with neither it is
// the path or the client.
type hashBy struct{ header, cookie []byte }

// HashKey is what consistent hashing goes by; ok is false if the call has none.
// Every weir makes the same of it.
func (f *Function) HashKey(r *message.Request, client []byte) (key uint64, ok bool) {
	value := client
	switch {
	case f.hashBy.header != nil:
		value = FieldValue(r.Fields, f.hashBy.header)
	case f.hashBy.cookie != nil:
		value = CookieValue(r.Fields, f.hashBy.cookie)
	case f.LoadBalancing.HashKey == "path":
		value = r.Path
	}
	return hash(value), len(value) > 0
}

// arrange fills in what the policy of a function needs.
func (s *Set) arrange(l config.LoadBalancing) {
	s.weigh()
	s.mark(l)
	if len(s.Endpoints) == 0 {
		return
	}
	switch l.Policy {
	case "round_robin":
		s.Policy, s.turns = RoundRobin, roundOf(s.Endpoints)
	case "peak_ewma":
		s.Policy = PeakEWMA
	case "consistent_hash":
		s.Policy, s.ring = ConsistentHash, newRing(s.Endpoints, s.weight)
	}
}

// mark fills in what cookies name the endpoints by, if there are any.
func (s *Set) mark(l config.LoadBalancing) {
	if l.Sticky == nil {
		return
	}
	s.marked = make(map[Mark]*Endpoint, len(s.Endpoints))
	for _, ep := range s.Endpoints {
		mark := fmt.Appendf(nil, "%016x", hash([]byte(ep.ID)))
		s.marked[Mark(mark)] = ep
		ep.Cookie = fmt.Appendf(nil, "%s=%s; Path=/; HttpOnly; SameSite=Lax", l.Sticky.Cookie, mark)
		if l.Sticky.TTL > 0 {
			ep.Cookie = fmt.Appendf(ep.Cookie, "; Max-Age=%d", (l.Sticky.TTL+time.Second-1)/time.Second)
		}
	}
}

// Turn is the endpoint whose turn the n-th is.
func (s *Set) Turn(n uint64) *Endpoint { return s.Endpoints[s.turns[n%uint64(len(s.turns))]] }

// NextTurn is the endpoint whose turn it is.
func (s *Set) NextTurn() *Endpoint { return s.Turn(s.turn.Add(1) - 1) }

// mostSteps is how far a key goes on from its own endpoint.
const mostSteps = 32

// Steps is how many places of the ring a key looks at.
func (s *Set) Steps() int { return min(mostSteps, len(s.ring.points)) }

// Owner is the endpoint at the n-th place from a key's own on.
func (s *Set) Owner(key uint64, n int) *Endpoint {
	return s.Endpoints[s.ring.endpoint(s.ring.at(key)+n)]
}

// Bound is how many calls an endpoint takes while so many are inside the
// function: so many percent of its share, and one.
func (s *Set) Bound(ep *Endpoint, inside, percent int) int {
	if s.part > 0 { // the others are for other regions
		inside = int(math.Ceil(s.part * float64(inside)))
	}
	return inside*ep.Pull()*percent/(100*max(s.weight, 1)) + 1
}

// Marked is the endpoint with that mark; nil if it is not here.
func (s *Set) Marked(mark Mark) *Endpoint { return s.marked[mark] }

// Cost is how long an endpoint is likely to let a call wait, by its weight.
func (s *Set) Cost(ep *Endpoint, now moment.Moment) float64 {
	cost := ep.Latency.Cost(ep.Link.Slots.InFlight(), now)
	if s.Even() {
		return cost
	}
	return cost / float64(ep.Pull())
}
