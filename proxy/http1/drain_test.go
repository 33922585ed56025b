package http1_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/proxy/http1"
)

// Nobody waits for a connection that a drain has closed.
func TestDrainDoesNotWaitForSilentClients(t *testing.T) {
	g := start(t, one(says(t, ok)), parts{})
	silent := g.dial()
	used := g.dial()
	used.send(get)
	used.want("GET", 200)
	for g.server.Open() < 2 {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	if err := g.server.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("took %v", took)
	}
	silent.wantClosed()
	used.wantClosed()
}

// Connections that come while the drain begins are served or closed, and none
// outlives it.
func TestDrainWhileClientsCome(t *testing.T) {
	for range 20 {
		g := start(t, one(says(t, ok)), parts{})
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for {
					nc, err := net.Dial("tcp", g.addr)
					if err != nil {
						return
					}
					_, _ = io.WriteString(nc, get)
					_, _ = bufio.NewReader(nc).ReadString('\n')
					_ = nc.Close()
				}
			})
		}
		g.record(5)
		if err := g.server.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := g.server.Open(); n != 0 {
			t.Errorf("%d connections outlived the drain", n)
		}
		clients.Wait()
	}
}

// The answer of a call that a drain has to wait for says that it is the last.
func TestAnswerWhileDraining(t *testing.T) {
	goOn := make(chan struct{})
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		_, _ = head(br)
		<-goOn
		_, _ = io.WriteString(nc, ok)
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	c.send(get)
	g.inFlight(1)
	drained := make(chan error)
	go func() { drained <- g.server.Drain(t.Context()) }()
	for {
		nc, err := net.Dial("tcp", g.addr)
		if err != nil {
			break
		}
		_ = nc.Close()
	}
	close(goOn)
	r, body, err := c.answer("GET")
	if err != nil || body != "ok" || !r.Close {
		t.Errorf("%+v %q, %v", r, body, err)
	}
	c.wantClosed()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A drain whose time is over ends calls whose endpoint is silent.
func TestForcedDrain(t *testing.T) {
	for name, answer := range map[string]string{
		"thinking": "", "streaming": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
				_, _ = head(br)
				_, _ = io.WriteString(nc, answer)
				_, _ = io.Copy(io.Discard, br)
			})
			g := start(t, one(addr), parts{})
			c, uploads := g.dial(), g.dial()
			c.send(get)
			uploads.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
			g.inFlight(2)
			time.Sleep(30 * time.Millisecond) // the Watcher looks at the client by then
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			began := time.Now()
			if err := g.server.Drain(ctx); !errors.Is(err, http1.ErrForced) {
				t.Errorf("drained with %v", err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}
