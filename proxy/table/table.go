package table

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/shaping"
	"github.com/weir-gateway/weir/shaping/geo"
)

// A Table is what the operator wants: which calls go to which function, under
// which policy. Nobody changes it after Build returned it.
type Table struct {
	Version   uint64
	Config    *config.Config
	Functions map[string]*Function
	Refused   []Refusal // what was asked for and could not be had, and why
	Unrouted  *Function // has the calls that no route is for
	Places    *geo.Map  // of clients
	// PlaceHeader is the field in which trusted proxies say where a client is; without
	// a name there is none.
	PlaceHeader message.Key
	// TenantHeader is the field in which trusted proxies say whose a call is; without a
	// name there is none.
	TenantHeader message.Key
	// TenantWeights are those that are not 1.
	TenantWeights map[shaping.Key]int

	routes   router
	unrouted []Refusal // of routes
}

// ErrMoved is for who waits for a function that has begun anew, in a newer table: it
// is to wait there.
var ErrMoved = errors.New("the function has begun anew")

// A Refusal is an entry of the configuration that the table does without.
type Refusal struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
}

// A Function is a name that calls are routed to, with no, one or many
// endpoints behind it.
type Function struct {
	config.Function // policy: frozen with the table; without what is said of regions
	// OwnDeadline is set if clients say their deadline in a field that weir has
	// to look for by name.
	OwnDeadline bool
	// Retry is when a try may be followed by another; nil: without rules of the
	// operator's.
	Retry *shaping.Retries
	// Places are the rights to have a call in flight on the function; nil: without
	// limit.
	Places *shaping.Slots
	// Adaptive says how many Places there are; nil: the operator does.
	Adaptive *shaping.Adaptive
	// HedgeAfter is how long a try takes until it is hedged; 0: as long as the share
	// HedgeShare of all, from 0 to 1, is faster than.
	HedgeAfter time.Duration
	HedgeShare float64
	// StickyCookie is the name of the cookie that brings clients back; nil: there
	// is none.
	StickyCookie []byte

	// Direct is the route of calls that another router hands over; nil: it hands none.
	Direct *Route

	hashBy hashBy

	// Sameness says which calls ask for the same; nil: each goes by itself.
	Sameness *Sameness

	*State // life: carried from table to table
}

// State is the part of a function that lives on when its policy changes.
type State struct {
	Gate  shaping.Gate          // who is inside
	Hold  *coldstart.Hold       // who waits, and in what order
	Start *coldstart.Activation // nil if nothing can raise the function
	Meter Meter                 // what telemetry counts for the function

	Account    Account // of the connections to the function's endpoints
	Limiter    shaping.Limiter
	Crowd      shaping.Crowd // of each tenant, while there is a limit to that
	Resilience               // what is remembered of failures

	Mirrors Mirrors // copies of calls that it has
	Flights Flights // calls that others wait for

	holders  atomic.Pointer[[]*Endpoint]
	handed   shaping.Slots     // of calls that another router has
	places   shaping.Slots     // of calls in flight
	adaptive *shaping.Adaptive // made when it is first asked for; the Keeper's
	turn     atomic.Uint64     // of the endpoints, where they have calls one after the other
	seen     atomic.Bool       // it had an endpoint once
	leaving  atomic.Pointer[map[string]int]
	spilled  atomic.Int64 // when the Activator was last told that calls go elsewhere,
	spiltIn  atomic.Int64 // and since when it had been in the state that it was in
	set      atomic.Pointer[Set]
	shake    func() // tells the Keeper; nil in tests
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

// Shaken says that an endpoint fares otherwise than before: the shares of regions and
// zones follow from that, and whether it starts slowly. It does not block; without any
// of them it costs a nil check.
func (s *State) Shaken() {
	if set := s.Set(); (set.Split != nil || set.faring) && s.shake != nil {
		s.shake()
	}
}

// Leaving is how many endpoints of each region have left while calls are still on them,
// as it was within the last second. Not to be changed.
func (s *State) Leaving() map[string]int {
	if leaving := s.leaving.Load(); leaving != nil {
		return *leaving
	}
	return nil
}

// Seen tells whether the function ever had an endpoint.
func (s *State) Seen() bool { return s.seen.Load() }

// InUse is for the Activator: how many calls are inside, those aside that are
// another region's, and when the last one left.
func (s *State) InUse() (int, time.Time) {
	calls, last := s.Gate.Inside()
	return max(calls-s.Set().elsewhere(), 0), last
}

// Withdraw is for the Activator: no further call gets onto any endpoint, if
// none is on one now.
func (s *State) Withdraw() bool {
	links := s.Set().links()
	for i, link := range links {
		if !link.Slots.Close() {
			for _, closed := range links[:i] {
				closed.Slots.Open()
			}
			s.wake()
			return false
		}
	}
	return true
}

// links are those of all endpoints that the Activator may have raised, and calls may
// be on.
func (s *Set) links() []*Link {
	links := slices.Clone(s.Refusing)
	for _, ep := range s.raised() {
		links = append(links, ep.Link)
	}
	return links
}

// Refusing is for the Activator: how many endpoints are there and refuse all
// connections.
func (s *State) Refusing() int { return len(s.Set().Refusing) }

// Place is for the Activator: where the first endpoint is.
func (s *State) Place() (p coldstart.Place) {
	if endpoints := s.Set().raised(); len(endpoints) > 0 {
		p = coldstart.Place{Region: endpoints[0].Region, Zone: endpoints[0].Zone, Rack: endpoints[0].Rack, Node: endpoints[0].Node}
	}
	return p
}

// Addresses is for the Activator: where the endpoints are.
func (s *State) Addresses() (addrs []string) {
	for _, ep := range s.Set().raised() {
		addrs = append(addrs, ep.Addr)
	}
	return addrs
}

// Restore is for the Activator: it takes Withdraw back.
func (s *State) Restore() {
	for _, link := range s.Set().links() {
		link.Slots.Open()
	}
	s.wake()
}

// wake lets as many calls look as can go.
func (s *State) wake() {
	if s.Hold.Empty() {
		return
	}
	n := s.Set().Free()
	if places := s.places.Free(); n < 0 || places >= 0 && places < n {
		n = places
	}
	if n < 0 {
		n = s.Hold.Len()
	}
	s.Hold.Wake(n)
}

// Match finds the route for a request under a normalized path, its own or
// another one. If there is none, allowed are the methods that there is one for.
// It does not allocate, the request's scratch aside.
func (t *Table) Match(r *message.Request, path []byte) (to *Route, allowed Methods) {
	s := search{request: r, path: path}
	if to = t.routes.match(&s); to != nil {
		return to, 0
	}
	return nil, s.allowed
}

// AppendMethods writes a set of methods as the field Allow has it.
func (t *Table) AppendMethods(b []byte, set Methods) []byte { return t.routes.appendMethods(b, set) }
