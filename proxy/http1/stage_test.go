package http1_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// A stage is a platform and a provider whose one function the test raises by
// hand.
type stage struct {
	mu     sync.Mutex
	report func([]discovery.Endpoint)
	ups    atomic.Int64
	downs  atomic.Int64
	err    error
}

func (s *stage) String() string { return "stage" }

func (s *stage) ScaleUp(ctx context.Context, _ config.Function, _ int) error {
	if !coldstart.Repeated(ctx) {
		s.ups.Add(1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *stage) ScaleDown(context.Context, config.Function, int) error {
	s.downs.Add(1)
	s.set()
	return nil
}

func (s *stage) Replicas(context.Context, config.Function) (int, error) { return 0, nil }

func (s *stage) set(endpoints ...discovery.Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report(endpoints)
}

func (s *stage) Watch(ctx context.Context, fn *config.Function, report func([]discovery.Endpoint)) error {
	s.mu.Lock()
	if fn.Name == "f" {
		s.report = report
	}
	report(nil) // before what the test sets
	s.mu.Unlock()
	<-ctx.Done()
	return nil
}

// cold starts a gateway whose function is at zero.
func cold(t *testing.T, settings string) (*gateway, *stage) {
	t.Helper()
	return coldWith(t, settings, nothing)
}

func coldWith(t *testing.T, settings string, prepare func(*config.Listener)) (*gateway, *stage) {
	t.Helper()
	s := &stage{}
	return s.start(t, settings, listener(prepare)), s
}

// start runs a gateway whose one function comes from here.
func (s *stage) start(t *testing.T, settings string, p parts) *gateway {
	t.Helper()
	doc := "functions: { f: { cold_start: { scaler: process" + settings + " }, process: { command: [none] } } }\nroutes: [{ path_prefix: /, function: f }]\n"
	p.provider, p.scalers = s, map[string]coldstart.Scaler{"process": s}
	return start(t, doc, p)
}

// raise puts an instance there, as soon as somebody watches.
func (s *stage) raise(t *testing.T, slots int, h http.HandlerFunc) {
	t.Helper()
	eventually(t, "somebody watches", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.report != nil
	})
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	s.set(discovery.Endpoint{ID: "i", Addr: server.Listener.Addr().String(), Weight: 1, Slots: slots})
}

// held waits until n calls stand in line.
func (g *gateway) held(n int) {
	g.t.Helper()
	for began := time.Now(); g.keeper.Table().Functions["f"].Hold.Len() != n; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			g.t.Fatalf("%d calls are held, want %d", g.keeper.Table().Functions["f"].Hold.Len(), n)
		}
	}
}

// learned starts a function once, so that it is known to take a while, and
// puts it back.
func (g *gateway) learned(t *testing.T, s *stage, boot time.Duration) {
	t.Helper()
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	g.held(1)
	time.Sleep(boot)
	s.raise(t, 0, echo)
	c.want("GET", 200)
	s.set() // it has gone by itself
	g.inState("cold")
}

func (g *gateway) inState(want string) {
	g.t.Helper()
	start := g.keeper.Table().Functions["f"].Start
	for began := time.Now(); start.Status().State != want; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			g.t.Fatalf("the function is %s, want %s", start.Status().State, want)
		}
	}
}

// problem reads an answer that must be a fault's.
func (c *client) problem(status int) (r *http.Response, p map[string]any) {
	c.t.Helper()
	r, body, err := c.answer("GET")
	if err != nil {
		c.t.Fatal(err)
	}
	if r.StatusCode != status {
		c.t.Fatalf("status %d, want %d: %s", r.StatusCode, status, body)
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		c.t.Fatalf("%v: %s", err, body)
	}
	return r, p
}
