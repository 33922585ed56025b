package http1_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
)

// A desk serves calls, each as long as nobody lets it go.
type desk struct {
	addr         string
	in, most     atomic.Int64
	mu           sync.Mutex
	paths        []string
	letGo, stops chan struct{}
}

func newDesk(t testing.TB) *desk {
	d := &desk{letGo: make(chan struct{}), stops: make(chan struct{})}
	s := httptest.NewServer(http.HandlerFunc(d.serve))
	d.addr = s.Listener.Addr().String()
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(d.stops) })
	return d
}

func (d *desk) serve(w http.ResponseWriter, r *http.Request) {
	n := d.in.Add(1)
	defer d.in.Add(-1)
	for most := d.most.Load(); n > most && !d.most.CompareAndSwap(most, n); most = d.most.Load() {
	}
	d.mu.Lock()
	d.paths = append(d.paths, r.URL.Path)
	d.mu.Unlock()
	select {
	case <-d.letGo:
	case <-d.stops:
	}
	_, _ = io.WriteString(w, "ok")
}

// asks sends a call and waits until the desk has it.
func (d *desk) asks(t testing.TB, c *client, path string) {
	t.Helper()
	before := d.in.Load()
	c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
	eventually(t, "the call is at the desk", func() bool { return d.in.Load() == before+1 })
}

func withLimit(settings string, addrs ...string) string {
	return under("concurrency: { "+settings+" }", addrs...)
}

func wantOverloaded(t *testing.T, c *client) {
	t.Helper()
	r, p := c.problem(503)
	if p["type"] != "urn:weir:problem:overloaded" || p["cause"] != "OM" || r.Header.Get("Retry-After") == "" {
		t.Errorf("%v, Retry-After %q", p, r.Header.Get("Retry-After"))
	}
}

func TestLimitOfCallsInFlight(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	g := start(t, withLimit("max_requests: 2", d.addr), parts{})
	first, second, third := g.dial(), g.dial(), g.dial()
	d.asks(t, first, "/")
	d.asks(t, second, "/")
	third.send(get)
	wantOverloaded(t, third)
	if r := g.record(1); r.tries != 0 || r.cause != "OM" {
		t.Errorf("recorded %+v", r)
	}
	d.letGo <- struct{}{}
	eventually(t, "one has ended", func() bool { return d.in.Load() == 1 })
	g.record(2)
	d.asks(t, third, "/")
	close(d.letGo)
	third.want("GET", 200)
	if places := g.keeper.Table().Functions["f"].Places; d.most.Load() != 2 {
		t.Errorf("%d calls at once, of %d", d.most.Load(), places.Limit())
	}
}

func TestPendingCallsGoInOrder(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	g := start(t, withLimit("max_requests: 1, max_pending: 5, queue_timeout: 10s", d.addr), parts{prepare: trustLoopback})
	inside := g.dial()
	d.asks(t, inside, "/0")
	var clients []*client
	for i := range 5 {
		c := g.dial()
		urgency := map[bool]string{true: "Priority: high\r\n"}[i == 4]
		c.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: h\r\n%s\r\n", i+1, urgency))
		g.held(i + 1)
		clients = append(clients, c)
	}
	over := g.dial()
	over.send(get)
	wantOverloaded(t, over)
	_ = clients[1].Close() // /2 leaves
	g.held(4)
	close(d.letGo)
	for i, c := range clients {
		if i != 1 {
			c.want("GET", 200)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if order := strings.Join(d.paths, ""); order != "/0/5/1/3/4" || d.most.Load() != 1 {
		t.Errorf("in the order %s, %d at once", order, d.most.Load())
	}
}

func TestPendingCallsWaitNoLongerThanTheyMay(t *testing.T) {
	t.Parallel()
	f := func(name, settings, field, cause string, status int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			g := start(t, withLimit(settings, d.addr), parts{})
			d.asks(t, g.dial(), "/")
			c := g.dial()
			c.send("GET / HTTP/1.1\r\nHost: h\r\n" + field + "\r\n")
			if status == 503 {
				wantOverloaded(t, c)
			} else {
				c.problem(status)
			}
			if r := g.record(1); r.tries != 0 || r.held == 0 || r.cause != cause {
				t.Errorf("recorded %+v", r)
			}
			if n := g.keeper.Table().Functions["f"].Hold.Len(); n != 0 || d.most.Load() != 1 {
				t.Errorf("%d in line, %d at once", n, d.most.Load())
			}
		})
	}
	f("queue_timeout", "max_requests: 1, max_pending: 1, queue_timeout: 20ms", "", "OM", 503)
	f("the call's own deadline", "max_requests: 1, max_pending: 1, queue_timeout: 10s", "X-Request-Timeout-Ms: 50\r\n", "UT", 504)
}

func TestPendingCallsMakeRoomForMoreUrgentOnes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	g := start(t, withLimit("max_requests: 1, max_pending: 2, queue_timeout: 10s", d.addr), parts{prepare: trustLoopback})
	inside, low, normal, high := g.dial(), g.dial(), g.dial(), g.dial()
	d.asks(t, inside, "/")
	for i, c := range []*client{low, normal} {
		c.send("GET / HTTP/1.1\r\nHost: h\r\nPriority: " + []string{"low", "normal"}[i] + "\r\n\r\n")
		g.held(i + 1)
	}
	high.send("GET / HTTP/1.1\r\nHost: h\r\nPriority: high\r\n\r\n")
	wantOverloaded(t, low)
	close(d.letGo)
	high.want("GET", 200)
	normal.want("GET", 200)
}

// How the limit is found is shaping's; here is shown that calls are what it goes by,
// and that they obey it.
func TestAdaptiveLimitFollowsCalls(t *testing.T) {
	t.Parallel()
	var in, most atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for n := in.Add(1); n > most.Load(); {
			most.Store(n)
		}
		time.Sleep(2 * time.Millisecond)
		in.Add(-1)
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(s.Close)
	g := start(t, withLimit("max_requests: 25, max_pending: 100, queue_timeout: 10s, adaptive: {}", s.Listener.Addr().String()), parts{})
	g.quiet = true
	fn := g.keeper.Table().Functions["f"]
	if n := fn.Places.Limit(); n != 20 {
		t.Errorf("the first limit is %d", n)
	}
	var work sync.WaitGroup
	var done atomic.Bool
	for range 30 {
		c := g.dial()
		work.Go(func() {
			for !done.Load() {
				c.send(get)
				if r, _, err := c.answer("GET"); err != nil || r.StatusCode != 200 {
					t.Error(r, err)
					return
				}
			}
		})
	}
	eventually(t, "the limit has moved", func() bool { return fn.Places.Limit() != 20 })
	done.Store(true)
	work.Wait()
	if n := fn.Places.Limit(); n < 4 || n > 25 || most.Load() > 25 {
		t.Errorf("the limit is %d, %d at once", n, most.Load())
	}
}

// A start takes as long as it takes: those who are held for it do not wait for a
// place, and none of them is turned away when it is there.
func TestLimitLeavesHeldCallsAlone(t *testing.T) {
	t.Parallel()
	s := &stage{}
	p := parts{prepare: func(cfg *config.Config) {
		cfg.Functions["f"].Concurrency = config.Concurrency{MaxRequests: 2, MaxPending: 1, QueueTimeout: time.Millisecond}
	}}
	g := s.start(t, "", p)
	d := newDesk(t)
	var clients []*client
	for i := range 9 {
		c := g.dial()
		c.send(get)
		g.held(i + 1)
		clients = append(clients, c)
	}
	time.Sleep(20 * time.Millisecond) // far over queue_timeout
	s.raise(t, 0, d.serve)
	eventually(t, "two are in flight", func() bool { return d.in.Load() == 2 })
	c := g.dial()
	c.send(get)
	wantOverloaded(t, c) // who comes now meets the line of the limit, which is full
	close(d.letGo)
	for _, c := range clients {
		c.want("GET", 200)
	}
	if n := d.most.Load(); n != 2 {
		t.Errorf("%d at once", n)
	}
}

// Whatever the order of comings and goings, with slots of endpoints as the smaller
// bound or the greater: never more than may be, and nobody is forgotten.
func TestLimitUnderSiege(t *testing.T) {
	t.Parallel()
	f := func(name string, slots, most int64) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			var in, over atomic.Int64
			busy := func(w http.ResponseWriter, r *http.Request) {
				if in.Add(1) > most {
					over.Add(1)
				}
				defer in.Add(-1)
				time.Sleep(time.Duration(len(r.URL.Path)%3) * 100 * time.Microsecond)
				_, _ = io.WriteString(w, "ok")
			}
			var endpoints []string
			for range 2 {
				s := httptest.NewServer(http.HandlerFunc(busy))
				t.Cleanup(s.Close)
				endpoints = append(endpoints, fmt.Sprintf("{ address: '%s', slots: %d }", s.Listener.Addr(), slots))
			}
			doc := strings.Replace(withLimit("max_requests: 5, max_pending: 100, queue_timeout: 10s", ""), "''", strings.Join(endpoints, ", "), 1)
			g := start(t, doc, parts{})
			var work sync.WaitGroup
			for i := range 32 {
				c := g.dial()
				work.Go(func() {
					for n := range 40 {
						if i%8 == 7 && n == 20 { // some leave in the middle
							_, _ = io.WriteString(c, get)
							_ = c.Close()
							return
						}
						c.send("GET /" + strings.Repeat("x", n) + " HTTP/1.1\r\nHost: h\r\n\r\n")
						r, body, err := c.answer("GET")
						if err != nil || r.StatusCode != 200 {
							t.Errorf("%v %v %s", err, r, body)
							return
						}
					}
				})
			}
			work.Wait()
			fn := g.keeper.Table().Functions["f"]
			eventually(t, "all places are free", func() bool { return fn.Places.InFlight() == 0 && fn.Hold.Empty() })
			if n := over.Load(); n > 0 {
				t.Errorf("%d times over the limit", n)
			}
		})
	}
	f("the limit is smaller", 4, 5)
	f("the slots are fewer", 2, 4)
}
