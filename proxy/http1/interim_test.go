package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
)

// An endpoint that was promised a body and said no may still wait for it: what
// came next on that connection would be the body.
func TestRefusedExpectEndsTheEndpointsConnection(t *testing.T) {
	var conns atomic.Int64
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		conns.Add(1)
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			if !strings.Contains(h, "Expect: 100-continue") {
				fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(h), h)
				continue
			}
			_, _ = io.WriteString(nc, "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
			if _, err := io.CopyN(io.Discard, br, 40); err != nil {
				return
			}
		}
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	c.send("POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\nExpect: 100-continue\r\n\r\n")
	c.want("POST", 401)
	c.wantClosed() // it has no way to tell whether the body is still to come
	other := g.dial()
	other.send("GET /mine HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := other.want("GET", 200); !strings.HasPrefix(got, "GET /mine HTTP/1.1\r\n") {
		t.Errorf("the endpoint understood %q", got)
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// What belongs to the endpoint's connection passes no more in an interim head
// than in a final one.
func TestInterimFields(t *testing.T) {
	g := start(t, one(says(t, "HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"+
		"Content-Length: 5\r\nUpgrade: h2c\r\nX-Own: 1\r\n\r\n"+ok)), parts{})
	c := g.dial()
	c.send(get)
	interim, err := head(c.br)
	if err != nil || interim != "HTTP/1.1 103 Early Hints\r\nLink: x\r\nX-Own: 1\r\n\r\n" {
		t.Errorf("%q, %v", interim, err)
	}
	c.want("GET", 200)
	c.send(get)
	c.want("GET", 103)
	c.want("GET", 200)
}

// An interim head has its own time to be written, however late it is.
func TestLateInterim(t *testing.T) {
	t.Parallel()
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		if _, err := head(br); err == nil {
			time.Sleep(60 * time.Millisecond)
			_, _ = io.WriteString(nc, "HTTP/1.1 103 Early Hints\r\n\r\n")
			time.Sleep(60 * time.Millisecond)
			_, _ = io.WriteString(nc, ok)
		}
	})
	g := start(t, one(addr), parts{prepare: func(cfg *config.Config) {
		cfg.Listeners[0].Limits.BodyProgress = 20 * time.Millisecond
	}})
	c := g.dial()
	c.send(get)
	c.want("GET", 103)
	c.want("GET", 200)
}

// A head without a reason phrase does not have that of another.
func TestReasonsAreNotMixedUp(t *testing.T) {
	g := start(t, one(says(t, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")), parts{})
	c := g.dial()
	c.send(get)
	c.want("GET", 103)
	if final, err := head(c.br); !strings.HasPrefix(final, "HTTP/1.1 200 \r\n") {
		t.Errorf("%q, %v", final, err)
	}
}

func TestEarlyHintsArePassedOn(t *testing.T) {
	g := start(t, one(says(t, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")), parts{})
	c := g.dial()
	c.send(get)
	r, _, err := c.answer("GET")
	if err != nil || r.StatusCode != 103 || r.Header.Get("Link") != "x" {
		t.Fatalf("%+v, %v", r, err)
	}
	c.want("GET", 200)
}

func TestExpect(t *testing.T) {
	t.Parallel()
	ask := "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
	t.Run("the endpoint refuses", func(t *testing.T) {
		g := start(t, one(says(t, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")), parts{})
		c := g.dial()
		c.send(ask)
		c.want("POST", 413)
		c.wantClosed()
	})
	t.Run("the endpoint says nothing", func(t *testing.T) {
		addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
			if _, err := head(br); err != nil {
				return
			}
			body := make([]byte, 2)
			if _, err := io.ReadFull(br, body); err == nil {
				fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%s", body)
			}
		})
		g := start(t, one(addr), parts{})
		c := g.dial()
		c.send(ask)
		c.want("POST", 100)
		c.send("hi")
		if got := c.want("POST", 200); got != "hi" {
			t.Errorf("%q", got)
		}
	})
}
