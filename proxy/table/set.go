package table

import (
	"context"
	"sort"
	"sync/atomic"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/shaping"
)

// A Set is the endpoints of one function at one moment. Frozen.
type Set struct {
	Version   uint64
	Endpoints []*Endpoint // with a weight over 0
	Refusing  []*Link     // of those that have refused a connection and accepted none since

	Policy Policy
	Split  *Split // between regions; nil: there is one, of which nothing is said
	Zones  *Zones // of the endpoints; nil: none is preferred

	faring bool // what is in it follows from how its endpoints fare

	turn   *atomic.Uint64     // counts the turns, over all sets
	part   float64            // of the function's calls
	turns  []uint32           // the order of a round, for RoundRobin
	ring   *ring              // for ConsistentHash
	marked map[Mark]*Endpoint // by their marks, for functions that set a cookie
	weight int                // of all
	sums   []int              // sums[i] is the weight of Endpoints[:i+1]; nil if all weigh the same
}

// Draw picks one of the endpoints by weight; r is a random number. The set is
// not empty.
func (s *Set) Draw(r uint64) *Endpoint {
	if s.sums == nil {
		return s.Endpoints[r%uint64(len(s.Endpoints))]
	}
	at := int(r % uint64(s.sums[len(s.sums)-1]))
	i := sort.SearchInts(s.sums, at+1)
	return s.Endpoints[i]
}

// Even tells whether all endpoints weigh the same.
func (s *Set) Even() bool { return s.sums == nil }

// DrawTwo picks two of them, of at least two. They are different ones unless one
// has nearly all of the weight: two draws that fall on the same one are no choice,
// and of two endpoints half of all pairs would.
func (s *Set) DrawTwo(r uint64) (*Endpoint, *Endpoint) {
	if s.sums == nil {
		n := uint64(len(s.Endpoints))
		i, j := (r>>32)*n>>32, (r&0xffffffff)*(n-1)>>32
		if j >= i {
			j++
		}
		return s.Endpoints[i], s.Endpoints[j]
	}
	first, second := s.Draw(r), s.Draw(mix(r)) // all of r for each: the sum of the weights may have over 32 bits
	for tries := 0; first == second && tries < 3; tries++ {
		r = mix(r + 1)
		second = s.Draw(r >> 1)
	}
	return first, second
}

// weigh fills in what Draw needs, once.
func (s *Set) weigh() {
	even := true
	sums := make([]int, len(s.Endpoints))
	for i, ep := range s.Endpoints {
		s.weight += ep.Pull()
		sums[i] = s.weight
		even = even && ep.Pull() == s.Endpoints[0].Pull()
	}
	if !even {
		s.sums = sums
	}
}

// A Mark is what a cookie names an endpoint by.
type Mark [16]byte

// An Endpoint is one address that serves one function.
type Endpoint struct {
	*Link                     // life: carried from set to set; in front, as who chooses looks at little else
	Cookie             []byte // with which it names itself, as Set-Cookie has it; nil if it does not
	discovery.Endpoint        // as reported: frozen

	pull   int  // 0: all of its weight
	rising bool // it has its calls by and by
}

// Pull is what it weighs now beside the other endpoints of its Set.
func (e *Endpoint) Pull() int {
	if e.pull != 0 {
		return e.pull
	}
	return e.Weight * steps
}

// A Link is weir's side of an endpoint: what is in flight, how it has fared,
// and the connections to it.
type Link struct {
	Slots   shaping.Slots
	Outlier shaping.Outlier
	Outrun  shaping.Outrun  // noted where calls are hedged
	Latency shaping.Latency // noted where the policy is PeakEWMA
	Conns   Transport

	unhealthy atomic.Bool // it has failed its health checks

	region string // that was reported last; the Keeper's

	doubted atomic.Bool // it refused a connection and has accepted none since
	doubt   func()      // tells the Keeper of it
}

// Well tells whether the endpoint may take any call at the moment now, if it has
// room.
func (l *Link) Well(now moment.Moment) bool {
	return !l.Doubted() && !l.Unhealthy() && !l.Outlier.Ejected(now)
}

// Unhealthy tells whether the endpoint has failed its health checks.
func (l *Link) Unhealthy() bool { return l.unhealthy.Load() }

// The states of an endpoint, as metrics and the admin interface show them.
const (
	Healthy   = "healthy"
	Unhealthy = "unhealthy" // by its health checks
	Ejected   = "ejected"   // set aside after failures
	Draining  = "draining"  // it has left, and calls are still on it
)

// State tells how an endpoint is held to be at the moment now.
func (l *Link) State(now moment.Moment) string {
	switch {
	case l.Unhealthy():
		return Unhealthy
	case l.Outlier.Ejected(now):
		return Ejected
	}
	return Healthy
}

// Doubt says that the endpoint refused a connection, though whoever started it
// believes in it. It takes no call until the Keeper has connected to it. It does
// not block.
func (l *Link) Doubt() {
	if !l.doubted.Swap(true) {
		l.doubt()
	}
}

// Doubted tells whether the endpoint is to take no call for that reason. It
// costs one atomic load.
func (l *Link) Doubted() bool { return l.doubted.Load() }

// A Transport carries one request to one endpoint and brings one response
// back. It tries once; whether to try again is decided in proxy/forward.go and
// nowhere else. Its methods may be called from any goroutine.
type Transport interface {
	// Try sends x's request and returns when the head of the response is in
	// x.Response and its body in x.Up, or with the reason why not.
	Try(x *message.Exchange) error
	// Probe returns when the endpoint accepted one connection, which is kept
	// for the first call.
	Probe(ctx context.Context) error
	// Check asks the endpoint for a path and returns the status of the answer, or
	// only connects if there is none.
	Check(ctx context.Context, path string) (status int, err error)
	// Configure sets what its connections obey from now on. Those that were made
	// under another TLS carry no further call.
	Configure(s *Settings)
	// CloseIdle closes the connections that no call is on, and those in use
	// when their call ends.
	CloseIdle()
}

// Settings are what the connections to an endpoint obey, and mostly those to all of
// the function's. Frozen.
type Settings struct {
	Timeouts config.Timeouts
	Upstream config.Upstream
	TLS      *config.UpstreamTLS // nil: none
	Host     string              // with TLS, whose certificate the endpoint has to have
	Account  *Account            // where what happens to them is noted
}

// settingsOf are those of a function's endpoint: the same as another's, if they say
// the same.
func settingsOf(fn *Function, ep *discovery.Endpoint, other *Settings) *Settings {
	s := Settings{Timeouts: fn.Timeouts, Upstream: fn.Upstream, Account: &fn.Account}
	if ep.TLS {
		s.TLS, s.Host = fn.TLS, ep.Host
	}
	if s.TLS != nil && s.TLS.ServerName != "" {
		s.Host = s.TLS.ServerName
	}
	if other != nil && *other == s {
		return other
	}
	made := s
	return &made
}

// NewTransport makes the Transport to an address.
type NewTransport func(addr string) Transport

// Free tells how many more calls the endpoints can take now; -1 is without
// limit.
func (s *Set) Free() int {
	if s.Split != nil && (s.Split.Void == Drained || s.Split.Void == Unasked || s.Split.Void == Unwell) {
		return -1 // to be told so
	}
	if s.Split != nil && s.Split.Spilling && s.Split.Home.endpoints == 0 {
		return s.Split.room()
	}
	sum := 0
	for _, ep := range s.Callable() {
		n := ep.Link.Slots.Free()
		if n < 0 {
			return -1
		}
		sum += n
	}
	return sum
}
