package http1_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
)

// willing is a gateway whose function is at zero and may be called by clients
// that do not wait.
func willing(t *testing.T, settings string) (*gateway, *stage) {
	t.Helper()
	s := &stage{}
	doc := settings + "\nfunctions: { f: { cold_start: { scaler: process }, process: { command: [none] }, respond_async: true } }\n" +
		"routes: [{ path_prefix: /, function: f }, { path_prefix: /not, function: f, respond_async: false }]\n"
	return start(t, doc, parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}}), s
}

const later = "Prefer: respond-async\r\n"

// ticket sends a call, and returns where its answer will be.
func (c *client) ticket(request string) string {
	c.t.Helper()
	c.send(request)
	r, body, err := c.answer("POST")
	if err != nil {
		c.t.Fatal(err)
	}
	var said struct {
		State, Location string
		Durable         *bool
		Keep            int `json:"keep_ms"`
	}
	where := r.Header.Get("Location")
	if r.StatusCode != 202 || r.Header.Get("Preference-Applied") != "respond-async" || r.Header.Get("X-Weir-Cold") != "async" ||
		r.Header.Get("Retry-After") == "" || r.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(where, "/.weir/async/") ||
		json.Unmarshal([]byte(body), &said) != nil || said.State != "pending" || said.Location != where || said.Durable == nil || *said.Durable || said.Keep == 0 {
		c.t.Fatalf("answered with %v %q", r, body)
	}
	return where
}

func (c *client) fetch(where, fields string) (*http.Response, string) {
	c.t.Helper()
	c.send("GET " + where + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n")
	r, body, err := c.answer("GET")
	if err != nil {
		c.t.Fatal(err)
	}
	return r, body
}

func TestRespondAsync(t *testing.T) {
	g, s := willing(t, "")
	c := g.dial()
	where := c.ticket("POST /order?n=1 HTTP/1.1\r\nHost: h\r\nX-Mine: 1\r\nContent-Length: 2\r\n" + later + "\r\nhi")
	if other := c.ticket("POST /order HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" + later + "\r\n1\r\na\r\n0\r\n\r\n"); other == where {
		t.Fatal("two calls have one id")
	}
	g.held(2) // in line like any other
	var r *http.Response
	var body string
	eventually(t, "the start has come so far", func() bool {
		r, body = c.fetch(where, "")
		return strings.Contains(body, `"phase":"boot"`)
	})
	if r.StatusCode != 202 || r.Header.Get("X-Weir-Async") != "pending" {
		t.Errorf("meanwhile: %v %q", r, body)
	}
	_ = c.Close() // its clients are gone
	s.raise(t, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/order" && r.Header.Get("Prefer") != "" || r.Header.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("the endpoint is told %v", r.Header)
		}
		w.Header().Set("X-Theirs", r.Header.Get("X-Mine"))
		w.Header().Set("Set-Cookie", "a=b")
		w.WriteHeader(201)
		echo(w, r)
	})
	c = g.dial()
	r, body = c.fetch(where, "Prefer: wait=10\r\n")
	if r.StatusCode != 201 || r.Header.Get("X-Weir-Async") != "done" || r.Header.Get("X-Theirs") != "1" || r.Header.Get("Set-Cookie") != "a=b" ||
		body != `POST /order?n=1 "hi"` || len(r.Header.Values("Date")) != 1 || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the answer is %v %q", r, body)
	}
	if again, same := c.fetch(where, ""); again.StatusCode != 201 || same != body {
		t.Errorf("the second time it is %v %q", again, same)
	}
	if r, _ := c.fetch(where+"x", ""); r.StatusCode != 404 {
		t.Errorf("an id that was guessed is answered with %v", r)
	}
	if r := g.record(1); r.status != 202 || r.function != "f" || r.call != "" {
		t.Errorf("recorded %+v", r)
	}
	// A client that would wait a little is there when the answer comes.
	c.send("POST /quick HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nPrefer: respond-async, wait=10\r\n\r\n")
	if got, want := c.want("POST", 201), `POST /quick ""`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// One that may not, waits.
	c.send("POST /not HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n" + later + "\r\n")
	if got, want := c.want("POST", 201), `POST /not ""`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAsyncBounds(t *testing.T) {
	g, s := willing(t, "async: { max_calls: 2, max_body: 1KiB, max_response: 2KiB }")
	c := g.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1025\r\n" + later + "\r\n" + strings.Repeat("x", 1025))
	if body := c.want("POST", 413); !strings.Contains(body, "body_too_large") {
		t.Errorf("told %q", body)
	}
	c = g.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" + later + "\r\n401\r\n" + strings.Repeat("x", 1025) + "\r\n0\r\n\r\n")
	c.want("POST", 413)
	if under, answers, bytes := g.proxy.Async(); under != 0 || answers != 0 || bytes != 0 {
		t.Errorf("%d, %d and %d bytes are kept of what was refused", under, answers, bytes)
	}
	c = g.dial()
	large := c.ticket("GET /large HTTP/1.1\r\nHost: h\r\n" + later + "\r\n")
	broken := c.ticket("GET /broken HTTP/1.1\r\nHost: h\r\n" + later + "\r\n")
	c.send("GET / HTTP/1.1\r\nHost: h\r\n" + later + "\r\n")
	if body := c.want("GET", 503); !strings.Contains(body, "async_full") {
		t.Errorf("told %q", body)
	}
	s.raise(t, 0, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "4096")
		_, _ = w.Write(make([]byte, 1024))
		w.(http.Flusher).Flush()
		if r.URL.Path == "/broken" {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(make([]byte, 3072))
	})
	for _, where := range []string{large, broken} {
		if r, body := c.fetch(where, "Prefer: wait=10\r\n"); r.StatusCode != 502 || !strings.Contains(body, "async_lost") {
			t.Errorf("%v %q", r, body)
		}
	}
}

// What weir answers for the function is kept like the function's own.
func TestAsyncCallThatFails(t *testing.T) {
	g, s := willing(t, "")
	s.err = coldstart.Terminal(fmt.Errorf("no such image"))
	c := g.dial()
	where := c.ticket("GET / HTTP/1.1\r\nHost: h\r\n" + later + "\r\n")
	r, body := c.fetch(where, "Prefer: wait=10\r\n")
	if r.StatusCode != 503 || r.Header.Get("X-Weir-Async") != "failed" || !strings.Contains(body, "scaler_failed") || r.Header.Get("Retry-After") == "" {
		t.Errorf("%v %q", r, body)
	}
}

func TestAsyncWhenWeirLeaves(t *testing.T) {
	g, s := willing(t, "")
	came, let := make(chan struct{}), make(chan struct{})
	defer close(let)
	c := g.dial()
	held := c.ticket("GET /held HTTP/1.1\r\nHost: h\r\n" + later + "\r\n")
	s.raise(t, 1, func(w http.ResponseWriter, r *http.Request) {
		close(came)
		select {
		case <-let:
		case <-r.Context().Done():
		}
	})
	<-came
	behind := c.ticket("GET /behind HTTP/1.1\r\nHost: h\r\n" + later + "\r\n")
	g.held(1)
	g.proxy.Drain()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n" + later + "\r\n")
	if body := c.want("GET", 503); !strings.Contains(body, "shutting_down") {
		t.Errorf("told %q", body)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if under, _ := g.proxy.AwaitAsync(over); under != 2 {
		t.Errorf("%d are under way", under)
	}
	g.proxy.ShutDown()
	soon, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if under, answers := g.proxy.AwaitAsync(soon); under != 0 || answers != 2 {
		t.Errorf("%d are under way, %d answers kept", under, answers)
	}
	for n, where := range []string{held, behind} {
		if r := g.record(n + 4); r.cause != "SD" {
			t.Errorf("%s is recorded as %+v", where, r)
		}
	}
}
