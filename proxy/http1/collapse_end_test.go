package http1_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/proxy"
)

// A call that leads and leaves, or has no time left, is followed by another that does;
// who follows may leave, or run out of time, and nobody minds.
func TestWhoLeadsMayLeave(t *testing.T) {
	s := newSight(t)
	g := start(t, s.doc(""), parts{})
	ask := func(fields string) *client {
		c := g.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n")
		return c
	}
	asked := func(n int64) {
		t.Helper()
		eventually(t, fmt.Sprint(n, " tries, and the one before has ended"), func() bool { return s.asked.Load() == n && s.waits.Load() == 1 })
	}
	leaves := ask("")
	asked(1)
	second := ask("")
	g.waiting(1)
	third := ask("")
	g.waiting(2) // who is older leads first
	impatient := ask("X-Request-Timeout-Ms: 1000\r\n")
	g.waiting(3)
	if _, p := impatient.problem(504); p["cause"] != "UT" {
		t.Errorf("%v", p)
	}
	g.waiting(2)
	_ = leaves.Close()
	asked(2)
	g.waiting(1)
	_ = third.Close()
	g.waiting(0)
	fourth := ask("") // of the one that leads now
	g.waiting(1)
	s.answers(reply("at last"))
	for _, c := range []*client{second, fourth} {
		if got := c.want("GET", 200); got != "at last" {
			t.Errorf("%q", got)
		}
	}
	g.landed()

	short := ask("X-Request-Timeout-Ms: 1000\r\n")
	asked(3)
	long := ask("")
	g.waiting(1)
	if _, p := short.problem(504); p["cause"] != "UT" {
		t.Errorf("%v", p)
	}
	asked(4)
	s.answers(reply("in time"))
	if got := long.want("GET", 200); got != "in time" {
		t.Errorf("%q", got)
	}
	g.landed()

	first, next := ask(""), (*client)(nil)
	asked(5)
	next = ask("")
	g.waiting(1)
	s.answers("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nin the middle")
	_ = first.Close()
	asked(6)
	s.answers(reply("anew"))
	if got := next.want("GET", 200); got != "anew" {
		t.Errorf("%q", got)
	}
	g.landed()
}

// What an endpoint breaks off is nobody's answer, and who followed asks again.
func TestAnswerThatBreaksOffIsNotShared(t *testing.T) {
	s := newSight(t)
	g := start(t, s.doc(""), parts{})
	leads, follows := g.dial(), g.dial()
	leads.send(get)
	eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
	follows.send(get)
	g.waiting(1)
	s.answers("HTTP/1.1 200 OK\r\nX: Content-Size\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nab") // and ends
	s.answers(reply("whole"))
	if got := follows.want("GET", 200); got != "whole" {
		t.Errorf("%q", got)
	}
	if _, _, err := leads.answer("GET"); err == nil {
		t.Error("an answer that broke off looks whole")
	}
	g.landed()
}

// An answer that goes on and on is a stream: its client has it as it comes, and nobody
// waits for its end. One that is whole waits for no client that reads slowly.
func TestStreamsAndSlowClients(t *testing.T) {
	goOn := [2]chan string{make(chan string), make(chan string)} // pieces of the first answer, and of the second
	var asked atomic.Int64
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		if _, err := head(br); err != nil {
			return
		}
		for piece := range goOn[asked.Add(1)-1] {
			_, _ = io.WriteString(nc, piece)
		}
	})
	g := start(t, fmt.Sprintf("functions: { f: { collapse: { max_body: 8MiB }, endpoints: ['%s'] } }\nroutes: [{ path_prefix: /, function: f }]\n", addr), parts{})
	leads, follows := g.dial(), g.dial()
	leads.send(get)
	eventually(t, "it is on its way", func() bool { return asked.Load() == 1 })
	follows.send(get)
	g.waiting(1)
	goOn[0] <- "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
	r, err := http.ReadResponse(leads.br, &http.Request{Method: "GET"})
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 5)
	if _, err := io.ReadFull(r.Body, first); err != nil || string(first) != "first" {
		t.Fatalf("%q %v", first, err)
	}
	eventually(t, "the other asks for itself", func() bool { return asked.Load() == 2 })
	goOn[1] <- "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown"
	if got := follows.want("GET", 200); got != "own" {
		t.Errorf("%q", got)
	}
	goOn[0] <- "4\r\nlast\r\n0\r\n\r\n"
	if rest, err := io.ReadAll(r.Body); err != nil || string(rest) != "last" {
		t.Errorf("%q %v", rest, err)
	}
	close(goOn[0])
	close(goOn[1])
	g.landed()

	big := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	s := newSight(t)
	g = start(t, s.doc("max_body: 8MiB"), parts{})
	slow, fast := g.dial(), g.dial()
	slow.send(get)
	eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
	fast.send(get)
	g.waiting(1)
	s.answers(reply(string(big))) // slow does not read
	if got := fast.want("GET", 200); got != string(big) {
		t.Errorf("%d bytes, want %d", len(got), len(big))
	}
	if got := slow.want("GET", 200); got != string(big) {
		t.Errorf("%d bytes, want %d", len(got), len(big))
	}
	g.landed()
}

// When weir has no time left those who follow are told so as those in line are.
func TestFollowersAtTheEnd(t *testing.T) {
	s := newSight(t)
	g := start(t, s.doc(""), parts{})
	leads, follows := g.dial(), g.dial()
	leads.send(get)
	eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
	follows.send(get)
	g.waiting(1)
	other, another := g.dial(), g.dial()
	other.send("GET /other HTTP/1.1\r\nHost: h\r\n\r\n")
	eventually(t, "it is on its way too", func() bool { return s.asked.Load() == 2 })
	another.send("GET /other HTTP/1.1\r\nHost: h\r\n\r\n")
	g.waiting(2)
	for range 2 {
		s.answers("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n") // of which the end does not come
	}
	time.Sleep(50 * time.Millisecond) // the head is in, the body awaited
	g.proxy.ShutDown()
	follows.problem(503)
	another.problem(503)
	_ = leads.Close()
	_ = other.Close()
	g.landed()
}

// An endpoint that does not answer in the time of one try has failed, and those who
// waited for that find it out together, not one after the other.
func TestFollowersOfATryThatRunsOutOfTime(t *testing.T) {
	s := newSight(t)
	g := start(t, strings.Replace(s.doc(""), "f: {", "f: { timeouts: { per_try: 1s },", 1), parts{})
	var unshared atomic.Int64
	g.peek = func(c *proxy.Call) {
		if result, _ := c.Collapsed(); result == proxy.Unshared {
			unshared.Add(1)
		}
	}
	const n = 4
	var clients []*client
	for i := range n {
		c := g.dial()
		c.send(get)
		clients = append(clients, c)
		if i == 0 {
			eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
		}
	}
	for _, c := range clients {
		c.problem(504)
	}
	eventually(t, "all who followed went by themselves", func() bool { return unshared.Load() == n-1 })
	g.landed()
}

// A flight goes on when its function begins anew with another scaler.
func TestFlightOfAFunctionThatBeginsAnew(t *testing.T) {
	one, two := &stage{}, &stage{}
	doc := func(scaler string) string {
		return "scalers: { one: { type: webhook, url: 'http://127.0.0.1:1' }, two: { type: webhook, url: 'http://127.0.0.1:1' } }\n" +
			"functions: { f: { collapse: {}, cold_start: { scaler: " + scaler + " }, webhook: {} } }\nroutes: [{ path_prefix: /, function: f }]\n"
	}
	g := start(t, doc("one"), parts{provider: byScaler{"one": one, "two": two}, scalers: map[string]coldstart.Scaler{"one": one, "two": two}})
	leads, follows := g.dial(), g.dial()
	leads.send(get)
	g.held(1)
	follows.send(get)
	g.waiting(1)
	old := &g.keeper.Table().Functions["f"].Flights
	g.reload(doc("two"))
	g.held(1)
	var asked atomic.Int64
	two.raise(t, 0, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		echo(w, r)
	})
	for _, c := range []*client{leads, follows} {
		if got := c.want("GET", 200); got != `GET / ""` {
			t.Errorf("%q", got)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	eventually(t, "nothing is left", func() bool {
		calls, bytes := old.Waiting()
		return calls == 0 && bytes == 0 && old.Open() == 0
	})
}

// Whether two asked the same is said by what the function was when they came, also
// where it has become another meanwhile by which they did not.
func TestFlightOfAFunctionThatVariesByMoreNow(t *testing.T) {
	one, two := &stage{}, &stage{}
	doc := func(scaler, vary string) string {
		return "scalers: { one: { type: webhook, url: 'http://127.0.0.1:1' }, two: { type: webhook, url: 'http://127.0.0.1:1' } }\n" +
			"functions: { f: { collapse: { vary: [" + vary + "] }, cold_start: { scaler: " + scaler + " }, webhook: {} } }\nroutes: [{ path_prefix: /, function: f }]\n"
	}
	g := start(t, doc("one", "accept"), parts{provider: byScaler{"one": one, "two": two}, scalers: map[string]coldstart.Scaler{"one": one, "two": two}})
	german, english := g.dial(), g.dial()
	german.send("GET / HTTP/1.1\r\nHost: h\r\nAccept-Language: de\r\n\r\n")
	g.held(1)
	english.send("GET / HTTP/1.1\r\nHost: h\r\nAccept-Language: en\r\n\r\n")
	g.waiting(1)
	g.reload(doc("two", "accept-language"))
	g.held(1)
	two.raise(t, 0, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Language")
		_, _ = io.WriteString(w, r.Header.Get("Accept-Language"))
	})
	if got := german.want("GET", 200); got != "de" {
		t.Errorf("%q", got)
	}
	if got := english.want("GET", 200); got != "en" {
		t.Errorf("%q", got)
	}
}
