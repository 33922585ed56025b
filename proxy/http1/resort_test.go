package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weir-gateway/weir/proxy"
)

// A breaking endpoint reads requests whole and ends the connection.
func breaking(t testing.TB, asked *atomic.Int64) string {
	return rawEndpoint(t, func(_ net.Conn, br *bufio.Reader) {
		h, err := head(br)
		if err != nil {
			return
		}
		if strings.Contains(h, "Content-Length: 5") {
			_, _ = br.Discard(5)
		}
		asked.Add(1)
	})
}

const nobody = "127.84.0.71:1"

// What a function could not answer, its last resort does; but nothing that may have
// been carried out is sent again.
func TestLastResort(t *testing.T) {
	t.Parallel()
	post5 := post(5) + "hello"
	keyed := strings.Replace(post5, "\r\n\r\n", "\r\nIdempotency-Key: k\r\n\r\n", 1)
	f := func(name, settings, addr, fallback, request string, status int, reason string, asksOther int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			other := script(t, strings.Replace(ok, "200 OK", "201 OK", 1))
			doc := fmt.Sprintf("functions:\n  f: { endpoints: [%s], %s fallback: { %s } }\n  g: { endpoints: ['%s'] }\nroutes: [{ path_prefix: /, function: f }]\n",
				addr, settings, fallback, other.addr)
			g := start(t, doc, parts{})
			c := g.dial()
			c.send(request)
			method, _, _ := strings.Cut(request, " ")
			r, _, err := c.answer(method)
			if err != nil || r.StatusCode != status {
				t.Fatalf("%v %v, want %d", err, r, status)
			}
			if got := r.Header.Get("X-Weir-Fallback"); got != reason {
				t.Errorf("reason %q, want %q", got, reason)
			}
			if n := int(other.asked.Load()); n != asksOther {
				t.Errorf("the other function was asked %d times, want %d", n, asksOther)
			}
			if sent := other.bodies.Load(); asksOther > 0 && strings.HasSuffix(request, "hello") && (sent == nil || *sent != "hello") {
				t.Errorf("its body was %v", sent)
			}
			if r := g.record(1); (r.from == "f") != (reason != "") {
				t.Errorf("recorded %+v", r)
			}
			for _, fn := range g.keeper.Table().Functions {
				eventually(t, "nobody is inside "+fn.Name, func() bool { inside, _ := fn.Gate.Inside(); return inside == 0 })
			}
		})
	}
	var n atomic.Int64
	breaks, refuses := "'"+breaking(t, &n)+"'", "'"+nobody+"'"
	silent := "'" + script(t, "").addr + "'"
	bad := "'" + script(t, says5(503, "")).addr + "'"
	toG, says := "function: g", "status: 202, body: later"
	f("refused GET", "", refuses, toG, get, 201, "connect_failure", 1)
	f("refused POST", "", refuses, toG, post5, 201, "connect_failure", 1)
	f("no endpoint", "", "", toG, post5, 201, "no_endpoint", 1)
	f("nor an answer to that", "", "", "on: [reset], "+toG, get, 503, "", 0)
	f("broken GET", "", breaks, toG, get, 201, "reset", 1)
	f("broken POST", "", breaks, toG, post5, 502, "", 0)
	f("broken POST with a key", "", breaks, toG, keyed, 502, "", 0)
	f("broken PUT", "", breaks, toG, strings.Replace(post5, "POST", "PUT", 1), 201, "reset", 1)
	f("gRPC, fixed answer", "", refuses, says, strings.Replace(post5, "\r\n\r\n", "\r\nContent-Type: application/grpc\r\n\r\n", 1), 200, "", 0)
	f("gRPC", "", refuses, toG, strings.Replace(post5, "\r\n\r\n", "\r\nContent-Type: application/grpc\r\n\r\n", 1), 201, "connect_failure", 1)
	f("broken POST, fixed answer", "", breaks, says, post5, 202, "reset", 0)
	f("late GET", "timeouts: { per_try: 20ms },", silent, toG, get, 201, "timeout", 1)
	f("late POST", "timeouts: { per_try: 20ms },", silent, toG, post5, 504, "", 0)
	f("late POST, fixed answer", "timeouts: { per_try: 20ms },", silent, says, post5, 202, "timeout", 0)
	f("no time is left", "timeouts: { request: 20ms },", silent, toG, get, 504, "", 0)
	f("503 by default", "", bad, toG, get, 503, "", 0)
	f("503", "", bad, "on: [503], "+toG, get, 201, "status", 1)
	f("503 among 5xx, PUT", "", bad, "on: [5xx], "+toG, strings.Replace(post5, "POST", "PUT", 1), 201, "status", 1)
	f("503 to a POST", "", bad, "on: [503], "+toG, post5, 503, "", 0)
	f("503 to a POST, fixed answer", "", bad, "on: [503], "+says, post5, 202, "status", 0)
	f("another status", "", bad, "on: [502], "+toG, get, 503, "", 0)
	f("limited function", "rate_limit: { requests: 10 },", refuses, toG, get, 201, "connect_failure", 1)
}

// The tries are made first, and the other function's are its own: each has its count,
// and the second has no third behind it.
func TestLastResortComesAfterTries(t *testing.T) {
	t.Parallel()
	bad, worse := script(t, says5(502, "")), script(t, says5(500, ""))
	doc := fmt.Sprintf(`functions:
  f: { endpoints: ['%s'], retries: { attempts: 2, retry_on: [502], %s }, circuit_breaker: { consecutive_failures: 3, failure_ratio: 0, open_for: 1h }, fallback: { on: [5xx, circuit_open], function: g } }
  g: { endpoints: ['%s'], retries: { attempts: 1, retry_on: [500], %s }, fallback: { on: [5xx], status: 200 } }
routes: [{ path_prefix: /, function: f }, { path_prefix: /own, function: f, fallback: { on: [circuit_open], status: 203 } }, { path_prefix: /busy, function: f, fallback: { body: busy } }]
`, bad.addr, quick, worse.addr, quick)
	g := start(t, doc, parts{})
	before := make(chan proxy.Visit, 1)
	g.peek = func(c *proxy.Call) {
		select {
		case before <- func() (v proxy.Visit) {
			if b := c.Before(); b != nil {
				v = *b
			}
			return v
		}():
		default:
		}
	}
	c := g.dial()
	c.send(get)
	c.want("GET", 500)
	if f, other := bad.asked.Load(), worse.asked.Load(); f != 3 || other != 2 {
		t.Errorf("asked %d and %d times, want 3 and 2", f, other)
	}
	if r := g.record(1); r.tries != 2 || r.function != "g" || r.from != "f" {
		t.Errorf("recorded %+v", r)
	}
	if b := <-before; b.Tries != 3 || b.Results[proxy.Answered] != 3 || b.Function.Name != "f" {
		t.Errorf("before it was %+v", b)
	}
	c.send(get) // three failures have opened the circuit: f is left alone
	r, _, err := c.answer("GET")
	if err != nil || r.StatusCode != 500 || r.Header.Get("X-Weir-Fallback") != "circuit_open" || bad.asked.Load() != 3 {
		t.Errorf("%v %v, f was asked %d times", err, r, bad.asked.Load())
	}
	c.send("POST /own HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
	c.want("POST", 203)
	c.send("GET /busy HTTP/1.1\r\nHost: h\r\n\r\n")
	r, body, err := c.answer("GET")
	if err != nil || r.StatusCode != 503 || body != "busy" || len(r.Header.Get("Retry-After")) != 4 { // of an hour, and up to a fifth more
		t.Errorf("%v %v %q", err, r, body)
	}
}

// An answer that comes before the body has been sent can be given up as well; the
// rest of the body is nobody's.
func TestLastResortInTheMiddleOfTheBody(t *testing.T) {
	t.Parallel()
	early := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		if _, err := head(br); err == nil {
			_, _ = io.WriteString(nc, says5(503, ""))
			_, _ = io.Copy(io.Discard, br) // what was on the way
		}
	})
	g := start(t, under("fallback: { on: [5xx], status: 202, body: later }", early), parts{})
	for _, framing := range []string{"Content-Length: 4000000\r\n", "Transfer-Encoding: chunked\r\n"} {
		c := g.dial()
		go func() {
			_, _ = io.WriteString(c, "PUT / HTTP/1.1\r\nHost: h\r\n"+framing+"\r\n")
			for range 4 {
				if strings.HasPrefix(framing, "T") {
					_, _ = io.WriteString(c, "f4240\r\n")
				}
				_, _ = c.Write(make([]byte, 1_000_000))
				if strings.HasPrefix(framing, "T") {
					_, _ = io.WriteString(c, "\r\n")
				}
			}
			_, _ = io.WriteString(c, "0\r\n\r\n")
		}()
		r, body, err := c.answer("PUT")
		if err != nil || r.StatusCode != 202 || body != "later" || r.Header.Get("X-Weir-Fallback") != "status" {
			t.Errorf("%s%v %v %q", framing, err, r, body)
		}
	}
	if fn := g.keeper.Table().Functions["f"]; fn != nil {
		eventually(t, "nobody is inside", func() bool { inside, _ := fn.Gate.Inside(); return inside == 0 })
	}
	eventually(t, "the slot is free", func() bool { return g.endpoint(0).Link.Slots.InFlight() == 0 })
}
