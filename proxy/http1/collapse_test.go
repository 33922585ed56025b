package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
