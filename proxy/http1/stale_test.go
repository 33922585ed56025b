package http1_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-gateway/weir/internal/moment"
)

// An endpoint that closes its connections after every answer, and does not say
// so, is an endpoint all the same.
func TestEndpointThatClosesSilently(t *testing.T) {
	var posts atomic.Int64
	closed := make(chan struct{}, 200)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, err := head(br)
		if err != nil {
			return
		}
		defer func() {
			_ = nc.Close()
			closed <- struct{}{}
		}()
		if strings.HasPrefix(h, "POST") {
			posts.Add(1)
			_, _ = io.CopyN(io.Discard, br, 2)
		}
		_, _ = io.WriteString(nc, ok)
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	for range 50 {
		c.send(get)
		c.want("GET", 200)
	}
	for range 50 {
		<-closed
	}
	for range 50 {
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
		c.want("POST", 200)
		<-closed
	}
	if n := posts.Load(); n != 50 {
		t.Errorf("50 calls were sent %d times", n)
	}
	if g.endpoint(0).Outlier.Ejected(moment.Now()) {
		t.Error("it is set aside for that")
	}
}

// When an endpoint has closed all its connections at once, because it was
// started anew, nobody notices.
func TestEndpointThatStartsAnew(t *testing.T) {
	var mu sync.Mutex
	var conns []net.Conn
	together := make(chan struct{})
	var waiting atomic.Int64
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		mu.Lock()
		conns = append(conns, nc)
		mu.Unlock()
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			if strings.HasPrefix(h, "GET /together") {
				if waiting.Add(1) == 8 {
					close(together)
				}
				<-together
			}
			_, _ = io.WriteString(nc, ok)
		}
	})
	g := start(t, one(addr), parts{})
	var clients []*client
	for range 8 {
		c := g.dial()
		c.send("GET /together HTTP/1.1\r\nHost: h\r\n\r\n")
		clients = append(clients, c)
	}
	for _, c := range clients {
		c.want("GET", 200)
	}
	mu.Lock()
	for _, nc := range conns {
		_ = nc.Close()
	}
	mu.Unlock()
	for i, c := range clients {
		c.send(get)
		c.want("GET", 200)
		if i > 0 {
			c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
			c.want("POST", 200)
		}
	}
	if g.endpoint(0).Outlier.Ejected(moment.Now()) {
		t.Error("it is set aside for that")
	}
}

func TestStaleConnections(t *testing.T) {
	var asked atomic.Int64
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) { // closes after each answer, and does not say so
		if _, err := head(br); err == nil {
			asked.Add(1)
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	g := start(t, one(addr, says(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")), parts{})
	c := g.dial()
	for range 20 {
		c.send(get)
		c.want("GET", 200)
	}
}

func TestPostIsNeverSentTwice(t *testing.T) {
	var asked atomic.Int64
	addr := rawEndpoint(t, func(_ net.Conn, br *bufio.Reader) {
		if _, err := head(br); err == nil {
			asked.Add(1)
		}
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
	c.want("POST", 502)
	if n := asked.Load(); n != 1 {
		t.Errorf("sent %d times", n)
	}
	c.send(get)
	c.want("GET", 502)
	if r := g.record(2); r.cause != "UC" || asked.Load() != 2 {
		t.Errorf("%+v; asked %d times: there is only one endpoint", r, asked.Load())
	}
}

func TestRefusedConnectionGoesElsewhere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := ln.Addr().String()
	_ = ln.Close()
	g := start(t, one(dead, says(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")), parts{})
	c := g.dial()
	for range 20 {
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
		c.want("POST", 200)
	}
	g = start(t, one(dead), parts{})
	c = g.dial()
	c.send(get)
	if body := c.want("GET", 502); !strings.Contains(body, "connect_failed") {
		t.Error(body)
	}
}

// After a connection that turned out to be closed, a call goes to another
// endpoint, if there is one: whose process was killed may have left as many such
// connections as a call has tries.
func TestAnotherEndpointAfterAStaleConnection(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
	once := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) { // answers one call of each connection
		if _, err := head(br); err == nil {
			_, _ = io.WriteString(nc, answer+"it")
			_, _ = head(br)
		}
	})
	me := says(t, answer+"me")
	g := start(t, one(once, me), parts{})
	c := g.dial()
	twice := 0
	for n := range 300 {
		if n%2 == 1 { // even one that has been ejected
			for i := range 2 {
				if ep := g.endpoint(i); ep.Addr == me {
					ep.Outlier.Failed(moment.Now())
				}
			}
		}
		c.send(get)
		who := c.want("GET", 200)
		if r := g.record(n + 1); r.tries > 1 {
			twice++
			if r.tries > 2 || who != "me" {
				t.Fatalf("call %d took %d tries, the last at %q", n, r.tries, who)
			}
		}
	}
	if twice == 0 {
		t.Error("no call met a connection that was closed")
	}
}
