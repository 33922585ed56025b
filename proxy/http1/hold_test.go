package http1_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
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

func (s *stage) ScaleUp(context.Context, config.Function, int) error {
	s.ups.Add(1)
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

func (s *stage) Watch(ctx context.Context, _ config.Function, report func([]discovery.Endpoint)) error {
	s.mu.Lock()
	s.report = report
	s.mu.Unlock()
	report(nil)
	<-ctx.Done()
	return nil
}

// cold starts a gateway whose function is at zero.
func cold(t *testing.T, settings string) (*gateway, *stage) {
	t.Helper()
	s := &stage{}
	doc := "functions: { f: { cold_start: { scaler: process" + settings + " }, process: { command: [none] } } }\nroutes: [{ path_prefix: /, function: f }]\n"
	return start(t, doc, parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}}), s
}

// raise puts an instance there.
func (s *stage) raise(t *testing.T, slots int, h http.HandlerFunc) {
	t.Helper()
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

func TestHeldUntilItListens(t *testing.T) {
	g, s := cold(t, "")
	var clients []*client
	for i := range 50 {
		c := g.dial()
		fmt.Fprintf(c, "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", i)
		clients = append(clients, c)
	}
	g.held(50)
	s.raise(t, 0, echo)
	for i, c := range clients {
		if got, want := c.want("POST", 200), fmt.Sprintf(`POST /%d "hi"`, i); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if n := s.ups.Load(); n != 1 {
		t.Errorf("%d starts for 50 calls", n)
	}
	if r := g.record(1); r.held == 0 || r.status != 200 {
		t.Errorf("recorded %+v", r)
	}
}

func TestClientThatLeavesIsNeverDispatched(t *testing.T) {
	g, s := cold(t, "")
	stays, leaves, ahead := g.dial(), g.dial(), g.dial()
	leaves.send("GET /leaves HTTP/1.1\r\nHost: h\r\n\r\n")
	g.held(1)
	ahead.send("GET /ahead HTTP/1.1\r\nHost: h\r\n\r\nGET /more HTTP/1.1\r\nHost: h\r\n\r\n") // bytes stand before its end
	stays.send("GET /stays HTTP/1.1\r\nHost: h\r\n\r\n")
	g.held(3)
	_ = leaves.Close()
	_ = ahead.Close()
	g.held(1)
	for n := 1; n <= 2; n++ {
		if r := g.record(n); r.status != 499 || r.cause != "DC" || r.tries != 0 {
			t.Errorf("recorded %+v", r)
		}
	}
	var asked []string
	s.raise(t, 0, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		echo(w, r)
	})
	stays.want("GET", 200)
	if len(asked) != 1 || asked[0] != "/stays" {
		t.Errorf("the instance was asked for %v", asked)
	}
}

func TestAnswersOfTheLine(t *testing.T) {
	f := func(name, settings, request string, prepare func(g *gateway, s *stage), status int, cause string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			g, s := cold(t, settings)
			if prepare != nil {
				prepare(g, s)
			}
			c := g.dial()
			c.send(request)
			r, body, err := c.answer("GET")
			if err != nil {
				t.Fatal(err)
			}
			var problem struct{ Cause, Function string }
			if err := json.Unmarshal([]byte(body), &problem); err != nil {
				t.Fatalf("%v: %q", err, body)
			}
			if r.StatusCode != status || problem.Cause != cause || problem.Function != "f" {
				t.Errorf("%d %s", r.StatusCode, body)
			}
			if (status == 503) != (r.Header.Get("Retry-After") != "") {
				t.Errorf("Retry-After %q with a %d", r.Header.Get("Retry-After"), status)
			}
		})
	}
	get := "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	f("held too long", ", max_wait: 50ms", get, nil, 503, "CST")
	f("line full", ", max_pending: 1", get, func(g *gateway, _ *stage) {
		g.dial().send(get)
		g.held(1)
	}, 503, "CSQ")
	f("refused by the platform", "", get, func(_ *gateway, s *stage) { s.err = errors.New("quota") }, 503, "CSF")
	f("too slow to start", ", start_timeout: 50ms", get, nil, 503, "CSF")
	f("the door is closed", "", get, func(g *gateway, s *stage) {
		s.err = errors.New("quota")
		c := g.dial()
		c.send(get)
		c.want("GET", 503)
	}, 503, "CSF")
}

func TestDeadlineInLine(t *testing.T) {
	s := &stage{}
	g := start(t, "functions: { f: { timeouts: { request: 50ms }, cold_start: { scaler: process }, process: { command: [none] } } }\nroutes: [{ path_prefix: /, function: f }]\n",
		parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	c.want("GET", 504)
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n") // the connection goes on
	c.want("GET", 504)
}

func TestOneSlotServesInOrder(t *testing.T) {
	g, s := cold(t, ", concurrency: 1")
	const n = 30
	var clients []*client
	for i := range n {
		c := g.dial()
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i)
		clients = append(clients, c)
		g.held(i + 1)
	}
	var mu sync.Mutex
	var order []string
	inside := 0
	s.raise(t, 1, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if inside++; inside > 1 {
			t.Error("two at once")
		}
		order = append(order, r.URL.Path)
		inside--
	})
	for _, c := range clients {
		c.want("GET", 200)
	}
	for i, path := range order {
		if path != fmt.Sprintf("/%d", i) {
			t.Fatalf("served in the order %v", order)
		}
	}
}

func TestBodyAndContinueWaitForTheInstance(t *testing.T) {
	g, s := cold(t, "")
	c := g.dial()
	c.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	g.held(1)
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if b, err := c.br.Peek(1); err == nil {
		t.Fatalf("something came while nobody was there: %q", b)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	s.raise(t, 0, echo)
	c.want("PUT", 100)
	c.send("hello")
	if got := c.want("PUT", 200); got != `PUT / "hello"` {
		t.Errorf("%q", got)
	}
}

func TestInstanceThatRefusesLosesNothing(t *testing.T) {
	g, s := cold(t, "")
	c := g.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
	g.held(1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close() // it says that it is ready, and is not
	s.set(discovery.Endpoint{ID: "liar", Addr: addr, Weight: 1})
	for g.keeper.Table().Functions["f"].Start.Status().State != "warm" {
		time.Sleep(time.Millisecond)
	}
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	s.set(discovery.Endpoint{ID: "i", Addr: server.Listener.Addr().String(), Weight: 1})
	if got := c.want("POST", 200); got != `POST / "hi"` {
		t.Errorf("%q", got)
	}
}

func TestShutDownAnswersTheLine(t *testing.T) {
	g, _ := cold(t, "")
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	g.held(1)
	g.proxy.ShutDown()
	if body := c.want("GET", 503); !strings.Contains(body, "shutting_down") {
		t.Errorf("%s", body)
	}
	if rest, err := io.ReadAll(c.br); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}
