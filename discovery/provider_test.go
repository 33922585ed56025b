package discovery_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/discovery/providertest"
)

// names is a resolver: its addresses are known by function.
type names struct {
	mu    sync.Mutex
	away  bool
	known map[string][]string
}

func (n *names) lookup(_ context.Context, host string) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.away {
		return nil, errors.New("no resolver")
	}
	return append([]string{}, n.known[strings.TrimSuffix(host, ".internal")]...), nil
}

func (n *names) put(function string, endpoints []discovery.Endpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known[function] = []string{}
	for _, ep := range endpoints {
		host, _, _ := net.SplitHostPort(ep.Addr)
		n.known[function] = append(n.known[function], host)
	}
}

func (n *names) setAway(away bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = away
}

func TestStaticAsAProvider(t *testing.T) {
	providertest.Run(t, providertest.Subject{
		Bubble: true, Patience: 5 * time.Minute, Silence: 2 * time.Minute,
		Open: func(_ testing.TB, log *slog.Logger) providertest.Source {
			n := &names{known: map[string][]string{}}
			return providertest.Source{
				Provider: discovery.NewStaticWith(log, n.lookup),
				Function: func(name string) config.Function {
					return config.Function{Name: name, Endpoints: []config.Endpoint{{Address: name + ".internal:8080", Weight: 3}}}
				},
				Put:  n.put,
				Says: func(ep discovery.Endpoint) discovery.Endpoint { return discovery.Endpoint{Addr: ep.Addr, Weight: 3} },
				PutTwice: func(function string, endpoints []discovery.Endpoint) {
					n.put(function, append(endpoints, endpoints[0]))
				},
				Away: func() func() { n.setAway(true); return func() { n.setAway(false) } },
			}
		},
	})
}

// A shown is a Board as a provider, for the functions named f.
type shown struct{ *discovery.Board }

func (shown) String() string { return "board" }

func (s shown) Watch(ctx context.Context, fn *config.Function, report func([]discovery.Endpoint)) error {
	if !strings.HasPrefix(fn.Name, "f") {
		s.Show(fn.Name, the(nil))
	}
	s.Board.Watch(ctx, fn.Name, report)
	return nil
}

func (s shown) put(function string, endpoints []discovery.Endpoint) {
	set := make([]discovery.Endpoint, len(endpoints))
	for i, ep := range endpoints {
		ep.ID = ep.Addr
		set[i] = ep
	}
	s.Show(function, the(set))
}

func named(name string) config.Function { return config.Function{Name: name} }

func TestBoardAsAProvider(t *testing.T) {
	providertest.Run(t, providertest.Subject{
		Bubble: true,
		Open: func(testing.TB, *slog.Logger) providertest.Source {
			b := shown{discovery.NewBoard()}
			return providertest.Source{Provider: b, Function: named, Put: b.put}
		},
	})
}

func TestMergeAsAProvider(t *testing.T) {
	providertest.Run(t, providertest.Subject{
		Bubble: true,
		Open: func(_ testing.TB, log *slog.Logger) providertest.Source {
			b := shown{discovery.NewBoard()}
			return providertest.Source{
				Provider: discovery.Merge(discovery.NewStatic(log), b), Function: named, Put: b.put,
			}
		},
	})
}

func TestGuardAsAProvider(t *testing.T) {
	providertest.Run(t, providertest.Subject{
		Bubble: true,
		Open: func(testing.TB, *slog.Logger) providertest.Source {
			b := shown{discovery.NewBoard()}
			return providertest.Source{Provider: discovery.Guard(b, time.Second), Function: named, Put: b.put}
		},
	})
}

func TestMergeOfHalvesAsAProvider(t *testing.T) {
	providertest.Run(t, providertest.Subject{
		Bubble: true, Piecewise: true,
		Open: func(testing.TB, *slog.Logger) providertest.Source {
			a, b := shown{discovery.NewBoard()}, shown{discovery.NewBoard()}
			return providertest.Source{
				Provider: discovery.Merge(a, b), Function: named,
				Put: func(function string, endpoints []discovery.Endpoint) {
					odd := func(ep discovery.Endpoint) bool { return len(ep.Addr)%2 == 1 }
					even := func(ep discovery.Endpoint) bool { return !odd(ep) }
					a.put(function, slices.DeleteFunc(slices.Clone(endpoints), odd))
					b.put(function, slices.DeleteFunc(slices.Clone(endpoints), even))
				},
			}
		},
	})
}

func the(set []discovery.Endpoint) func() []discovery.Endpoint {
	return func() []discovery.Endpoint { return set }
}
