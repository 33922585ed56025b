package table

import (
	"context"
	"sort"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/shaping"
)

// A Set is the endpoints of one function at one moment. Frozen.
type Set struct {
	Version   uint64
	Endpoints []*Endpoint // with a weight over 0

	sums []int // sums[i] is the weight of Endpoints[:i+1]; nil if all weigh the same
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

// weigh fills in what Draw needs.
func (s *Set) weigh() {
	sum, even := 0, true
	sums := make([]int, len(s.Endpoints))
	for i, ep := range s.Endpoints {
		sum += ep.Weight
		sums[i] = sum
		even = even && ep.Weight == s.Endpoints[0].Weight
	}
	if !even {
		s.sums = sums
	}
}

// An Endpoint is one address that serves one function.
type Endpoint struct {
	discovery.Endpoint // as reported: frozen
	*Link              // life: carried from set to set
}

// A Link is weir's side of an endpoint: what is in flight, how it has fared,
// and the connections to it.
type Link struct {
	Slots   shaping.Slots
	Outlier shaping.Outlier
	Conns   Transport
}

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
	// Configure sets what its connections obey from now on. Those that were made
	// under another TLS carry no further call.
	Configure(s Settings)
	// CloseIdle closes the connections that no call is on, and those in use
	// when their call ends.
	CloseIdle()
}

// Settings are what the connections to one endpoint obey.
type Settings struct {
	Timeouts config.Timeouts
	Upstream config.Upstream
	TLS      *config.UpstreamTLS // nil: none
	Host     string              // with TLS, whose certificate the endpoint has to have
	Account  *Account            // where what happens to them is noted
}

// settingsOf are those of a function's endpoint.
func settingsOf(fn *Function, ep discovery.Endpoint) Settings {
	s := Settings{Timeouts: fn.Timeouts, Upstream: fn.Upstream, Account: &fn.Account}
	if ep.TLS {
		s.TLS, s.Host = fn.TLS, ep.Host
	}
	if s.TLS != nil && s.TLS.ServerName != "" {
		s.Host = s.TLS.ServerName
	}
	return s
}

// NewTransport makes the Transport to an address.
type NewTransport func(addr string) Transport

// Free tells how many more calls the endpoints can take now; -1 is without
// limit.
func (s *Set) Free() int {
	sum := 0
	for _, ep := range s.Endpoints {
		n := ep.Link.Slots.Free()
		if n < 0 {
			return -1
		}
		sum += n
	}
	return sum
}
