package http1_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// When every region is cold the calls are held, however many regions there are, one
// start is made, here, and all are served in the order in which they came.
func TestAllRegionsAreCold(t *testing.T) {
	t.Parallel()
	const (
		weights = "regions: { a: { weight: 80 }, b: { weight: 20 }, standby: { priority: 1 } }\n"
		nearest = "regions: { a: { location: [39.04, -77.49] }, b: { location: [53.35, -6.26] } }\n" +
			"geography: { places: [{ cidr: 127.0.0.0/8, location: [48.86, 2.35] }] }\n"
	)
	f := func(name, home, regions, settings, raised string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stage{}
			g := start(t, "region: "+home+"\n"+regions+
				"functions: { f: { "+settings+"cold_start: { scaler: process }, process: { command: [none] } } }\nroutes: [{ path_prefix: /, function: f }]\n",
				parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}})
			const n = 100
			var clients []*client
			for i := range n {
				c := g.dial()
				fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i)
				clients = append(clients, c)
				g.held(i + 1)
			}
			g.inState("starting")
			if n := s.ups.Load(); n != 1 {
				t.Errorf("%d starts while they wait", n)
			}

			var mu sync.Mutex
			var order []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				order = append(order, r.URL.Path)
				mu.Unlock()
				_, _ = io.WriteString(w, r.URL.Path)
			}))
			t.Cleanup(server.Close)
			s.set(discovery.Endpoint{ID: "i", Addr: server.Listener.Addr().String(), Region: raised, Weight: 1, Slots: 1})
			for i, c := range clients {
				if got, want := c.want("GET", 200), fmt.Sprintf("/%d", i); got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}
			for i, path := range order {
				if path != fmt.Sprintf("/%d", i) {
					t.Fatalf("served in the order %v", order)
				}
			}
			if n := s.ups.Load(); n != 1 {
				t.Errorf("%d starts for %d calls", n, len(clients))
			}
			for _, r := range split(g).Regions {
				if share := map[bool]float64{true: 1}[r.Name == raised]; r.Share != share {
					t.Errorf("%s has %v of the calls, want %v", r.Name, r.Share, share)
				}
			}
		})
	}
	f("here is most of the weight", "a", weights, "", "a")
	f("here is the least", "b", weights, "", "b")
	f("here is a standby", "standby", weights, "", "standby")
	f("here is the nearest", "b", nearest, "load_balancing: { regions: nearest }, ", "b")
	f("here is not the nearest", "a", nearest, "load_balancing: { regions: nearest }, ", "a")
	f("it comes up elsewhere", "a", weights, "", "b") // another weir was asked too: whoever is there first
}

// Where nobody may be called nobody is started: the calls are told so, and not held.
func TestColdRegionIsDrained(t *testing.T) {
	t.Parallel()
	for _, region := range []config.Region{{Weight: 1, Drain: true}, {Weight: 1, Disabled: true}} { // as an override says it
		s := &stage{}
		g := start(t, "region: a\nregions: { a: {}, b: {} }\n"+
			"functions: { f: { cold_start: { scaler: process }, process: { command: [none] } } }\nroutes: [{ path_prefix: /, function: f }]\n",
			parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}, prepare: func(cfg *config.Config) { cfg.Regions["a"] = region }})
		c := g.dial()
		for range 3 {
			c.send(get)
			if _, p := c.problem(503); p["cause"] != "DRN" {
				t.Errorf("%+v: %v", region, p)
			}
		}
		if n := s.ups.Load(); n != 0 {
			t.Errorf("%+v: %d starts", region, n)
		}
	}
}
