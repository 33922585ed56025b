package http1_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/proxy"
)

// A sight is an endpoint whose answers the test lets go, one by one.
type sight struct {
	t     testing.TB
	addr  string
	asked atomic.Int64
	waits atomic.Int64 // of those who asked, and have not left
	goOn  chan string  // the whole of the next answer
}

func newSight(t testing.TB) *sight {
	s := &sight{t: t, goOn: make(chan string)}
	s.addr = rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		gone := make(chan struct{})
		heads := make(chan struct{})
		go func() {
			defer close(gone)
			for {
				if _, err := head(br); err != nil {
					return
				}
				heads <- struct{}{}
			}
		}()
		for {
			select {
			case <-gone:
				return
			case <-heads:
			}
			s.waits.Add(1)
			s.asked.Add(1)
			select {
			case answer := <-s.goOn:
				s.waits.Add(-1)
				if _, err := io.WriteString(nc, answer); err != nil || !strings.Contains(answer, "Content-Length") && !strings.Contains(answer, "chunked") {
					return
				}
			case <-gone:
				s.waits.Add(-1)
				return
			}
		}
	})
	return s
}

// answers lets one answer go.
func (s *sight) answers(answer string) {
	s.t.Helper()
	select {
	case s.goOn <- answer:
	case <-time.After(10 * time.Second):
		s.t.Fatal("nobody asks")
	}
}

func (s *sight) doc(settings string) string {
	return fmt.Sprintf("functions: { f: { collapse: { %s }, endpoints: ['%s'] } }\nroutes: [{ path_prefix: /, function: f }]\n", settings, s.addr)
}

// waiting waits until n calls of f follow another.
func (g *gateway) waiting(n int) {
	g.t.Helper()
	eventually(g.t, fmt.Sprint(n, " follow"), func() bool {
		calls, _ := g.keeper.Table().Functions["f"].Flights.Waiting()
		return calls == n
	})
}

// landed looks that nothing is left of any flight.
func (g *gateway) landed() {
	g.t.Helper()
	flights := &g.keeper.Table().Functions["f"].Flights
	eventually(g.t, "nobody follows, nothing is kept, and nobody can be followed", func() bool {
		calls, bytes := flights.Waiting()
		return calls == 0 && bytes == 0 && flights.Open() == 0
	})
}

func reply(body string, fields ...string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s", len(body), lines(fields), body)
}

func lines(fields []string) (all string) {
	for _, f := range fields {
		all += f + "\r\n"
	}
	return all
}

// Of a thousand calls that ask for the same at once one reaches the endpoint. Each has
// the same answer under its own id, and a record of its own.
func TestThousandAskForTheSame(t *testing.T) {
	s := newSight(t)
	g := start(t, s.doc(""), parts{prepare: trustLoopback})
	var clients []*client
	const n = 1000
	for i := range n {
		c := g.dial()
		_ = c.SetDeadline(time.Now().Add(time.Minute)) // beside others' work a thousand take a while
		fmt.Fprintf(c, "GET /a?b=%%20 HTTP/1.1\r\nHost: h\r\nUser-Agent: %d\r\nX-Request-Id: id-%d\r\n\r\n", i, i)
		clients = append(clients, c)
		if i == 0 {
			g.waiting(0)
			eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
		}
	}
	g.waiting(n - 1)
	body := strings.Repeat("0123456789abcdef", 5000)
	s.answers(reply(body, "Date: Mon, 23 Nov 2026 00:00:00 GMT", "Etag: \"7\"", "Keep-Alive: timeout=5"))
	for i, c := range clients {
		r, got, err := c.answer("GET")
		if err != nil || got != body || r.StatusCode != 200 {
			t.Fatalf("call %d: %v, %d bytes", i, err, len(got))
		}
		marked := ""
		if i > 0 {
			marked = "1"
		}
		h := r.Header
		if h.Get("X-Request-Id") != fmt.Sprint("id-", i) || h.Get("X-Weir-Collapsed") != marked || h.Get("Etag") != `"7"` ||
			h.Get("Date") != "Mon, 23 Nov 2026 00:00:00 GMT" || len(h["Date"]) != 1 || h.Get("Via") != "1.1 weir" || h.Get("Keep-Alive") != "" {
			t.Fatalf("call %d: %v", i, h)
		}
	}
	if asked := s.asked.Load(); asked != 1 {
		t.Errorf("the endpoint was asked %d times", asked)
	}
	tries := 0
	for i := range n {
		r := g.record(1 + i)
		tries += r.tries
		if r.status != 200 || r.out != int64(len(body)) || r.held != 0 {
			t.Fatalf("recorded %+v", r)
		}
	}
	if tries != 1 {
		t.Errorf("%d tries are recorded", tries)
	}
	g.landed()

	// It is no cache: the next one asks anew.
	c := g.dial()
	c.send("GET /a?b=%20 HTTP/1.1\r\nHost: h\r\n\r\n")
	s.answers(reply("anew"))
	if got := c.want("GET", 200); got != "anew" {
		t.Errorf("%q", got)
	}
}

// A thousand calls of a function that is down: one stands in line.
func TestThousandAskForTheSameOfWhatIsDown(t *testing.T) {
	s := &stage{}
	doc := "functions: { f: { collapse: {}, cold_start: { scaler: process, max_pending: 2 }, process: { command: [none] } } }\nroutes: [{ path_prefix: /, function: f }]\n"
	g := start(t, doc, parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}})
	var clients []*client
	const n = 1000
	for i := range n {
		c := g.dial()
		_ = c.SetDeadline(time.Now().Add(time.Minute)) // beside others' work a thousand take a while
		c.send(get)
		clients = append(clients, c)
		if i == 0 {
			g.held(1)
		}
	}
	g.waiting(n - 1)
	g.held(1)
	other := g.dial()
	other.send("GET /other HTTP/1.1\r\nHost: h\r\n\r\n")
	g.held(2)
	var asked atomic.Int64
	s.raise(t, 0, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		echo(w, r)
	})
	for i, c := range clients {
		r, body, err := c.answer("GET")
		if err != nil || body != `GET / ""` || r.Header.Get("X-Weir-Cold") != "held" {
			t.Fatalf("call %d: %v %v %q", i, err, r, body)
		}
	}
	if got := other.want("GET", 200); got != `GET /other ""` {
		t.Errorf("%q", got)
	}
	if asked.Load() != 2 || s.ups.Load() != 1 {
		t.Errorf("asked %d times, %d starts", asked.Load(), s.ups.Load())
	}
	for i := range n {
		if r := g.record(1 + i); r.held == 0 {
			t.Fatalf("recorded %+v", r)
		}
	}
	g.landed()
}

// Which calls ask for the same.
func TestWhoAsksForTheSame(t *testing.T) {
	f := func(settings, one, two string, same bool) {
		t.Helper()
		s := newSight(t)
		g := start(t, s.doc(settings), parts{prepare: trustLoopback})
		send := func(request string) *client {
			c := g.dial()
			line, fields, _ := strings.Cut(request, "|")
			if fields != "" {
				fields = strings.ReplaceAll(fields, "|", "\r\n") + "\r\n"
			}
			if !strings.Contains(fields, "Host:") {
				fields = "Host: h\r\n" + fields
			}
			c.send(line + " HTTP/1.1\r\n" + fields + "\r\n")
			return c
		}
		first := send(one)
		eventually(t, "the first is on its way", func() bool { return s.asked.Load() == 1 })
		second := send(two)
		calls := 1
		if same {
			g.waiting(1)
		} else {
			calls = 2
			eventually(t, "the second too: "+two, func() bool { return s.asked.Load() == 2 })
		}
		for range calls {
			s.answers(reply("x"))
		}
		methodOf := func(request string) string { return strings.Fields(request)[0] }
		first.want(methodOf(one), 200)
		second.want(methodOf(two), 200)
		if n := s.asked.Load(); n != int64(calls) {
			t.Errorf("%q and %q: asked %d times", one, two, n)
		}
		g.landed()
	}
	f("", "GET /", "GET /", true)
	f("", "HEAD /", "HEAD /", true)
	f("", "GET /", "HEAD /", false)
	f("", "POST /|Content-Length: 0", "POST /|Content-Length: 0", false)
	f("", "OPTIONS /", "OPTIONS /", false)
	f("", "GET /", "GET /|Content-Length: 0", true)
	f("", "GET /|Content-Length: 1\r\n\r\nx", "GET /|Content-Length: 1\r\n\r\nx", false)
	f("", "GET /a", "GET /b", false)
	f("", "GET /a?", "GET /a", false)
	f("", "GET /a?x", "GET /a?y", false)
	f("", "GET /a", "GET /%61", true)
	f("", "GET /|Host: a", "GET /|Host: b", false)
	f("", "GET /|X-Forwarded-Proto: https", "GET /", false)
	f("", "GET /|X-Forwarded-For: 10.0.0.1|User-Agent: a|Sec-Fetch-Mode: cors|Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "GET /|X-Forwarded-For: 10.0.0.2|Referer: b", true)
	f("", "GET /|Accept: a", "GET /|Accept: b", false)
	f("", "GET /|accept: a|Accept-Language: de", "GET /|Accept-Language: de|ACCEPT: a", true)
	f("", "GET /|Accept: ab", "GET /|Accept: a|Accept: b", false)
	f("", "GET /|Accept: a", "GET /|Accept-Language: a", false)
	f("vary: [accept-language]", "GET /|Accept: a", "GET /|Accept: b", true)
	for _, field := range []string{"Authorization: Basic YTpi", "Cookie: a=b", "Range: bytes=0-1", "If-None-Match: \"x\"", "If-Modified-Since: Mon, 23 Nov 2026 00:00:00 GMT",
		"Cache-Control: no-cache", "Pragma: no-cache", "Origin: https://a", "X-Api-Key: 1", "Prefer: wait=5", "X-" + strings.Repeat("y", 100) + ": 1", "X-Tenant: t", "X-Forwarded-User: alice"} {
		f("", "GET /|"+field, "GET /|"+field, false)
		f("", "GET /", "GET /|"+field, false)
	}
	f("vary: [Authorization, x-tenant]", "GET /|Authorization: a|X-Tenant: t", "GET /|authorization: a|x-tenant: t", true)
	f("vary: [authorization]", "GET /|Authorization: a", "GET /|Authorization: b", false)
	f("vary: [authorization]", "GET /|Authorization: a", "GET /", false)
	f("", "GET /|Priority: high", "GET /|Priority: low", false)
	f("", "GET /|Priority: high", "GET /|Priority: u=0", true)
	f("vary: [x-forwarded-for]", "GET /|X-Forwarded-For: 10.0.0.1", "GET /|X-Forwarded-For: 10.0.0.2", false)
	f("vary: [x-forwarded-for]", "GET /|X-Forwarded-For: 10.0.0.1", "GET /|X-Forwarded-For: 10.0.0.1", true)
	f("ignore: [X-Debug]", "GET /|X-Debug: 1", "GET /|x-debug: 2", true)
	f("", "GET /|X-Hop: 1|Connection: x-hop", "GET /", true) // it does not pass

	s := newSight(t)
	g := start(t, s.doc(""), parts{})
	for i := range 2 { // would be tunnels
		g.dial().send("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
		eventually(t, "each is on its way", func() bool { return s.asked.Load() == int64(1+i) })
	}
}

// Which answers others have too. Those who do not have it ask for themselves, and
// after one that was somebody's own nobody waits for the next.
func TestWhichAnswersAreShared(t *testing.T) {
	f := func(name, settings, answer string, shared, apart bool) {
		t.Helper()
		s := newSight(t)
		g := start(t, s.doc(settings), parts{})
		var ended [proxy.Unshared + 1]atomic.Int64
		g.peek = func(c *proxy.Call) {
			result, _ := c.Collapsed()
			ended[result].Add(1)
		}
		const n = 3
		var clients []*client
		for i := range n {
			c := g.dial()
			c.send("GET /p HTTP/1.1\r\nHost: h\r\nUser-Agent: x\r\n\r\n")
			clients = append(clients, c)
			if i == 0 {
				eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
			}
		}
		g.waiting(n - 1)
		s.answers(answer)
		if !shared {
			eventually(t, name+": they ask for themselves", func() bool { return s.asked.Load() == n })
			for range n - 1 {
				s.answers(answer)
			}
		}
		var bodies []string
		for _, c := range clients {
			r, body, err := c.answer("GET")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			bodies = append(bodies, body)
			if c != clients[0] && (r.Header.Get("X-Weir-Collapsed") == "1") != shared {
				t.Errorf("%s: %v", name, r.Header)
			}
		}
		if bodies[0] != bodies[1] || bodies[1] != bodies[2] {
			t.Errorf("%s: %q", name, bodies)
		}
		g.landed()
		result := map[bool]proxy.Collapsed{true: proxy.Shared, false: proxy.Unshared}[shared]
		eventually(t, name+": it is recorded so", func() bool { return ended[proxy.NotCollapsed].Load() == 1 && ended[result].Load() == n-1 })
		a, b := g.dial(), g.dial()
		asked := s.asked.Load()
		a.send("GET /p HTTP/1.1\r\nHost: h\r\n\r\n")
		eventually(t, "the next is on its way", func() bool { return s.asked.Load() == asked+1 })
		b.send("GET /p HTTP/1.1\r\nHost: h\r\n\r\n")
		if apart {
			eventually(t, name+": the one after it too", func() bool { return s.asked.Load() == asked+2 })
			s.answers(ok)
		} else {
			g.waiting(1)
		}
		s.answers(ok)
		a.want("GET", 200)
		b.want("GET", 200)
	}
	status := func(n int, fields ...string) string {
		return fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: 2\r\n%s\r\nab", n, lines(fields))
	}
	f("sized", "", reply("body"), true, false)
	f("empty", "", reply(""), true, false)
	f("chunked", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", true, false)
	f("until close", "", "HTTP/1.1 200 OK\r\n\r\nabc", true, false)
	f("no content", "", "HTTP/1.1 204 No Content\r\nX: Content-Length\r\n\r\n", true, false)
	for _, n := range []int{203, 301, 302, 307, 404, 410} {
		f(fmt.Sprint(n), "", status(n, "Location: /elsewhere"), true, false)
	}
	for _, n := range []int{206, 400, 401, 403, 409, 429, 500, 502, 503} {
		f(fmt.Sprint(n), "", status(n), false, false)
	}
	f("vary by what is asked", "", reply("x", "Vary: accept-encoding, Accept"), true, false)
	f("vary by what nobody has", "", reply("x", "Vary: Origin, Cookie"), true, false)
	f("vary by more", "", reply("x", "Vary: Accept", "Vary: User-Agent"), false, true)
	f("vary by what is ignored", "ignore: [x-debug]", reply("x", "Vary: X-Debug"), false, true)
	f("vary by whom weir tells of", "", reply("x", "Vary: X-Forwarded-For"), false, true)
	f("vary by the request id", "", reply("x", "Vary: X-Request-Id"), false, true)
	f("vary by what is asked of weir", "", reply("x", "Vary: X-Forwarded-Proto, Host"), true, false)
	f("vary by anything", "", reply("x", "Vary: *"), false, true)
	f("vary by what is listed", "vary: [user-agent]", reply("x", "Vary: User-Agent"), true, false)
	f("public", "", reply("x", "Cache-Control: public, max-age=0"), true, false)
	for _, control := range []string{"private", "max-age=1, Private=\"x\"", "no-store", "no-cache"} {
		f(control, "", reply("x", "Cache-Control: "+control), false, true)
	}
	f("a cookie", "", reply("x", "Set-Cookie: a=b"), false, true)
	f("events", "", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", false, true)
	f("trailers", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n", false, true)
	f("too long", "max_body: 10", reply("0123456789a"), false, true)
	f("as long as may be", "max_body: 10, max_bytes: 10", reply("0123456789"), true, false)
	f("found to be too long", "max_body: 10", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nghijkl\r\n0\r\n\r\n", false, true)
}

// A copy of an answer to HEAD tells the length of what GET would bring.
func TestHeadIsShared(t *testing.T) {
	s := newSight(t)
	g := start(t, s.doc(""), parts{})
	leads, follows := g.dial(), g.dial()
	leads.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
	eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
	follows.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" + get)
	g.waiting(1)
	s.answers("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
	for _, c := range []*client{leads, follows} {
		if r, body, err := c.answer("HEAD"); err != nil || r.ContentLength != 7 || body != "" {
			t.Errorf("%v %v %q", err, r, body)
		}
	}
	s.answers(reply("of 7 by"))
	if got := follows.want("GET", 200); got != "of 7 by" {
		t.Errorf("%q", got)
	}
}

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

// There are bounds to how many follow, and to what is kept for them.
func TestCollapseIsBounded(t *testing.T) {
	s := newSight(t)
	g := start(t, s.doc("max_followers: 2, max_body: 100, max_bytes: 150"), parts{})
	ask := func(path string) *client {
		c := g.dial()
		c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
		return c
	}
	var clients []*client
	for i := range 3 {
		clients = append(clients, ask("/a"))
		if i == 0 {
			eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
		} else {
			g.waiting(i)
		}
	}
	clients = append(clients, ask("/a"))
	eventually(t, "one too many asks for itself", func() bool { return s.asked.Load() == 2 })
	for range 2 {
		s.answers(reply("x"))
	}
	for _, c := range clients {
		c.want("GET", 200)
	}
	g.landed()
}

// A follower is counted by the function's limit as any other call.
func TestFollowersAreLimited(t *testing.T) {
	s := newSight(t)
	g := start(t, strings.Replace(s.doc(""), "f: {", "f: { rate_limit: { requests: 2, window: 1h, key: function },", 1), parts{})
	leads, follows, over := g.dial(), g.dial(), g.dial()
	leads.send(get)
	eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
	follows.send(get)
	g.waiting(1)
	over.send(get)
	over.want("GET", 429)
	s.answers(reply("x"))
	leads.want("GET", 200)
	r, _, err := follows.answer("GET")
	if err != nil || r.Header.Get("RateLimit") == "" {
		t.Errorf("%v %v", err, r)
	}
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

// A call that nobody follows costs its flight and the question; one that nobody may
// follow, nothing.
func TestCollapseAllocs(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	g := start(t, strings.Replace(one(silentEndpoint(t)), "f: {", "f: { collapse: {},", 1), parts{})
	g.quiet = true
	f := func(fields string, most float64) {
		t.Helper()
		if per := g.mallocsPerCall("GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test/1\r\nAccept: */*\r\n" + fields + "\r\n"); per > most {
			t.Errorf("with %q a call allocates %.2f times", fields, per)
		}
	}
	f("", 2.2)
	f("Cookie: a=b\r\n", 0.2)
}

// Whatever clients and endpoints do, every call has one whole answer that is its
// question's, and nothing is left behind.
func TestCollapseUnderStress(t *testing.T) {
	var tries atomic.Int64
	doc := backend(t, func(w http.ResponseWriter, r *http.Request) {
		n := tries.Add(1)
		time.Sleep(time.Duration(n%5) * time.Millisecond)
		switch n % 11 {
		case 0:
			panic(http.ErrAbortHandler)
		case 1:
			w.WriteHeader(500)
		case 2:
			w.Header().Set("Set-Cookie", "a=b")
		case 3:
			w.Header().Set("Content-Length", fmt.Sprint(len(r.URL.Path)+1))
		}
		fmt.Fprintf(w, "%s.", r.URL.Path)
		if n%11 == 4 {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler) // in the middle
		}
	})
	doc = strings.Replace(doc, "f: {", "f: { collapse: { max_followers: 20, max_body: 1KiB, max_bytes: 3KiB }, concurrency: { max_requests: 4, max_pending: 1000, queue_timeout: 10s },", 1)
	g := start(t, doc, parts{})
	g.quiet = true
	var shared, whole atomic.Int64
	var work sync.WaitGroup
	for i := range 40 {
		work.Go(func() {
			for j := range 60 {
				nc, err := net.Dial("tcp", g.addr)
				if err != nil {
					t.Error(err)
					return
				}
				_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
				path := fmt.Sprintf("/%d%s", j%3, strings.Repeat("x", 100*(j%3)))
				fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path)
				if (i+j)%7 == 0 {
					_ = nc.Close() // in the middle of whatever it is
					continue
				}
				r, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: "GET"})
				if err != nil { // its first bytes may have been lost with the reset
					if !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF) {
						t.Errorf("no answer: %v", err)
					}
					_ = nc.Close()
					continue
				}
				body, err := io.ReadAll(r.Body)
				switch {
				case err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, unix.ECONNRESET):
					t.Errorf("%v", err)
				case err == nil && r.StatusCode == 200:
					whole.Add(1)
					if string(body) != path+"." {
						t.Errorf("asked for %s, got %q", path, body)
					}
				case err == nil && r.StatusCode != 500 && r.StatusCode != 502:
					t.Errorf("%d %s", r.StatusCode, body)
				}
				if r.Header.Get("X-Weir-Collapsed") != "" {
					shared.Add(1)
					if err != nil || r.StatusCode != 200 || r.Header.Get("Set-Cookie") != "" {
						t.Errorf("shared: %v %v", err, r)
					}
				}
				_ = nc.Close()
			}
		})
	}
	work.Wait()
	g.landed()
	if inside, _ := g.keeper.Table().Functions["f"].Gate.Inside(); inside != 0 {
		eventually(t, "nobody is inside", func() bool {
			inside, _ := g.keeper.Table().Functions["f"].Gate.Inside()
			return inside == 0
		})
	}
	t.Logf("%d whole answers, %d of them shared, %d tries", whole.Load(), shared.Load(), tries.Load())
	if shared.Load() == 0 {
		t.Error("nothing was shared")
	}
}

// Who follows a call that is held for a start waits no longer than it may be held
// itself. What a call gets in line while the function is down, it is in line for.
func TestFollowersOfAStart(t *testing.T) {
	down := func(coldStart, more string) (*gateway, *stage) {
		s := &stage{}
		doc := fmt.Sprintf("functions: { f: { collapse: {}, cold_start: { scaler: process%s }, process: { command: [none] }%s } }\nroutes: [{ path_prefix: /, function: f }]\n", coldStart, more)
		return start(t, doc, parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}}), s
	}
	g, _ := down(", max_wait: 1s", "")
	leads, follows := g.dial(), g.dial()
	leads.send(get)
	g.held(1)
	follows.send(get)
	g.waiting(1)
	for _, c := range []*client{leads, follows} {
		if _, p := c.problem(503); p["cause"] != "CST" {
			t.Errorf("%v", p)
		}
	}
	g.landed()

	g, _ = down(", start_timeout: 1s", "")
	leads, follows = g.dial(), g.dial()
	leads.send(get)
	g.held(1)
	follows.send(get)
	g.waiting(1)
	for _, c := range []*client{leads, follows} {
		if _, p := c.problem(503); p["cause"] != "CSF" {
			t.Errorf("%v", p)
		}
	}
	g.landed()

	const browser = "GET / HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\r\n"
	g, _ = down("", ", while_cold: { waiting_page: { after: 1s } }")
	one, two := g.dial(), g.dial()
	for i, c := range []*client{one, two} {
		c.send(browser)
		g.held(i + 1)
	}
	for _, c := range []*client{one, two} {
		if page := c.want("GET", 503); !strings.Contains(page, "<html") {
			t.Errorf("%s", page)
		}
	}

	g, s := down("", ", while_cold: { fallback: { status: 200, body: later, after: 1s } }")
	for i, c := range []*client{g.dial(), g.dial()} {
		c.send(get)
		g.held(i + 1)
		defer c.want("GET", 200)
	}
	g.held(0)
	s.raise(t, 0, echo)
	g.inState("warm")
}

// What a route sets in requests is the same of all its calls, and what it takes out is
// not asked.
func TestRoutesThatChangeRequestsAreCollapsed(t *testing.T) {
	s := newSight(t)
	doc := strings.Replace(s.doc(""), "path_prefix: /,", "path_prefix: /, request_headers: { set: { x-env: test, authorization: ours }, add: { x-more: '1' }, remove: [cookie] },", 1)
	g := start(t, doc, parts{})
	leads, follows, alone := g.dial(), g.dial(), g.dial()
	leads.send("GET / HTTP/1.1\r\nHost: h\r\nCookie: a=b\r\nX-Env: mine\r\n\r\n")
	eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
	follows.send("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic YTpi\r\n\r\n")
	g.waiting(1)
	alone.send("GET / HTTP/1.1\r\nHost: h\r\nX-More: 2\r\n\r\n")
	eventually(t, "what one says besides counts", func() bool { return s.asked.Load() == 2 })
	for range 2 {
		s.answers(reply("x"))
	}
	for _, c := range []*client{leads, follows, alone} {
		c.want("GET", 200)
	}
	g.landed()
}

// An answer that a call has from its fallback is given to nobody, so nobody waits for it.
func TestFallbacksAreNotCollapsed(t *testing.T) {
	s, down := newSight(t), &stage{}
	doc := "functions: { g: { cold_start: { scaler: process }, process: { command: [none] } }, f: { collapse: {}, endpoints: ['" + s.addr + "'] } }\n" +
		"routes: [{ path_prefix: /, function: g, while_cold: { fallback: { function: f, after: 10ms } } }]\n"
	g := start(t, doc, parts{provider: discovery.Merge(discovery.NewStatic(slog.New(slog.DiscardHandler)), down), scalers: map[string]coldstart.Scaler{"process": down}})
	var clients []*client
	for i := range 2 {
		c := g.dial()
		c.send(get)
		clients = append(clients, c)
		eventually(t, "it is at the fallback", func() bool { return s.asked.Load() == int64(1+i) })
	}
	for range clients {
		s.answers(reply("x"))
	}
	for _, c := range clients {
		c.want("GET", 200)
	}
}

// An answer that two weirs have collapsed says so once.
func TestCollapsedTwice(t *testing.T) {
	s := newSight(t)
	g := start(t, s.doc(""), parts{})
	leads, follows := g.dial(), g.dial()
	leads.send(get)
	eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
	follows.send(get)
	g.waiting(1)
	s.answers(reply("x", "x-weir-collapsed: 1"))
	for _, c := range []*client{leads, follows} {
		if r, _, err := c.answer("GET"); err != nil || len(r.Header.Values("X-Weir-Collapsed")) != 1 {
			t.Errorf("%v %v", r, err)
		}
	}
}

// The memory for an answer of which the length is known is counted as soon as it is taken.
func TestRoomForAnswersIsCounted(t *testing.T) {
	s := newSight(t)
	g := start(t, s.doc("max_body: 100, max_bytes: 150"), parts{})
	leads, follows := g.dial(), g.dial()
	leads.send(get)
	eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
	follows.send(get)
	g.waiting(1)
	s.answers("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n") // of which the body does not come
	eventually(t, "all of it is counted", func() bool {
		_, bytes := g.keeper.Table().Functions["f"].Flights.Waiting()
		return bytes == 100
	})
	_, _ = leads.Close(), follows.Close()
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
	if calls, bytes := old.Waiting(); asked.Load() != 1 || calls != 0 || bytes != 0 || old.Open() != 0 {
		t.Errorf("asked %d times; %d follow, %d bytes", asked.Load(), calls, bytes)
	}
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
