package table

import (
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/shaping"
)

// A Table is what the operator wants: which calls go to which function, under
// which policy. Nobody changes it after Build returned it.
type Table struct {
	Version   uint64
	Config    *config.Config
	Functions map[string]*Function
	Refused   []Refusal // what was asked for and could not be had, and why
	Unrouted  *Function // has the calls that no route is for

	routes router
}

// A Refusal is an entry of the configuration that the table does without.
type Refusal struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
}

// A Function is a name that calls are routed to, with no, one or many
// endpoints behind it.
type Function struct {
	config.Function // policy: frozen with the table
	// OwnDeadline is set if clients say their deadline in a field that weir has
	// to look for by name.
	OwnDeadline bool
	*State      // life: carried from table to table
}

// State is the part of a function that lives on when its policy changes.
type State struct {
	Gate  shaping.Gate          // who is inside, and how many may be
	Hold  *coldstart.Hold       // who waits, and in what order
	Start *coldstart.Activation // nil if nothing can raise the function
	Meter Meter                 // what telemetry counts for the function

	Account Account // of the connections to the function's endpoints

	seen atomic.Bool // it had an endpoint once
	set  atomic.Pointer[Set]
}

// A Meter is what telemetry keeps for one function. It hangs on the State so
// that nobody looks it up by name while a call is in flight.
type Meter interface {
	// Unregister ends the function's series.
	Unregister()
}

// Unrouted is the name under which calls without a route are counted.
const Unrouted = "_other"

// Set returns the endpoints that serve the function now. Load it once and look
// as long as you like.
func (s *State) Set() *Set { return s.set.Load() }

// Seen tells whether the function ever had an endpoint.
func (s *State) Seen() bool { return s.seen.Load() }

// InUse is for the Activator: how many calls are inside, and when the last one
// left.
func (s *State) InUse() (int, time.Time) { return s.Gate.Inside() }

// Withdraw is for the Activator: no further call gets onto any endpoint, if
// none is on one now.
func (s *State) Withdraw() bool {
	set := s.Set()
	for i, ep := range set.Endpoints {
		if !ep.Link.Slots.Close() {
			for _, closed := range set.Endpoints[:i] {
				closed.Link.Slots.Open()
			}
			s.wake()
			return false
		}
	}
	return true
}

// Addresses is for the Activator: where the endpoints are.
func (s *State) Addresses() (addrs []string) {
	for _, ep := range s.Set().Endpoints {
		addrs = append(addrs, ep.Addr)
	}
	return addrs
}

// Restore is for the Activator: it takes Withdraw back.
func (s *State) Restore() {
	for _, ep := range s.Set().Endpoints {
		ep.Link.Slots.Open()
	}
	s.wake()
}

// wake lets as many calls look as can go.
func (s *State) wake() {
	if s.Hold.Empty() {
		return
	}
	if n := s.Set().Free(); n < 0 {
		s.Hold.Wake(s.Hold.Len())
	} else {
		s.Hold.Wake(n)
	}
}

// A Route is a function, and what the rule that leads to it says of clients and
// of paths.
type Route struct {
	*Function
	Access       *shaping.Access // who may call it; nil is everyone
	RawPath      bool
	EncodedSlash string
	Priority     coldstart.Priority
}

// Match finds the route for a host, in lower case, and a normalized path; nil
// if there is none. It does not allocate.
func (t *Table) Match(host, path []byte) *Route { return t.routes.match(host, path) }
