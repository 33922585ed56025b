package http1_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// What the rules of a function mean for calls that are handed over.

// turnsAway is a router that turns calls away at its door, each once it is let.
func turnsAway(t *testing.T) (address string, came chan struct{}, let func()) {
	t.Helper()
	came, open := make(chan struct{}, 10), make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		came <- struct{}{}
		<-open
		w.Header().Set("X-Weir-Handed", "refused")
		w.WriteHeader(503)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), came, func() { open <- struct{}{} }
}

// The time of one try is not that of a call which the holder holds.
func TestHandedCallIsNoTryInTime(t *testing.T) {
	t.Parallel()
	asked := newRouter(t, "", func(cfg *config.Config) { cfg.Functions["f"].Timeouts.PerTry = 50 * time.Millisecond })
	holder := newRouter(t, "", trustLoopback)
	holder.keeper.Routers([]table.Router{{Address: holder.addr, Self: true}})
	asked.handsTo(t, holder.addr)
	c := asked.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
	holder.held(1)
	time.Sleep(200 * time.Millisecond)
	holder.raise(t, 0, hello)
	c.want("POST", 200)
	if r := asked.record(1); r.tries != 1 {
		t.Errorf("%+v", r)
	}
}

// The retries of an answer are the holder's: it has made as many as there may be.
func TestHandedCallIsTriedAgainThere(t *testing.T) {
	t.Parallel()
	again := func(cfg *config.Config) {
		cfg.Functions["f"].Retries = &config.Retries{Attempts: 1, RetryOn: []string{"503"}, Budget: config.RetryBudget{Percent: 100, MinPerSecond: 10}}
	}
	asked := newRouter(t, "", again)
	holder := newRouter(t, "", func(cfg *config.Config) { trustLoopback(cfg); again(cfg) })
	holder.keeper.Routers([]table.Router{{Address: holder.addr, Self: true}})
	asked.handsTo(t, holder.addr)
	c := asked.dial()
	c.send(get)
	holder.held(1)
	var n atomic.Int64
	holder.raise(t, 0, func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		w.WriteHeader(503)
	})
	c.want("GET", 503)
	if n.Load() != 2 || asked.ups.Load() != 0 {
		t.Errorf("the instance had it %d times, %d starts here", n.Load(), asked.ups.Load())
	}
}

// The cookie is that of the holder's endpoint.
func TestHandedCallHasOneCookie(t *testing.T) {
	t.Parallel()
	sticky := func(cfg *config.Config) {
		cfg.Functions["f"].LoadBalancing.Sticky = &config.StickyEndpoint{Cookie: "weir"}
	}
	asked := newRouter(t, "", sticky)
	holder := newRouter(t, "", func(cfg *config.Config) { trustLoopback(cfg); sticky(cfg) })
	holder.keeper.Routers([]table.Router{{Address: holder.addr, Self: true}})
	asked.handsTo(t, holder.addr)
	c := asked.dial()
	c.send(get)
	holder.held(1)
	holder.raise(t, 0, hello)
	r, _, err := c.answer("GET")
	if err != nil || len(r.Cookies()) != 1 || r.Cookies()[0].Value == "0000000000000000" {
		t.Fatalf("%v %v", err, r.Cookies())
	}
}

// A copy starts nothing, at the holder neither.
func TestCopyIsNotHandedOver(t *testing.T) {
	t.Parallel()
	asked := newRouter(t, "", func(cfg *config.Config) {
		cfg.Routes[0].Mirror = &config.Mirror{Function: "f", Percent: 100, MaxInFlight: 1}
	})
	holder := newRouter(t, "", trustLoopback)
	holder.keeper.Routers([]table.Router{{Address: holder.addr, Self: true}})
	asked.handsTo(t, holder.addr)
	c := asked.dial()
	c.send(get)
	eventually(t, "the copy has ended", func() bool {
		m := &asked.keeper.Table().Functions["f"].Mirrors
		return m.Ended(table.MirrorUnavailable) == 1
	})
	holder.held(1)
	holder.raise(t, 0, hello)
	c.want("GET", 200)
}

// A call that the holder refused has not stood in line yet: a full one is as full for it
// as for anybody.
func TestRefusedCallsFindTheLineFull(t *testing.T) {
	t.Parallel()
	asked := newRouter(t, ", max_pending: 1", func(*config.Config) {})
	address, came, let := turnsAway(t)
	asked.handsTo(t, address)
	one, two := asked.dial(), asked.dial()
	one.send(get)
	two.send(get)
	<-came
	<-came
	let()
	let()
	if r := asked.record(1); r.cause != "CSQ" || asked.handed.Load() != 0 {
		t.Errorf("%+v, %d handed over", r, asked.handed.Load())
	}
	asked.held(1)
	asked.raise(t, 0, hello)
}

// A call that the holder refused is for its fallback as any that was held for long
// enough.
func TestRefusedCallFallsBack(t *testing.T) {
	t.Parallel()
	asked := newRouter(t, "", func(cfg *config.Config) {
		cfg.Routes[0].WhileCold = &config.WhileCold{Fallback: &config.Fallback{After: 50 * time.Millisecond, Status: 202}}
	})
	address, _, let := turnsAway(t)
	let()
	asked.handsTo(t, address)
	c := asked.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
	c.want("POST", 202)
}

// One that had stood in line before has its place back, though the line is full by then.
func TestRefusedCallComesBackToItsPlace(t *testing.T) {
	t.Parallel()
	asked := newRouter(t, ", concurrency: 1, max_pending: 2", func(*config.Config) {})
	address, came, let := turnsAway(t)
	asked.handsTo(t, address)
	one, two, three := asked.dial(), asked.dial(), asked.dial()
	one.send(get)
	<-came
	two.send(get)
	asked.held(1) // as many are with the other one as may be
	let()
	<-came // the second one now
	asked.held(1)
	three.send(get)
	asked.held(2)
	let()
	asked.held(3)
	asked.raise(t, 0, hello)
	for _, c := range []*client{one, two, three} {
		c.want("GET", 200)
	}
}

// The holder's line has its share of all calls that may be held: that is a refusal as any.
func TestHolderHasItsShare(t *testing.T) {
	t.Parallel()
	asked, holder := routers(t, "", "", func(cfg *config.Config) {
		trustLoopback(cfg)
		cfg.ColdStart.MaxPending = 40
	})
	for range 20 {
		holder.dial().send(get)
	}
	holder.held(20)
	c := holder.dial()
	c.send(get)
	c.problem(429)
	d := asked.dial()
	d.send(get)
	asked.held(1)
	asked.raise(t, 0, hello)
	d.want("GET", 200)
}

// A way is a Transport that ends every try with an error.
type way struct {
	table.Transport
	err   error
	tries *atomic.Int64
}

func (w way) Try(*message.Exchange) error {
	w.tries.Add(1)
	return w.err
}
func (way) Configure(*table.Settings)   {}
func (way) CloseIdle()                  {}
func (way) Probe(context.Context) error { return nil }

// blocked starts a router of which nobody can be connected to: no other router, and no
// instance of its own.
func blocked(t *testing.T, err error) (asked *router, there, here *atomic.Int64) {
	t.Helper()
	there, here = new(atomic.Int64), new(atomic.Int64)
	asked = &router{stage: &stage{}}
	asked.gateway = asked.stage.start(t, "", parts{
		prepare: func(cfg *config.Config) { cfg.Functions["f"].ColdStart.Placement = "one_router" },
		transport: func(addr string) table.Transport {
			if addr == "10.0.0.1:80" {
				return way{err: err, tries: there}
			}
			return way{err: fmt.Errorf("%w: %w", message.ErrConnect, unix.ECONNREFUSED), tries: here} // though probes are accepted
		},
	})
	asked.handsTo(t, "10.0.0.1:80")
	return asked, there, here
}

// A call that was to be handed over, and was not, goes back to the line as often as any
// other: an instance that says it is ready and is not has a fault to tell.
func TestReturnsAreCountedAfterARouter(t *testing.T) {
	t.Parallel()
	asked, there, here := blocked(t, message.ErrConnect)
	c := asked.dial()
	c.send(get)
	asked.held(1)
	asked.set(discovery.Endpoint{ID: "i", Addr: "127.0.0.1:1", Weight: 1})
	c.want("GET", 502)
	if there.Load() != 1 || here.Load() != 4 {
		t.Errorf("%d tries at the router, %d at the instance; want 1 and 4", there.Load(), here.Load())
	}
}

// Who does not accept a connection in time rests like one that refuses it: otherwise every
// call would wait that long.
func TestSilentRouterRests(t *testing.T) {
	t.Parallel()
	asked, there, _ := blocked(t, message.ErrConnectTimeout)
	for range 3 {
		c := asked.dial()
		c.send(get)
		asked.held(1)
		_ = c.Close() // or the next one would stand behind it, and not look
		asked.held(0)
	}
	if n := there.Load(); n != 1 {
		t.Errorf("%d of 3 calls went to a router that does not accept connections", n)
	}
}
