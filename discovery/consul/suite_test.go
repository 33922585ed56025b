package consul

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/discovery/providertest"
	"github.com/weir-gateway/weir/internal/testkit"
)

// A gate stands before an agent: it counts what is asked, and can be closed.
type gate struct {
	address string
	asked   atomic.Int64 // requests
	handler http.Handler
	server  *http.Server
	done    sync.WaitGroup
}

func stand(t testing.TB, agent *testkit.Consul) *gate {
	t.Helper()
	wire := &http.Transport{MaxIdleConnsPerHost: 2000}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: agent.Address})
	proxy.Transport, proxy.ErrorLog = wire, slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	g := &gate{address: "127.0.0.1:0"}
	g.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.asked.Add(1)
		defer func() { _ = recover() }() // the proxy's way to hang up on who has left
		proxy.ServeHTTP(w, r)
	})
	g.open(t)
	t.Cleanup(func() {
		g.close()
		wire.CloseIdleConnections()
	})
	return g
}

func (g *gate) open(t testing.TB) {
	t.Helper()
	ln, err := net.Listen("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	g.address, g.server = ln.Addr().String(), &http.Server{Handler: g.handler}
	server := g.server
	g.done.Go(func() { _ = server.Serve(ln) })
}

func (g *gate) close() {
	_ = g.server.Close()
	g.done.Wait()
}

// A shelf puts what the suite says into the agent.
type shelf struct {
	agent *testkit.Consul
	ids   map[string]map[string]bool // by service
}

func (s shelf) put(service string, endpoints []discovery.Endpoint) {
	now := map[string]bool{}
	for _, ep := range endpoints {
		host, port, _ := net.SplitHostPort(ep.Addr)
		n, _ := strconv.Atoi(port)
		id := service + "-" + host
		now[id] = true
		s.agent.Register(testkit.ConsulService{
			ID: id, Name: service, Address: host, Port: n,
			Meta:    map[string]string{"region": ep.Region, "zone": ep.Zone, "slots": strconv.Itoa(ep.Slots)},
			Weights: &testkit.ConsulWeights{Passing: max(ep.Weight, 1), Warning: 1},
		})
	}
	for id := range s.ids[service] {
		if !now[id] {
			s.agent.Deregister(id)
		}
	}
	s.ids[service] = now
}

func TestConsulAsAProvider(t *testing.T) {
	providertest.Run(t, providertest.Subject{
		Piecewise: true, Most: 200,
		Open: func(t testing.TB, log *slog.Logger) providertest.Source {
			agent := testkit.StartConsul(t, "dc1", "")
			g := stand(t, agent)
			cfg := settings(g.address)
			cfg.EmptyAfter = time.Second
			r, err := New(cfg, "us-east", log)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(r.Close)
			s := shelf{agent, map[string]map[string]bool{}}
			return providertest.Source{
				Provider: r.Providers()[0],
				Function: func(name string) config.Function { return config.Function{Name: name, Service: name} },
				Put:      s.put,
				Says: func(ep discovery.Endpoint) discovery.Endpoint {
					ep.Weight, ep.Node = max(ep.Weight, 1), "node-dc1" // Consul has no weight of 0
					return ep
				},
				PutBad: func(service string, endpoints []discovery.Endpoint) {
					agent.Register(testkit.ConsulService{ID: "bad", Name: service, Address: "a.name.internal", Port: 1})
					s.put(service, endpoints)
				},
				Away: func() func() {
					g.close()
					return func() { g.open(t) }
				},
			}
		},
	})
}

// A change costs one query, whatever else is watched.
func TestOneQueryPerChange(t *testing.T) {
	t.Parallel()
	const others, changes = 50, 10
	agent := testkit.StartConsul(t, "dc1", "")
	g := stand(t, agent)
	p := open(t, settings(g.address)).Providers()[0]
	for i := range others {
		name := fmt.Sprintf("s%d", i)
		listen(t, p, config.Function{Name: name, Service: name}).wants("")
	}
	agent.Register(service("a", 1, passing("a")))
	agent.Register(service("b", 2, passing("b")))
	f := listen(t, p, config.Function{Name: "f", Service: "f"})
	f.wants("1 2")
	settle(g)
	before := g.asked.Load()
	for range changes / 2 {
		agent.Check("b", "critical")
		f.wants("1")
		settle(g)
		agent.Check("b", "passing")
		f.wants("1 2")
		settle(g)
	}
	// A check's words may reach the catalog apart from its status: that is a
	// change more.
	if n := g.asked.Load() - before; n < changes || n > 2*changes {
		t.Errorf("%d queries for %d changes of one service of %d", n, changes, others+1)
	}
}

// settle waits until every query waits at the agent again.
func settle(g *gate) {
	for last := int64(-1); last != g.asked.Load(); time.Sleep(3 * spacing) {
		last = g.asked.Load()
	}
}
