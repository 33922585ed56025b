package http1_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const upgradeCall = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: chat/2, websocket\r\nSec-WebSocket-Key: k\r\n\r\n"

// switches is an endpoint that switches to websocket and then does what f does.
func switches(t testing.TB, f func(nc net.Conn, br *bufio.Reader)) string {
	return rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, err := head(br)
		if err != nil {
			return
		}
		for _, want := range []string{"\r\nConnection: Upgrade\r\n", "\r\nUpgrade: chat/2, websocket\r\n", "\r\nSec-WebSocket-Key: k\r\n"} {
			if !strings.Contains(h, want) {
				t.Errorf("the endpoint got no %q in %q", want, h)
			}
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\nearly")
		f(nc, br)
	})
}

// upgrade makes a tunnel and checks its head.
func (g *gateway) upgrade() *client {
	g.t.Helper()
	c := g.dial()
	c.send(upgradeCall)
	h, err := head(c.br)
	if err != nil || !strings.HasPrefix(h, "HTTP/1.1 101 Switching Protocols\r\n") ||
		!strings.Contains(h, "\r\nConnection: Upgrade\r\n") || !strings.Contains(h, "\r\nUpgrade: websocket\r\n") ||
		!strings.Contains(h, "\r\nSec-WebSocket-Accept: a\r\n") || strings.Contains(h, "Content-Length") || strings.Contains(h, "chunked") {
		g.t.Fatalf("%q, %v", h, err)
	}
	c.reads("early")
	return c
}

func (c *client) reads(want string) {
	c.t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(c.br, b); string(b) != want {
		c.t.Fatalf("%q came, want %q; %v", b[:n], want, err)
	}
}

func TestTunnel(t *testing.T) {
	g := start(t, one(switches(t, func(nc net.Conn, br *bufio.Reader) {
		_, _ = io.Copy(nc, br) // until the client closes its side
		_, _ = io.WriteString(nc, "the last word")
	})), parts{})
	c := g.upgrade()
	sent := int64(0)
	for _, s := range []string{"a", strings.Repeat("b", 100<<10), "c"} {
		go func() { _, _ = io.WriteString(c, s) }()
		c.reads(s)
		sent += int64(len(s))
	}
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	c.reads("the last word")
	c.wantClosed()
	if r := g.record(1); r.status != 101 || r.cause != "" || r.in != sent || r.out != sent+int64(len("earlythe last word")) {
		t.Errorf("%+v", r)
	}
	g.inFlight(0)
}

func TestTunnelWhoseEndpointClosesFirst(t *testing.T) {
	got := make(chan string, 1)
	g := start(t, one(switches(t, func(nc net.Conn, br *bufio.Reader) {
		_ = nc.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(br)
		got <- string(b)
	})), parts{})
	c := g.upgrade()
	if rest, err := io.ReadAll(c.br); len(rest) > 0 || err != nil {
		t.Fatalf("%q %v", rest, err)
	}
	g.inFlight(1) // the client may go on
	c.send("and so it does")
	_ = c.Close()
	if s := <-got; s != "and so it does" {
		t.Errorf("the endpoint got %q", s)
	}
	if r := g.record(1); r.status != 101 || r.cause != "" {
		t.Errorf("%+v", r)
	}
}

// What the client sends ahead of the 101 belongs to the tunnel, or if there is
// none to the next call.
func TestBytesAheadOfTheTunnel(t *testing.T) {
	g := start(t, one(switches(t, func(nc net.Conn, br *bufio.Reader) { _, _ = io.Copy(nc, br) })), parts{})
	c := g.dial()
	c.send(upgradeCall + "ahead")
	if _, err := head(c.br); err != nil {
		t.Fatal(err)
	}
	c.reads("early" + "ahead")

	declined := 0
	g = start(t, one(rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			if _, err := head(br); err != nil {
				return
			}
			declined++
			_, _ = io.WriteString(nc, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: other/1\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nno")
		}
	})), parts{})
	c = g.dial()
	c.send(upgradeCall + "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	for range 2 {
		r, body, err := c.answer("GET")
		if err != nil || r.StatusCode != 426 || body != "no" || r.Header.Get("Upgrade") != "other/1" || r.Header.Get("Connection") != "Upgrade" {
			t.Fatalf("%v %q %v", r, body, err)
		}
	}
}

func TestTunnelThatIsNotToBe(t *testing.T) {
	const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	for name, c := range map[string]struct{ request, answer string }{
		"not asked for":   {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", switched},
		"not offered":     {upgradeCall, strings.Replace(switched, "websocket", "other", 1)},
		"without a name":  {upgradeCall, "HTTP/1.1 101 Switching Protocols\r\n\r\n"},
		"HTTP/1.0":        {"GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", switched},
		"with a body":     {"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx", switched},
		"not in the list": {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", switched},
		"HTTP/2":          {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: x\r\nUpgrade: h2c\r\n\r\n", strings.Replace(switched, "websocket", "h2c", 1)},
		"HTTP/2 as well":  {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket, H2C\r\n\r\n", switched},
		"TLS":             {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: TLS/1.0\r\n\r\n", strings.Replace(switched, "websocket", "TLS/1.0", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			heads := make(chan string, 1)
			g := start(t, one(rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
				h, _ := head(br)
				heads <- h
				_, _ = io.WriteString(nc, c.answer)
				_, _ = io.Copy(io.Discard, br)
			})), parts{})
			d := g.dial()
			d.send(c.request)
			d.want("GET", 502)
			if h := <-heads; c.request != upgradeCall && (strings.Contains(h, "Upgrade") || strings.Contains(h, "HTTP2-Settings")) {
				t.Errorf("passed on: %q", h)
			}
			if r := g.record(1); r.cause != "UPE" {
				t.Errorf("%+v", r)
			}
		})
	}
}

// Whoever breaks the tunnel breaks it for both, and at once.
func TestTunnelBreaks(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		ended := make(chan error, 1)
		g := start(t, one(switches(t, func(_ net.Conn, br *bufio.Reader) {
			_, err := io.ReadAll(br)
			ended <- err
		})), parts{})
		c := g.upgrade()
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
		if err := <-ended; err == nil {
			t.Error("to the endpoint it looks like a clean end")
		}
		if r := g.record(1); r.status != 101 || r.cause != "DC" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("endpoint", func(t *testing.T) {
		g := start(t, one(switches(t, func(nc net.Conn, _ *bufio.Reader) {
			_ = nc.(*net.TCPConn).SetLinger(0)
		})), parts{})
		c := g.upgrade()
		if _, err := io.ReadAll(c.br); err == nil {
			t.Error("to the client it looks like a clean end")
		}
		if r := g.record(1); r.status != 101 || r.cause != "UC" {
			t.Errorf("%+v", r)
		}
	})
}

func TestTunnelEndsWhenNothingMoves(t *testing.T) {
	t.Parallel()
	const limit = time.Second
	doc := "defaults: { timeouts: { stream_idle: 1s } }\n"
	for name, talk := range map[string]func(c *client) time.Time{
		"silence": func(*client) time.Time { return time.Now() },
		"the client talks": func(c *client) time.Time {
			for range 7 {
				c.send("x")
				time.Sleep(limit / 5)
			}
			return time.Now().Add(-limit / 5)
		},
		"the endpoint has ended": func(c *client) time.Time {
			c.send("end")
			if _, err := c.br.ReadByte(); err != io.EOF {
				c.t.Fatal(err)
			}
			for range 7 {
				c.send("x")
				time.Sleep(limit / 5)
			}
			return time.Now().Add(-limit / 5)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan time.Time, 1)
			g := start(t, doc+one(switches(t, func(nc net.Conn, br *bufio.Reader) {
				for {
					b := make([]byte, 3)
					n, err := br.Read(b)
					if err != nil {
						ended <- time.Now()
						return
					}
					if string(b[:n]) == "end" {
						_ = nc.(*net.TCPConn).CloseWrite()
					}
				}
			})), parts{})
			last := talk(g.upgrade())
			if after := (<-ended).Sub(last); after < limit*3/4 {
				t.Errorf("ended %v after the last byte, the limit is %v", after, limit)
			}
			if r := g.record(1); r.status != 101 || r.cause != "UC" {
				t.Errorf("%+v", r)
			}
		})
	}
}
