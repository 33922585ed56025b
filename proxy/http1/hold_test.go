package http1_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/discovery"
)

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
	t.Parallel()
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
	g.inState("starting")
	s.set(newRefuser(t).endpoint()) // it says that it is ready, and is not
	eventually(t, "the platform is asked again", func() bool { return s.ups.Load() == 2 })
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
	if r, p := c.problem(503); p["type"] != "urn:weir:problem:shutting_down" || r.Header.Get("Retry-After") != "1" {
		t.Errorf("%v, to be tried again after %q", p, r.Header.Get("Retry-After")) // C41: another router may have it at once
	}
	if rest, err := io.ReadAll(c.br); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}
