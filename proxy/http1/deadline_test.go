package http1_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/proxy/table"
)

// Two calls with a short deadline, one when that of the other has passed.
func TestDeadlineOfAnEarlierCall(t *testing.T) {
	t.Parallel()
	g := start(t, strings.Replace(one(says(t, ok)), "endpoints", "timeouts: { request: 200ms }, endpoints", 1), parts{})
	c := g.dial()
	for range 2 {
		c.send(get)
		c.want("GET", 200)
		time.Sleep(300 * time.Millisecond)
	}
}

// The time of a call begins when its head is there.
func TestSlowHeadIsNotTheCallsTime(t *testing.T) {
	t.Parallel()
	g := start(t, strings.Replace(one(says(t, ok)), "endpoints", "timeouts: { request: 200ms }, endpoints", 1), parts{})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHo")
	time.Sleep(300 * time.Millisecond)
	c.send("st: h\r\n\r\n")
	c.want("GET", 200)
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	addr := rawEndpoint(t, func(_ net.Conn, br *bufio.Reader) {
		if _, err := head(br); err == nil {
			_, err = br.ReadByte() // thinks until the connection ends
			ended <- err
		}
	})
	g := start(t, strings.Replace(one(addr), "endpoints", "timeouts: { request: 50ms }, endpoints", 1), parts{})
	c := g.dial()
	c.send(get)
	c.want("GET", 504)
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("the endpoint's connection ended with %v", err)
	}
	if r := g.record(1); r.cause != "UT" {
		t.Errorf("recorded %+v", r)
	}
}

func TestDeadlineInLine(t *testing.T) {
	t.Parallel()
	s := &stage{}
	g := start(t, "functions: { f: { timeouts: { request: 50ms }, cold_start: { scaler: process }, process: { command: [none] } } }\nroutes: [{ path_prefix: /, function: f }]\n",
		parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	c.want("GET", 504)
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n") // the connection goes on
	c.want("GET", 504)
}

func TestCallersDeadline(t *testing.T) {
	t.Parallel()
	f := func(name, field string, status int, cause string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			g, s := cold(t, "")
			g.learned(t, s, 300*time.Millisecond)
			c := g.dial()
			before := s.ups.Load()
			c.send("GET / HTTP/1.1\r\nHost: h\r\n" + field + "\r\n\r\n")
			if status == 200 {
				g.held(1)
				s.raise(t, 0, echo)
				c.want("GET", 200)
				return
			}
			r, p := c.problem(status)
			if p["cause"] != cause || r.Header.Get("Retry-After") == "" {
				t.Errorf("%v %v", p, r.Header)
			}
			if strings.HasSuffix(field, " 0") {
				return // it was late already
			}
			for began := time.Now(); s.ups.Load() == before; time.Sleep(time.Millisecond) {
				if time.Since(began) > 10*time.Second {
					t.Fatal("the start was not triggered")
				}
			}
		})
	}
	f("cannot be met", "X-Request-Timeout-Ms: 100", 504, "DTX")
	f("as Envoy says it", "x-envoy-upstream-rq-timeout-ms: 100", 504, "DTX")
	f("as gRPC says it", "grpc-timeout: 100m", 504, "DTX")
	f("is over", "X-Request-Timeout-Ms: 0", 504, "DTX")
	f("can be met", "X-Request-Timeout-Ms: 9000", 200, "")
	f("cannot be read", "X-Request-Timeout-Ms: soon", 200, "")
}

// A caller has to wait for the start and for its answer.
func TestTimeOfTheAnswerCounts(t *testing.T) {
	t.Parallel()
	g, s := cold(t, "")
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	g.held(1)
	g.inState("starting") // else it is taken for one that was there before
	s.raise(t, 0, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(700 * time.Millisecond)
		echo(w, r)
	})
	c.want("GET", 200)
	start := g.keeper.Table().Functions["f"].Start
	eventually(t, "it is known how long an answer takes", func() bool { return start.Status().Service >= 700*time.Millisecond })
	s.set()
	g.inState("cold")
	if eta := start.Status().ETA; eta > 300*time.Millisecond {
		t.Skipf("the start took %v: the machine stood still", eta)
	}
	c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Timeout-Ms: 600\r\n\r\n")
	if _, p := c.problem(504); p["cause"] != "DTX" {
		t.Errorf("%v", p)
	}
	eventually(t, "the next one may be in time", func() bool { return s.ups.Load() == 2 })
}

func TestCallersDeadlineInLine(t *testing.T) {
	g, _ := cold(t, "") // nothing is known of its starts
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Timeout-Ms: 50\r\n\r\n")
	r, p := c.problem(504)
	if p["cause"] != "UT" || p["reason"] != "hold_deadline" || r.Header.Get("Retry-After") == "" {
		t.Errorf("%v %v", p, r.Header)
	}
}

func TestBudgetIsToldUpstream(t *testing.T) {
	f := func(name, settings, fields string, want func(h http.Header) bool) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			var got http.Header
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() }))
			defer server.Close()
			g := start(t, fmt.Sprintf("functions: { f: { endpoints: ['%s']%s } }\nroutes: [{ path_prefix: /, function: f }]\n",
				server.Listener.Addr(), settings), parts{})
			c := g.dial()
			c.send("GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n")
			c.want("GET", 200)
			if !want(got) {
				t.Errorf("the endpoint saw %v", got)
			}
		})
	}
	millis := func(h http.Header) int {
		n, err := strconv.Atoi(h.Get("X-Request-Timeout-Ms"))
		if err != nil || len(h.Values("X-Request-Timeout-Ms")) != 1 {
			return -1
		}
		return n
	}
	f("the function's", "", "", func(h http.Header) bool { return millis(h) > 10_000 && millis(h) <= 15_000 })
	f("the caller's", "", "x-request-timeout-ms: 5000\r\n", func(h http.Header) bool { return millis(h) > 1000 && millis(h) <= 5000 })
	f("the caller's is longer", ", timeouts: { request: 8s }", "x-request-timeout-ms: 50000\r\n", func(h http.Header) bool { return millis(h) > 1000 && millis(h) <= 8000 })
	f("bounded", ", deadline: { max: 3s }", "x-request-timeout-ms: 5000\r\n", func(h http.Header) bool { return millis(h) > 500 && millis(h) <= 3000 })
	f("the shortest", "", "x-envoy-expected-rq-timeout-ms: 4000\r\nx-request-timeout-ms: 9000\r\n", func(h http.Header) bool {
		return millis(h) > 500 && millis(h) <= 4000 && h.Get("X-Envoy-Expected-Rq-Timeout-Ms") == ""
	})
	f("gRPC", "", "grpc-timeout: 6S\r\n", func(h http.Header) bool {
		return millis(h) <= 6000 && h.Get("Grpc-Timeout") == fmt.Sprint(millis(h), "m")
	})
	f("a field of one's own", ", deadline: { header: x-patience }", "X-Patience: 2500\r\n", func(h http.Header) bool {
		return millis(h) > 500 && millis(h) <= 2500
	})
	f("not told", ", deadline: { propagate: false }", "x-request-timeout-ms: 5000\r\n", func(h http.Header) bool { return millis(h) == 5000 })
}

// A deadline ends a try in the same way.
func TestDeadlineEndsATry(t *testing.T) {
	t.Parallel()
	for _, request := range []string{
		get,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
		"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
	} {
		gone := make(chan struct{})
		addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
			_, _ = head(br)
			awaitGone(nc)
			close(gone)
		})
		g := start(t, strings.Replace(one(addr), "endpoints", "timeouts: { request: 150ms }, endpoints", 1), parts{})
		c := g.dial()
		c.send(request)
		if body := c.want("POST", 504); !strings.Contains(body, `"cause":"UT"`) {
			t.Error(body)
		}
		<-gone
		g.closedAs(table.Canceled, 1)
	}
}
