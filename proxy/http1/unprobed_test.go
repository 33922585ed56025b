package http1_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/proxy/http1"
	"github.com/weir-gateway/weir/proxy/table"
)

// unprobed is a function that is ready when its platform says where it is, and a
// count of weir's own connections to see whether it is.
func unprobed(t *testing.T) (*gateway, *stage, *atomic.Int64) {
	t.Helper()
	s, probes := &stage{}, &atomic.Int64{}
	g := start(t, "functions: { f: { cold_start: { scaler: process, concurrency: 1, ready_probe: none }, process: { command: [none] } } }\n"+
		"routes: [{ path_prefix: /, function: f }]\n",
		parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s},
			transport: func(addr string) table.Transport { return prober{http1.NewPool(addr), probes} }})
	return g, s, probes
}

// With ready_probe: none an address from the platform is enough (C13): the call is
// on its way without a look, though nobody has vouched for it.
func TestNoProbe(t *testing.T) {
	t.Parallel()
	g, s, probes := unprobed(t)
	r := newRefuser(t)
	r.listen(echo)
	c := g.dial()
	c.send(posted)
	g.held(1)
	g.inState("starting")
	ep := r.endpoint()
	ep.Unproven = true
	s.set(ep)
	c.want("POST", 200)
	if r := g.record(1); r.tries != 1 || probes.Load() != 0 {
		t.Errorf("recorded %+v, %d probes", r, probes.Load())
	}
}

// If it does not listen after all, the call that found out is the first in line
// again, any method, and weir connects from then on: no further call is tried there.
func TestNoProbeAndNobodyListens(t *testing.T) {
	t.Parallel()
	g, s, probes := unprobed(t)
	const n = 5
	p := &porter{bodies: map[string]int{}}
	var clients []*client
	for i := range n {
		c := g.dial()
		c.send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", i))
		clients = append(clients, c)
		g.held(i + 1)
	}
	g.inState("starting")
	r := newRefuser(t)
	s.set(discovery.Endpoint{ID: "i", Addr: r.addr, Weight: 1, Slots: 1, Unproven: true})
	eventually(t, "it is connected to again and again", func() bool { return probes.Load() >= 10 })
	g.held(n)
	eventually(t, "the start goes on", func() bool { return s.ups.Load() == 2 && s.downs.Load() == 0 })
	p.listen(t, r.addr)
	for _, c := range clients {
		c.want("POST", 200)
	}
	refused := 0
	for i := range n {
		r := g.record(i + 1)
		refused += r.tries - 1
		if r.status != 200 {
			t.Errorf("recorded %+v", r)
		}
	}
	if refused != 1 {
		t.Errorf("%d tries were refused, want the first call's alone", refused)
	}
	p.carriedOnce(t, n)
}
