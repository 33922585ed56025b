package discovery

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-gateway/weir/config"
)

// resolveEvery is how often the names among static endpoints are looked up
// again. The resolver does not tell how long an answer holds.
const resolveEvery = 30 * time.Second

// Static reports the endpoints that stand in the configuration. Names are
// resolved here, beforehand and again and again: nothing on the request path
// may look something up. A name with several addresses is several endpoints.
type Static struct {
	log    *slog.Logger
	lookup func(ctx context.Context, host string) ([]string, error)

	mu    sync.Mutex          // guards known
	known map[string][]string // the last addresses of each name, over all watches
}

// NewStatic makes a Static that resolves names as the system does.
func NewStatic(log *slog.Logger) *Static {
	return &Static{log: log, lookup: net.DefaultResolver.LookupHost, known: map[string][]string{}}
}

// String names the provider.
func (s *Static) String() string { return "static" }

// Fixed returns fn's endpoints, if none of them has a name that has to be resolved.
func (s *Static) Fixed(fn *config.Function) (set []Endpoint, ok bool) {
	set = make([]Endpoint, len(fn.Endpoints))
	for i, ep := range fn.Endpoints {
		if set[i], ok = Literal(ep); !ok {
			return nil, false
		}
	}
	return set, true
}

// Watch reports fn's endpoints. A watch that takes over from another begins
// with the addresses that are known: a resolver that is slow or away takes no
// endpoint.
func (s *Static) Watch(ctx context.Context, fn *config.Function, report func([]Endpoint)) error {
	last, unknown := s.endpoints(fn)
	if !unknown {
		report(slices.Clone(last))
	}
	if !s.resolve(ctx, fn) {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(resolveEvery)
	defer tick.Stop()
	for {
		// A name that was never resolved costs its own endpoints, unless there
		// are no others: then nothing is known, which is not an empty set.
		next, still := s.endpoints(fn)
		if silent := still && len(next) == 0; !silent && (unknown || !slices.Equal(next, last)) {
			last, unknown = next, false
			report(slices.Clone(last))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.resolve(ctx, fn)
		}
	}
}

// endpoints are fn's, as far as their names are known; unknown tells that one
// never was resolved.
func (s *Static) endpoints(fn *config.Function) (endpoints []Endpoint, unknown bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ep := range fn.Endpoints {
		host, port, _ := nameOf(ep)
		if literal, ok := Literal(ep); ok {
			endpoints = append(endpoints, literal)
			continue
		}
		unknown = unknown || s.known[host] == nil
		for _, addr := range s.known[host] {
			endpoints = append(endpoints, endpoint(ep, ep.Address+"|"+addr, net.JoinHostPort(addr, port)))
		}
	}
	return endpoints, unknown
}

// resolve looks fn's names up and tells whether it has any. One that cannot be
// resolved now keeps the addresses it had.
func (s *Static) resolve(ctx context.Context, fn *config.Function) (any bool) {
	ctx, cancel := context.WithTimeout(ctx, resolveEvery/2)
	defer cancel()
	for _, ep := range fn.Endpoints {
		host, _, named := nameOf(ep)
		if !named {
			continue
		}
		any = true
		addrs, err := s.lookup(ctx, host)
		if err != nil {
			s.log.Warn("cannot resolve", "function", fn.Name, "address", ep.Address, "error", err.Error())
			continue
		}
		slices.Sort(addrs)
		s.mu.Lock()
		s.known[host] = slices.Compact(addrs)
		s.mu.Unlock()
	}
	return any
}

// nameOf takes an address apart whose host is a name and no literal.
func nameOf(ep config.Endpoint) (host, port string, named bool) {
	if strings.HasPrefix(ep.Address, "unix:") {
		return "", "", false
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(ep.Address, config.HTTPS))
	if err != nil {
		return "", "", false
	}
	_, err = netip.ParseAddr(host)
	return host, port, err != nil
}

// Literal makes an endpoint of one of the configuration's kind whose host is no
// name; ok is false if it is one. Its ID is its address.
func Literal(ep config.Endpoint) (out Endpoint, ok bool) {
	if _, _, named := nameOf(ep); named {
		return Endpoint{}, false
	}
	return endpoint(ep, ep.Address, strings.TrimPrefix(ep.Address, config.HTTPS)), true
}

func endpoint(ep config.Endpoint, id, addr string) Endpoint {
	out := Endpoint{ID: id, Addr: addr, Region: ep.Region, Zone: ep.Zone, Weight: ep.Weight, Slots: ep.Slots}
	if to, ok := strings.CutPrefix(ep.Address, config.HTTPS); ok {
		out.TLS = true
		out.Host, _, _ = net.SplitHostPort(to)
	}
	return out
}
