package http1_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/config"
)

// dialFrom connects from an address of the loopback network.
func (g *gateway) dialFrom(addr string) *client {
	g.t.Helper()
	c, err := g.tryFrom(addr)
	if err != nil {
		g.t.Fatal(err)
	}
	return c
}

func (g *gateway) tryFrom(addr string) (*client, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	nc, err := d.Dial("tcp", g.addr)
	if err != nil {
		return nil, err
	}
	g.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	return &client{nc, g.t, bufio.NewReader(nc)}, nil
}

// wantTurnedAway connects from an address and is reset without a byte, though
// it sends a call.
func (g *gateway) wantTurnedAway(from string) {
	g.t.Helper()
	c, err := g.tryFrom(from)
	for errors.Is(err, unix.EMFILE) { // accept holds a descriptor while it looks whether anybody waits
		c, err = g.tryFrom(from)
	}
	if err != nil { // the reset came very soon
		return
	}
	defer c.Close()
	_, _ = io.WriteString(c, get)
	if b, err := c.br.ReadByte(); err == nil || isTimeout(err) {
		g.t.Fatalf("let in: %q, %v", b, err)
	}
}

func TestAccessOfAListener(t *testing.T) {
	var cfg config.Listener
	g := start(t, backend(t, hello), listener(func(l *config.Listener) {
		l.Access.Deny = prefixes("127.0.0.2/32")
		cfg = *l
	}))
	a, b := g.dialFrom("127.0.0.1"), g.dialFrom("127.0.0.3")
	for _, c := range []*client{a, b} {
		c.send(get)
		c.want("GET", 200)
	}
	g.wantTurnedAway("127.0.0.2")
	if n := g.server.Refused()["access"]; n != 1 {
		t.Errorf("%d refused, want 1", n)
	}
	// Rules hold for the next call of those who are in already, too.
	cfg.Access = config.Access{Allow: prefixes("127.0.0.1/32")}
	g.server.Configure(cfg, time.Minute)
	a.send(get)
	a.want("GET", 200)
	b.send(get)
	if body := b.want("GET", 403); !strings.Contains(body, `"cause":"UAEX"`) {
		t.Errorf("body %s", body)
	}
	b.wantClosed()
	g.wantTurnedAway("127.0.0.3")
}

func TestAccessOfARoute(t *testing.T) {
	g := start(t, backend(t, hello), parts{prepare: func(cfg *config.Config) {
		cfg.Routes = append(cfg.Routes, config.Route{
			PathPrefix: "/admin", Function: "f", EncodedSlash: "keep", Access: config.Access{Allow: prefixes("127.0.0.1/32")},
		})
	}})
	calls := 0
	f := func(from, path string, want int) {
		t.Helper()
		calls += 2
		defer g.record(calls)
		c := g.dialFrom(from)
		for range 2 { // the connection goes on
			c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
			r, body, err := c.answer("GET")
			if err != nil || r.StatusCode != want || r.Close {
				t.Fatalf("%s from %s: %+v, %v; want %d", path, from, r, err, want)
			}
			if want == 403 && (r.Header.Get("Proxy-Status") != "weir; error=http_request_denied" || !strings.Contains(body, "urn:weir:problem:forbidden")) {
				t.Errorf("%v %s", r.Header, body)
			}
		}
	}
	f("127.0.0.1", "/", 200)
	f("127.0.0.1", "/admin", 200)
	f("127.0.0.2", "/", 200)
	f("127.0.0.2", "/admin", 403)
	f("127.0.0.2", "/admin/x", 403)
	f("127.0.0.2", "/x/../admin/%78", 403)
	f("127.0.0.2", "//admin", 403)
	if r := g.record(calls); r.cause != "UAEX" || r.function != "f" || r.tries != 0 {
		t.Errorf("%+v", r)
	}
}

// Who the client is behind proxies: what X-Forwarded-For comes to.
func TestClientBehindProxies(t *testing.T) {
	g := start(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-For"))
	}), listener(func(l *config.Listener) {
		l.TrustedProxies = prefixes("127.0.0.1/32", "10.0.0.0/8", "fd00::/8")
		l.Access.Deny = prefixes("192.0.2.66/32", "2001:db8:66::/48", "127.0.0.2/32")
	}))
	calls := 0
	f := func(fields []string, want string, status int) {
		t.Helper()
		calls += 2
		c := g.dialFrom("127.0.0.1")
		head := "GET / HTTP/1.1\r\nHost: h\r\n"
		for _, f := range fields {
			head += "X-Forwarded-For: " + f + "\r\n"
		}
		c.send(head + "\r\n" + get)
		body := c.want("GET", status)
		if joined := strings.Join(append(fields, "127.0.0.1"), ", "); status == 200 && body != joined {
			t.Errorf("%q passes as %q", fields, body)
		}
		if r := g.record(calls - 1); r.client != want {
			t.Errorf("%q comes from %s, want %s", fields, r.client, want)
		}
		c.want("GET", 200) // the next call on the proxy's connection is another client's
		g.record(calls)
	}
	f(nil, "127.0.0.1", 200)
	f([]string{"192.0.2.1"}, "192.0.2.1", 200)
	f([]string{"192.0.2.66"}, "192.0.2.66", 403)
	f([]string{"::ffff:192.0.2.66"}, "192.0.2.66", 403)
	f([]string{"192.0.2.66, 192.0.2.1"}, "192.0.2.1", 200) // what the client itself wrote proves nothing
	f([]string{"192.0.2.1, 192.0.2.66"}, "192.0.2.66", 403)
	f([]string{"192.0.2.66, 10.1.2.3"}, "192.0.2.66", 403)
	f([]string{"192.0.2.1,10.1.2.3 , fd00::1"}, "192.0.2.1", 200)
	f([]string{"192.0.2.66", "10.1.2.3"}, "192.0.2.66", 403) // several fields are one list
	f([]string{"192.0.2.1", "192.0.2.66"}, "192.0.2.66", 403)
	f([]string{"10.1.2.3, 10.1.2.4"}, "10.1.2.3", 200) // proxies only
	f([]string{"192.0.2.66, unknown, 10.1.2.3"}, "10.1.2.3", 200)
	f([]string{"192.0.2.66, 1.2.3"}, "127.0.0.1", 200)
	f([]string{"192.0.2.66,, ,10.1.2.3"}, "192.0.2.66", 403)
	f([]string{"192.0.2.66:4711"}, "192.0.2.66", 403)
	f([]string{"[2001:DB8:66::1]:4711"}, "2001:db8:66::1", 403)
	f([]string{"[2001:db8:66::1]"}, "2001:db8:66::1", 403)
	f([]string{"2001:db8:66::1"}, "2001:db8:66::1", 403)
	for _, garbage := range []string{"[2001:db8:66::1", "[]", "[2001:db8:66::1]4711", "[2001:db8:66::1]:", "192.0.2.66:", "192.0.2.66:x",
		"192.0.2.66:123456", "fe80::66%eth0", ":", "[", "]", "192.0.2.066", `"192.0.2.66"`, strings.Repeat("1", 100)} {
		f([]string{garbage}, "127.0.0.1", 200)
	}
	g.wantTurnedAway("127.0.0.2")
	c := g.dialFrom("127.0.0.3") // nobody's proxy: what it says of others is not believed
	c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.66\r\n\r\n")
	if body := c.want("GET", 200); body != "127.0.0.3" {
		t.Errorf("X-Forwarded-For %q", body)
	}
	if r := g.record(calls + 1); r.client != "127.0.0.3" {
		t.Errorf("%+v", r)
	}
}

func TestConnectionsPerClient(t *testing.T) {
	g := start(t, backend(t, hello), listener(func(l *config.Listener) {
		l.Limits.ConnectionsPerClient = 2
		l.TrustedProxies = prefixes("127.0.0.9/32")
	}))
	for range 3 { // whoever leaves makes room, again and again
		a, b := g.dialFrom("127.0.0.2"), g.dialFrom("127.0.0.2")
		for _, c := range []*client{a, b} {
			c.send(get)
			c.want("GET", 200)
		}
		g.wantTurnedAway("127.0.0.2")
		other := g.dialFrom("127.0.0.3")
		other.send(get)
		other.want("GET", 200)
		_, _, _ = a.Close(), b.Close(), other.Close()
		eventually(t, "all have left", func() bool { return g.server.Open() == 0 })
	}
	for range 5 { // a proxy is not one client
		c := g.dialFrom("127.0.0.9")
		c.send(get)
		c.want("GET", 200)
	}
	if n := g.server.Refused()["connections_per_client"]; n != 3 {
		t.Errorf("%d refused, want 3", n)
	}
}

// At the limit the connection goes that has idled the longest, and only if none
// idles the new one.
func TestConnectionsAreClosedToMakeRoom(t *testing.T) {
	waiting := make(chan struct{})
	release := sync.OnceFunc(func() { close(waiting) })
	g := start(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-waiting
		}
		hello(w, r)
	}), listener(func(l *config.Listener) { l.Limits.Connections = 3 }))
	t.Cleanup(release)
	const wait = "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n"
	oldest, second, busy := g.dial(), g.dial(), g.dial()
	for _, c := range []*client{oldest, second} {
		c.send(get)
		c.want("GET", 200)
		atRest(t) // one after another
	}
	busy.send(wait)
	g.inFlight(1)

	fourth := g.dial()
	oldest.wantClosed()
	fourth.send(wait)
	g.inFlight(2)
	second.send(get) // it was not touched
	second.want("GET", 200)

	// second does not rest yet, but idles once its goroutine has come so far.
	var fifth *client
	refused := func() int { return g.server.Refused()["connections"] }
	inFlight := func() int { return g.endpoint(0).Link.Slots.InFlight() }
	for inFlight() < 3 {
		before := refused()
		c, err := g.tryFrom("127.0.0.1")
		if err == nil {
			_, _ = io.WriteString(c, wait)
			fifth = c
		}
		eventually(t, "the fifth is in or not", func() bool { return inFlight() == 3 || refused() > before })
	}
	second.wantClosed()
	before := refused()

	g.wantTurnedAway("127.0.0.1") // all have a call
	release()
	for _, c := range []*client{busy, fourth, fifth} {
		c.want("GET", 200)
	}
	atRest(t)
	last := g.dial()
	last.send(get)
	last.want("GET", 200)
	if r, e := refused()-before, g.server.Evicted()["connections"]; r != 1 || e != 3 {
		t.Errorf("%d refused, %d evicted; want 1 and 3", r, e)
	}
}

// Connections come, call, idle and go at the limit all at once. None is lost in
// the middle of an answer, and in the end the books balance.
func TestRoomIsMadeWhileCallsCome(t *testing.T) {
	g := start(t, backend(t, hello), parts{prepare: func(cfg *config.Config) {
		cfg.Listeners[0].Limits.Connections = 8
		cfg.Listeners[0].Limits.ConnectionsPerClient = 6
		cfg.Defaults.Timeouts.Idle = 250 * time.Millisecond
	}})
	over := time.Now().Add(750 * time.Millisecond)
	done := make(chan error)
	const clients = 16
	for i := range clients {
		go func() {
			var bad error
			for n := 0; time.Now().Before(over) && bad == nil; n++ {
				bad = callsOf(g, fmt.Sprintf("127.0.0.%d", 2+i%4), n, time.Duration(i*13+n*7)%130*time.Millisecond)
			}
			done <- bad
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	eventually(t, "all have left", func() bool { return g.server.Open() == 0 })
	if e := g.server.Evicted()["connections"]; e == 0 {
		t.Error("none was closed to make room")
	}
	for from := 2; from < 6; from++ { // each client may have all of its connections again
		for range 2 {
			c := g.dialFrom(fmt.Sprintf("127.0.0.%d", from))
			c.send(get)
			c.want("GET", 200)
		}
	}
}

// callsOf makes calls until the connection is closed on it, which must not be
// within an answer.
func callsOf(g *gateway, from string, n int, pause time.Duration) error {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	nc, err := d.Dial("tcp", g.addr)
	if err != nil {
		return nil
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	c := &client{nc, g.t, bufio.NewReader(nc)}
	for range 3 {
		if _, err := io.WriteString(c, get); err != nil {
			return nil
		}
		if _, err := c.br.Peek(1); err != nil {
			if isTimeout(err) {
				return fmt.Errorf("no answer and no close: %w", err)
			}
			return nil
		}
		if r, body, err := c.answer("GET"); err != nil || r.StatusCode != 200 || body != "hello" {
			return fmt.Errorf("cut off: %v %q %v", r, body, err)
		}
		time.Sleep(pause)
	}
	return nil
}
