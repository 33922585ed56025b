package http1_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
)

// sleepy is a gateway whose function is at zero and says what callers get
// meanwhile.
func sleepy(t *testing.T, settings, whileCold string) (*gateway, *stage) {
	t.Helper()
	s := &stage{}
	doc := fmt.Sprintf("functions: { f: { cold_start: { scaler: process%s }, process: { command: [none] }, while_cold: { %s } } }\n"+
		"routes: [{ path_prefix: /, function: f }, { path_prefix: /plain, function: f, while_cold: {} }]\n", settings, whileCold)
	return start(t, doc, parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}}), s
}

func TestWakeFilter(t *testing.T) {
	g, s := sleepy(t, ", idle_after: 300ms, min_up: 1ms",
		"wake_filter: [{ user_agents: [Up*], status: 200, body: asleep }, { methods: [HEAD], status: 204 }, { path_prefix: /health }]")
	c := g.dial()

	c.send("GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: uptime/1\r\n\r\n")
	r, body, err := c.answer("GET")
	if err != nil || r.StatusCode != 200 || body != "asleep" || r.Header.Get("X-Weir-Cold") != "dormant" ||
		r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("X-Request-Id") == "" {
		t.Fatalf("%v %q %v", r, body, err)
	}
	if r := g.record(1); r.status != 200 || r.cause != "" || r.function != "f" || r.turnedAway != "dormant" {
		t.Errorf("recorded %+v", r)
	}

	c.send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n")
	if r, _, err = c.answer("HEAD"); err != nil || r.StatusCode != 204 || r.Header.Get("Content-Length") != "" {
		t.Fatalf("%v %v", r, err)
	}

	c.send("GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
	r, body, err = c.answer("GET")
	var problem struct{ Type, Reason, Cause string }
	if err != nil || r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || r.Header.Get("X-Weir-Cold") != "dormant" ||
		json.Unmarshal([]byte(body), &problem) != nil || problem.Type != "urn:weir:problem:dormant" || problem.Reason != "dormant" {
		t.Fatalf("%v %q %v", r, body, err)
	}
	if r := g.record(3); r.status != 503 || r.cause != "DOR" || r.turnedAway != "dormant" {
		t.Errorf("recorded %+v", r)
	}
	if n := s.ups.Load(); n != 0 {
		t.Fatalf("%d starts", n)
	}

	// The other route of the same function has no filter.
	c.send("GET /plain HTTP/1.1\r\nHost: h\r\nUser-Agent: uptime/1\r\n\r\n")
	g.held(1)
	s.raise(t, 0, echo)
	c.want("GET", 200)

	// It is up: a monitor gets its answer, but does not keep it up.
	for began := time.Now(); s.downs.Load() == 0; time.Sleep(20 * time.Millisecond) {
		c.send("GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
		if r, _, err := c.answer("GET"); err != nil || r.StatusCode != 200 && r.StatusCode != 503 {
			t.Fatalf("%v %v", r, err)
		}
		if time.Since(began) > 10*time.Second {
			t.Fatal("a monitor keeps the function up")
		}
	}
	c.send("GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
	c.want("GET", 503)
	if n := s.ups.Load(); n != 1 {
		t.Errorf("%d starts, want the one", n)
	}
}

const browser = "User-Agent: Mozilla/5.0\r\nAccept: text/html,*/*;q=0.8\r\nSec-Fetch-Mode: navigate\r\n"

func TestWaitingPage(t *testing.T) {
	g, s := sleepy(t, "", "waiting_page: { after: 50ms }")
	f := func(request string, page bool) *http.Response {
		t.Helper()
		c := g.dial()
		c.send(request)
		r, body, err := c.answer("GET")
		if err != nil || r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || r.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%q is answered with %v %v", request, r, err)
		}
		if got := strings.HasPrefix(body, "<!DOCTYPE html>") && strings.Contains(body, `data-events="/.weir/wait/f"`); got != page {
			t.Errorf("%q is answered with a page: %v", request, got)
		}
		return r
	}
	began := time.Now()
	r := f("GET / HTTP/1.1\r\nHost: h\r\n"+browser+"\r\n", true)
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("it was held for %v", took)
	}
	if r.Header.Get("Refresh") != "" || r.Header.Get("Content-Type") != "text/html; charset=utf-8" ||
		!strings.Contains(r.Header.Get("Content-Security-Policy"), "default-src 'none'") || strings.Contains(r.Header.Get("Content-Security-Policy"), "unsafe") {
		t.Errorf("the page says %v", r.Header)
	}
	if r := g.record(1); r.status != 503 || r.cause != "CSW" || r.held == 0 {
		t.Errorf("recorded %+v", r)
	}
	g.held(0)
	// Nobody else gets it: what waits for max_wait is cut short by the caller.
	f("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nPrefer: wait=0\r\n"+browser+"\r\n", false)
	f("GET / HTTP/1.1\r\nHost: h\r\nPrefer: wait=0\r\nAccept: application/json\r\n\r\n", false)
	f("GET /plain HTTP/1.1\r\nHost: h\r\nPrefer: wait=0\r\n"+browser+"\r\n", false)

	// Once it is up, the browser gets its answer.
	s.raise(t, 0, echo)
	c := g.dial()
	c.send("GET /again HTTP/1.1\r\nHost: h\r\n" + browser + "\r\n")
	if got, want := c.want("GET", 200), `GET /again ""`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A failed start is a page too, for those who wait for it.
func TestPageOfAFailedStart(t *testing.T) {
	g, s := sleepy(t, "", "waiting_page: { after: 10s }")
	s.err = coldstart.Terminal(errors.New("no such image"))
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n" + browser + "\r\n")
	if page := c.want("GET", 503); !strings.Contains(page, `data-phase="failed"`) {
		t.Errorf("the page is %q", page)
	}
	if r := g.record(1); r.cause != "CSF" {
		t.Errorf("recorded %+v", r)
	}
}

// events reads a stream to its end, and tells when each came.
func (c *client) events(came func(event string)) {
	c.t.Helper()
	r, err := http.ReadResponse(c.br, &http.Request{Method: "GET"})
	if err != nil || r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/event-stream" {
		c.t.Errorf("no stream: %v %v", r, err)
		return
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		if lines.Text() != "" {
			came(lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		c.t.Errorf("the stream broke off: %v", err)
	}
}

func TestPageIsToldOfTheStart(t *testing.T) {
	g, s := sleepy(t, "", "waiting_page: {}")
	var ready time.Time
	booting := make(chan struct{}, 1)
	c := g.dial()
	c.send("GET /.weir/wait/f HTTP/1.1\r\nHost: h\r\n\r\n")
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.events(func(e string) {
			switch {
			case strings.HasPrefix(e, `data: {"phase":"boot","elapsed_ms":`):
				select {
				case booting <- struct{}{}:
				default: // it is told again while that goes on
				}
			case e == "event: ready":
				ready = time.Now()
			}
		})
	}()
	for began := time.Now(); s.ups.Load() == 0; time.Sleep(time.Millisecond) { // who watches wants it
		if time.Since(began) > 10*time.Second {
			t.Fatal("nobody had it started")
		}
	}
	fn := g.keeper.Table().Functions["f"]
	if fn.Hold.Len() != 0 || fn.Start.Watching() != 1 {
		t.Errorf("%d are held, %d watch", fn.Hold.Len(), fn.Start.Watching())
	}
	if inside, _ := fn.Gate.Inside(); inside != 0 {
		t.Errorf("%d are inside", inside)
	}
	select {
	case <-booting: // of what is over at once nobody need be told
	case <-time.After(10 * time.Second):
		t.Fatal("the page is not told that it boots")
	}
	began := time.Now()
	s.raise(t, 0, echo)
	<-over
	if ready.IsZero() {
		t.Error("the page is not told that it is ready")
	}
	t.Logf("told %v after it was up", ready.Sub(began))
	for began := time.Now(); fn.Start.Watching() != 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("it is counted for ever")
		}
	}
}

// A start that fails is tried again while somebody watches, though nobody calls.
func TestWhoWatchesKeepsItWanted(t *testing.T) {
	g, s := sleepy(t, "", "waiting_page: {}")
	s.err = coldstart.Terminal(errors.New("no such image"))
	c := g.dial()
	c.send("GET /.weir/wait/f HTTP/1.1\r\nHost: h\r\n\r\n")
	var failed atomic.Bool
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.events(func(e string) {
			if strings.Contains(e, `"phase":"failed"`) && strings.Contains(e, `"retry_ms":`) {
				failed.Store(true)
			}
		})
	}()
	for began := time.Now(); !failed.Load(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the page is not told that the start failed")
		}
	}
	s.mu.Lock()
	s.err = nil
	s.mu.Unlock()
	for began := time.Now(); s.ups.Load() < 2; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("nobody tries again")
		}
	}
	s.raise(t, 0, echo)
	<-over
}

func TestWatchersAreBounded(t *testing.T) {
	s := &stage{}
	doc := "cold_start: { max_watching: 1 }\nfunctions: { f: { cold_start: { scaler: process }, process: { command: [none] }, while_cold: { waiting_page: {} } } }\n" +
		"routes: [{ hosts: [h], path_prefix: /, function: f }, { hosts: [other], function: f, while_cold: {} }]\n"
	g := start(t, doc, parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}})
	first, second := g.dial(), g.dial()
	first.send("GET /.weir/wait/f HTTP/1.1\r\nHost: h\r\n\r\n")
	fn := g.keeper.Table().Functions["f"]
	watching := func(n int) {
		t.Helper()
		for began := time.Now(); fn.Start.Watching() != n; time.Sleep(time.Millisecond) {
			if time.Since(began) > 10*time.Second {
				t.Fatalf("%d watch, want %d", fn.Start.Watching(), n)
			}
		}
	}
	watching(1)
	second.send("GET /.weir/wait/f HTTP/1.1\r\nHost: h\r\n\r\n")
	if body := second.want("GET", 503); !strings.Contains(body, "too_many_watch") {
		t.Errorf("the second is told %q", body)
	}
	_ = first.Close() // who leaves leaves its seat
	watching(0)
	for _, request := range []string{
		"POST /.weir/wait/f HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
		"GET /.weir/wait/g HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /.weir/wait/f HTTP/1.1\r\nHost: other\r\n\r\n", // whose route has no page
		"GET /.weir/wait/ HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		second.send(request)
		second.want("GET", 404)
	}

	// When weir is about to leave, streams do not keep it.
	third := g.dial()
	third.send("GET /.weir/wait/f HTTP/1.1\r\nHost: h\r\n\r\n")
	watching(1)
	g.proxy.Drain()
	third.events(func(string) {})
	watching(0)
}
