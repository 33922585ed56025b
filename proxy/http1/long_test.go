package http1_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/discovery"
)

// Upgrades and streams of functions that start from zero: held as any call, and in
// use for as long as they are open (C27).

// shortly is a function that is put back as soon as nobody uses it, and many is a
// while in which that happens many times over.
const (
	shortly = ", idle_after: 20ms, min_up: 1ms, grace: 1ms"
	many    = 300 * time.Millisecond
)

// silent checks that nothing comes for a moment.
func (c *client) silent() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	b, err := c.br.Peek(1)
	if !os.IsTimeout(err) {
		c.t.Fatalf("%q came, %v", b, err)
	}
	_ = c.SetReadDeadline(time.Time{})
}

func TestUpgradeIsHeldAndKeepsItsInstance(t *testing.T) {
	t.Parallel()
	g, s := cold(t, shortly)
	c := g.dial()
	c.send(upgradeCall)
	g.held(1)
	g.inState("starting")
	c.silent() // no 101 before there is somebody to speak to
	addr := switches(t, func(nc net.Conn, br *bufio.Reader) { _, _ = io.Copy(nc, br) })
	s.set(discovery.Endpoint{ID: "i", Addr: addr, Weight: 1})
	if h, err := head(c.br); err != nil || !strings.HasPrefix(h, "HTTP/1.1 101 Switching Protocols\r\n") {
		t.Fatalf("%q, %v", h, err)
	}
	c.reads("early")
	time.Sleep(many) // open, and nothing moves
	if n := s.downs.Load(); n != 0 {
		t.Fatalf("put back %d times under an open tunnel", n)
	}
	c.send("still there")
	c.reads("still there")
	_ = c.Close()
	g.inState("cold")
	if r := g.record(1); r.status != 101 || r.cause != "" || s.ups.Load() != 1 || s.downs.Load() != 1 {
		t.Errorf("recorded %+v; %d starts, %d stops", r, s.ups.Load(), s.downs.Load())
	}
}

func TestStreamIsHeldAndKeepsItsInstance(t *testing.T) {
	t.Parallel()
	g, s := cold(t, shortly)
	c := g.dial()
	c.send("GET /events HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n")
	g.held(1)
	g.inState("starting")
	c.silent()
	end := make(chan struct{})
	s.raise(t, 0, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: first\n\n")
		w.(http.Flusher).Flush()
		<-end
		_, _ = io.WriteString(w, "data: last\n\n")
	})
	r, err := http.ReadResponse(c.br, nil)
	if err != nil || r.StatusCode != 200 {
		t.Fatalf("%v, %v", r, err)
	}
	body := bufio.NewReader(r.Body)
	if line, err := body.ReadString('\n'); line != "data: first\n" {
		t.Fatalf("%q, %v", line, err)
	}
	time.Sleep(many)
	if n := s.downs.Load(); n != 0 {
		t.Errorf("put back %d times under an open stream", n)
	}
	close(end)
	if rest, err := io.ReadAll(body); string(rest) != "\ndata: last\n\n" {
		t.Errorf("%q, %v", rest, err)
	}
	g.inState("cold")
}
