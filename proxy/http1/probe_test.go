package http1_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/proxy/http1"
	"github.com/weir-gateway/weir/proxy/table"
)

// A porter is an instance that notes what each connection to it carries.
type porter struct {
	mu      sync.Mutex
	carried []string // the request lines of each connection, in the order of accepting
	bodies  map[string]int
}

func (p *porter) serve(ln net.Listener) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		n := len(p.carried)
		p.carried = append(p.carried, "")
		p.mu.Unlock()
		go func() {
			defer nc.Close()
			for br := bufio.NewReader(nc); ; {
				text, err := head(br)
				if err != nil {
					return
				}
				line, _, _ := strings.Cut(text, " HTTP/1.1")
				body := make([]byte, 2)
				if _, err := io.ReadFull(br, body); err != nil {
					line += " cut short"
				}
				p.mu.Lock()
				p.carried[n] += line + ";"
				p.bodies[line+" "+string(body)]++
				p.mu.Unlock()
				_, _ = io.WriteString(nc, ok)
			}
		}()
	}
}

// A prober is a transport whose probes are counted.
type prober struct {
	table.Transport
	probes *atomic.Int64
}

func (p prober) Probe(ctx context.Context) error {
	p.probes.Add(1)
	return p.Transport.Probe(ctx)
}

// Who finds out whether an instance listens is weir and no call (C15): while it
// refuses no call is tried there, and once it listens each is sent once, the first
// on the connection that has found out (C13).
func TestNoCallIsAProbe(t *testing.T) {
	t.Parallel()
	s, probes := &stage{}, &atomic.Int64{}
	g := start(t, "functions: { f: { cold_start: { scaler: process, concurrency: 1 }, process: { command: [none] } } }\nroutes: [{ path_prefix: /, function: f }]\n",
		parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}, transport: func(addr string) table.Transport { return prober{http1.NewPool(addr), probes} }})
	at := newRefuser(t).addr
	const n = 20
	var clients []*client
	for i := range n {
		c := g.dial()
		fmt.Fprintf(c, "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", i)
		clients = append(clients, c)
		g.held(i + 1)
	}
	s.set(discovery.Endpoint{ID: "i", Addr: at, Weight: 1, Slots: 1, Unproven: true})
	eventually(t, "it is connected to again and again", func() bool { return probes.Load() >= 10 })
	g.held(n)

	p := &porter{bodies: map[string]int{}}
	p.listen(t, at)
	for i, c := range clients {
		c.want("POST", 200)
		if r := g.record(i + 1); r.tries != 1 {
			t.Errorf("recorded %+v", r)
		}
	}
	p.carriedOnce(t, n)
}

// listen has the porter at an address until the test ends.
func (p *porter) listen(t *testing.T, at string) {
	t.Helper()
	ln, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go p.serve(ln)
}

// carriedOnce checks that each of n calls came once, and the first on the first
// connection.
func (p *porter) carriedOnce(t *testing.T, n int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range n {
		if times := p.bodies[fmt.Sprintf("POST /%d hi", i)]; times != 1 {
			t.Errorf("the call %d was sent %d times", i, times)
		}
	}
	if !strings.HasPrefix(p.carried[0], "POST /0;") {
		t.Errorf("the connection that found out carried %q", p.carried[0])
	}
}

// With ready_path, ready is who says so: an instance that accepts connections and is
// not done with its preparations has no call, whatever its platform thinks of it.
func TestReadyPath(t *testing.T) {
	t.Parallel()
	g, s := cold(t, ", ready_path: '/ready?deep'")
	var ready atomic.Bool
	var asked, called atomic.Int64
	c := g.dial()
	c.send(posted)
	g.held(1)
	g.inState("starting")
	s.raise(t, 1, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.RequestURI == "/ready?deep" && ready.Load():
			asked.Add(1)
			w.WriteHeader(204)
		case r.RequestURI == "/ready?deep":
			asked.Add(1)
			w.WriteHeader(503)
		default:
			called.Add(1)
			if !ready.Load() {
				t.Error("it has a call before it is ready")
			}
			echo(w, r)
		}
	})
	eventually(t, "it is asked again and again", func() bool { return asked.Load() >= 10 })
	g.held(1)
	ready.Store(true)
	c.want("POST", 200)
	if r := g.record(1); r.tries != 1 || called.Load() != 1 {
		t.Errorf("recorded %+v, %d calls came", r, called.Load())
	}
	was := asked.Load()
	for range 5 { // it is called now, and no longer asked
		c.send(posted)
		c.want("POST", 200)
	}
	if asked.Load() != was {
		t.Errorf("asked %d times more", asked.Load()-was)
	}
}
