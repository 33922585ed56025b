package http1_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/discovery"
)

// What a caller may say about being held, and what it is told.

func TestPreferWaitCapsTheHold(t *testing.T) {
	t.Parallel()
	g, s := cold(t, "")
	c := g.dial()
	began := time.Now()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nPrefer: wait=1\r\n\r\n")
	r, p := c.problem(503)
	if took := time.Since(began); took < time.Second || took > 8*time.Second {
		t.Errorf("held for %v", took)
	}
	if r.Header.Get("Preference-Applied") != "wait=1" || r.Header.Get("X-Weir-Cold") != "held" || r.Header.Get("Retry-After") == "" ||
		r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", r.Header)
	}
	if p["cause"] != "CST" || p["reason"] != "hold_deadline" || p["phase"] != "boot" || p["held"] != 0. {
		t.Errorf("%v", p)
	}
	c.send("GET / HTTP/1.1\r\nHost: h\r\nPrefer: wait=100\r\n\r\n")
	g.held(1)
	s.raise(t, 0, echo)
	answer, _, err := c.answer("GET")
	if err != nil || answer.StatusCode != 200 || answer.Header.Get("Preference-Applied") != "wait=100" || answer.Header.Get("X-Weir-Cold") != "held" {
		t.Errorf("%v %v", answer, err)
	}
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if answer, _, err = c.answer("GET"); err != nil || answer.Header.Get("X-Weir-Cold") != "hit" || answer.Header.Get("Server-Timing") != "" {
		t.Errorf("%v %v", answer, err)
	}
}

func TestServerTiming(t *testing.T) {
	t.Parallel()
	g, s := cold(t, ", server_timing: true, cold_header: false")
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	g.held(1)
	time.Sleep(20 * time.Millisecond)
	s.raise(t, 0, echo)
	r, _, err := c.answer("GET")
	if err != nil {
		t.Fatal(err)
	}
	var hold, start float64
	if n, _ := fmt.Sscanf(r.Header.Get("Server-Timing"), "hold;dur=%g, start;dur=%g", &hold, &start); n < 1 || hold < 20 {
		t.Errorf("Server-Timing: %s", r.Header.Get("Server-Timing"))
	}
	if r.Header.Get("X-Weir-Cold") != "" {
		t.Error("X-Weir-Cold is switched off, and there")
	}
}

func TestPrioritiesInLine(t *testing.T) {
	s := &stage{}
	g := start(t, `
functions:
  f: { cold_start: { scaler: process, concurrency: 1 }, process: { command: [none] } }
routes:
  - { path_prefix: /, function: f }
  - { path_prefix: /batch, function: f, priority: low }
`, parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}, prepare: trustLoopback})
	var clients []*client
	for i, call := range []string{"/batch/0", "/1", "/2 low", "/batch/3 u=0", "/4 u=3, i", "/5 high"} {
		path, priority, _ := strings.Cut(call, " ")
		c := g.dial()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: h\r\nPriority: %s\r\n\r\n", path, priority)
		clients = append(clients, c)
		g.held(i + 1)
	}
	var mu sync.Mutex
	var order []string
	s.raise(t, 1, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, r.URL.Path)
	})
	for _, c := range clients {
		c.want("GET", 200)
	}
	// The first in line had been let look already when the others came.
	if got := strings.Join(order, " "); got != "/batch/3 /5 /1 /4 /batch/0 /2" && got != "/batch/0 /batch/3 /5 /1 /4 /2" {
		t.Errorf("served in the order %s", got)
	}
}

// The newest go first once half of the time of the first in line is over, every
// ninth aside; and when it has gone, all go in order again.
func TestNewestFirstInALineThatIsLate(t *testing.T) {
	t.Parallel()
	g, s := cold(t, ", concurrency: 1, overload_order: lifo, max_wait: 60s }, timeouts: { request: 60s")
	const n = 13
	var clients []*client
	for i := range n {
		c := g.dial()
		wait := 60
		if i == 0 {
			wait = 6
		}
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: h\r\nPrefer: wait=%d\r\n\r\n", i, wait)
		clients = append(clients, c)
		g.held(i + 1)
	}
	time.Sleep(3100 * time.Millisecond)
	var mu sync.Mutex
	var order []string
	s.raise(t, 1, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, r.URL.Path)
	})
	for _, c := range clients {
		c.want("GET", 200)
	}
	if got := strings.Join(order, " "); got != "/12 /11 /10 /9 /8 /7 /6 /5 /0 /1 /2 /3 /4" {
		t.Errorf("served in the order %s", got)
	}
	if n := g.keeper.Pool().Held(); n != 0 {
		t.Errorf("%d places are still taken", n)
	}
}

func TestPriorityOfAStrangerIsNotBelieved(t *testing.T) {
	g, s := cold(t, ", concurrency: 1")
	var clients []*client
	for i := range 3 {
		c := g.dial()
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: h\r\nPriority: u=%d\r\n\r\n", i, 5-2*i)
		clients = append(clients, c)
		g.held(i + 1)
	}
	var order []string
	s.raise(t, 1, func(_ http.ResponseWriter, r *http.Request) { order = append(order, r.URL.Path) })
	for _, c := range clients {
		c.want("GET", 200)
	}
	if !slices.IsSorted(order) {
		t.Errorf("served in the order %v", order)
	}
}

func TestAFloodedFunctionIsToldSoAndOthersAreHeld(t *testing.T) {
	s := &stage{}
	g := start(t, `
cold_start: { max_pending: 40 }
functions:
  f: { cold_start: { scaler: process }, process: { command: [none] } }
  g: { cold_start: { scaler: process }, process: { command: [none] } }
routes: [{ path_prefix: /, function: f }, { path_prefix: /g, function: g }]
`, parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}})
	for range 20 {
		g.dial().send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	}
	g.held(20)
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	r, p := c.problem(429)
	if p["reason"] != "shed" || p["cause"] != "CSS" || p["held"] != 20. || r.Header.Get("Retry-After") != "1" {
		t.Errorf("%v %v", p, r.Header)
	}
	c.send("GET /g HTTP/1.1\r\nHost: h\r\n\r\n")
	for began := time.Now(); g.keeper.Table().Functions["g"].Hold.Len() != 1; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the other function's call is not held")
		}
	}
}

func TestHeldBytesAreBounded(t *testing.T) {
	s := &stage{}
	g := start(t, `
cold_start: { max_bytes: 128KiB }
functions: { f: { cold_start: { scaler: process }, process: { command: [none] } } }
routes: [{ path_prefix: /, function: f }]
`, parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}})
	head := "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\nX-Long: " + strings.Repeat("x", 12<<10) + "\r\n\r\n"
	n := 0
	for refused := false; !refused && n < 20; {
		c := g.dial()
		c.send(head)
		for began := time.Now(); ; time.Sleep(time.Millisecond) {
			if g.keeper.Table().Functions["f"].Hold.Len() == n+1 {
				n++
				break
			}
			g.mu.Lock()
			refused = len(g.records) > 0
			g.mu.Unlock()
			if refused {
				break
			}
			if time.Since(began) > 10*time.Second {
				t.Fatal("neither held nor refused")
			}
		}
	}
	if bytes := g.keeper.Pool().Bytes(); n < 4 || n > 10 || bytes > 128<<10 || bytes < int64(n)*(12<<10) {
		t.Errorf("%d calls are held with %d bytes", n, bytes)
	}
	if r := g.record(1); r.cause != "CSQ" || !errors.Is(r.err, coldstart.ErrBytesFull) {
		t.Errorf("recorded %+v", r)
	}
}

// A refuser is an instance that lives and takes no connections, until it is told
// to listen. Its address is one that no other test's listener is given.
type refuser struct {
	t    *testing.T
	addr string
}

func newRefuser(t *testing.T) *refuser {
	t.Helper()
	ln, err := net.Listen("tcp", "127.84.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	return &refuser{t, ln.Addr().String()}
}

func (r *refuser) listen(h http.HandlerFunc) (stop func() error) {
	r.t.Helper()
	ln, err := net.Listen("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(ln) }()
	r.t.Cleanup(func() { _ = server.Close() })
	return server.Close
}

func (r *refuser) endpoint() discovery.Endpoint {
	return discovery.Endpoint{ID: "refuser", Addr: r.addr, Weight: 1, Slots: 1}
}

const posted = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"

// refused is a gateway with a call that the only instance has refused.
func refused(t *testing.T) (*gateway, *stage, *refuser, *client) {
	t.Helper()
	g, s := cold(t, ", concurrency: 1")
	r := newRefuser(t)
	c := g.dial()
	c.send(posted)
	g.held(1)
	g.inState("starting") // else it is taken for one that was there before
	s.set(r.endpoint())
	eventually(t, "the platform is asked again", func() bool { return s.ups.Load() == 2 })
	return g, s, r, c
}

// An instance that is there and refuses takes no call until it listens: the one
// it refused goes back to its place, and the platform is asked again.
func TestInstanceThatRefuses(t *testing.T) {
	t.Parallel()
	g, _, r, c := refused(t)
	g.held(1)
	g.inState("starting")
	if set := g.keeper.Table().Functions["f"].Set().Endpoints; len(set) != 0 {
		t.Errorf("%s is still in the set", set[0].ID)
	}
	r.listen(echo)
	c.want("POST", 200)
	if r := g.record(1); r.tries != 2 {
		t.Errorf("recorded %+v", r)
	}
	g.inState("warm")
}

// One of two refuses: the other has the calls, also the one that went back.
func TestOneOfTwoInstancesRefuses(t *testing.T) {
	t.Parallel()
	g, s, r, c := refused(t)
	well := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(well.Close)
	s.set(r.endpoint(), discovery.Endpoint{ID: "well", Addr: well.Listener.Addr().String(), Weight: 1, Slots: 1})
	c.want("POST", 200)
	for range 20 {
		c.send(posted)
		c.want("POST", 200)
	}
	for i := range 21 {
		if r := g.record(i + 1); r.tries > 2 || i > 0 && r.tries > 1 {
			t.Errorf("recorded %+v", r)
		}
	}
}

// One that never listens ends as a start that took too long, and is stopped.
func TestInstanceThatOnlyRefuses(t *testing.T) {
	t.Parallel()
	g, s := cold(t, ", concurrency: 1, start_timeout: 2s")
	r := newRefuser(t)
	c := g.dial()
	c.send(posted)
	g.held(1)
	g.inState("starting")
	s.set(r.endpoint())
	c.want("POST", 503)
	if r := g.record(1); r.tries != 1 || r.cause != "CSF" {
		t.Errorf("recorded %+v", r)
	}
	eventually(t, "it is stopped", func() bool { return s.downs.Load() == 1 })
}

// One that has served, lives and listens no more is replaced, long before its start
// would have taken too long, and the call that found out is served by the next.
func TestInstanceThatListensNoMoreIsReplaced(t *testing.T) {
	t.Parallel()
	g, s := cold(t, ", concurrency: 1")
	r := newRefuser(t)
	c := g.dial()
	c.send(posted)
	g.held(1)
	g.inState("starting")
	stop := r.listen(echo)
	s.set(r.endpoint())
	c.want("POST", 200)
	_ = stop()
	c.send(posted)
	eventually(t, "it is stopped, and another asked for", func() bool { return s.downs.Load() == 1 && s.ups.Load() == 3 })
	g.held(1)
	s.raise(t, 1, echo)
	c.want("POST", 200)
	if r := g.record(2); r.status != 200 || r.cause != "" {
		t.Errorf("recorded %+v", r)
	}
}

// Calls that are refused keep their order, and none is lost or counted twice.
func TestRefusedCallsKeepTheirPlace(t *testing.T) {
	g, s := cold(t, ", concurrency: 1")
	const n = 10
	var clients []*client
	for i := range n {
		c := g.dial()
		fmt.Fprintf(c, "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", i)
		clients = append(clients, c)
		g.held(i + 1)
	}
	g.inState("starting")
	s.set(newRefuser(t).endpoint())
	eventually(t, "the platform is asked again", func() bool { return s.ups.Load() == 2 })
	s.set() // and is found out
	g.inState("starting")
	g.held(n)
	var mu sync.Mutex
	var order []string
	s.raise(t, 1, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, r.URL.Path)
	})
	for _, c := range clients {
		c.want("POST", 200)
	}
	for i, path := range order {
		if path != fmt.Sprintf("/%d", i) {
			t.Fatalf("served in the order %v", order)
		}
	}
	g.record(n)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.records) != n {
		t.Errorf("%d records of %d calls", len(g.records), n)
	}
}

// An instance without a limit gets eight calls first, and more with every
// answer.
func TestSlowStart(t *testing.T) {
	g, s := cold(t, "")
	const n = 100
	var clients []*client
	for range n {
		c := g.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		clients = append(clients, c)
	}
	g.held(n)
	var inside, answered, broken atomic.Int64
	s.raise(t, 0, func(http.ResponseWriter, *http.Request) {
		if now := inside.Add(1); now > 8+answered.Load()+inside.Load()-now+1 {
			broken.Store(now)
		}
		time.Sleep(5 * time.Millisecond)
		inside.Add(-1)
		answered.Add(1)
	})
	for _, c := range clients {
		c.want("GET", 200)
	}
	if now := broken.Load(); now > 0 {
		t.Errorf("%d calls at once, and no answer had allowed that", now)
	}
}

// An instance that works on four at once does not get hundreds for answering four.
func TestSlowStartStopsWhereAnswersSlowDown(t *testing.T) {
	g, s := cold(t, "")
	const n = 600
	var clients []*client
	for range n {
		c := g.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		clients = append(clients, c)
	}
	g.held(n)
	var inside, most atomic.Int64
	workers := make(chan struct{}, 4)
	s.raise(t, 0, func(http.ResponseWriter, *http.Request) {
		now := inside.Add(1)
		for was := most.Load(); now > was && !most.CompareAndSwap(was, now); {
			was = most.Load()
		}
		workers <- struct{}{}
		time.Sleep(5 * time.Millisecond)
		<-workers
		inside.Add(-1)
	})
	for _, c := range clients {
		c.want("GET", 200)
	}
	// It is 30 or so (shaping, TestWindowStopsAtTheKnee); on a busy machine the first
	// answers take longer, and more.
	if most := most.Load(); most >= 256 {
		t.Errorf("%d calls at once", most)
	}
}

// Streams are never answered to their end: time opens the window as well.
func TestSlowStartOfSlowAnswers(t *testing.T) {
	t.Parallel()
	g, s := cold(t, "")
	const n = 20
	var clients []*client
	for range n {
		c := g.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		clients = append(clients, c)
	}
	g.held(n)
	all := make(chan struct{})
	var inside atomic.Int64
	s.raise(t, 0, func(http.ResponseWriter, *http.Request) {
		if inside.Add(1) == n {
			close(all)
		}
		<-all // nobody is answered before all are there
	})
	for _, c := range clients {
		c.want("GET", 200)
	}
}

func TestRefusalsAllocateNothing(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	s := &stage{}
	doc := "functions: { f: { cold_start: { scaler: process, max_pending: 1 }, process: { command: [none] } } }\nroutes: [{ path_prefix: /, function: f }]\n"
	g := start(t, doc, parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}})
	g.quiet = true
	g.dial().send("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Timeout-Ms: 60000\r\n\r\n")
	g.held(1)
	c := g.dial()
	buf, send := make([]byte, 4096), []byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	call := func() {
		if _, err := c.Write(send); err != nil {
			t.Fatal(err)
		}
		for have := 0; !bytes.HasSuffix(buf[:have], []byte("}\n")); {
			n, err := c.Conn.Read(buf[have:])
			if err != nil {
				t.Fatal(err)
			}
			have += n
		}
	}
	for range 200 {
		call()
	}
	if !bytes.HasPrefix(buf, []byte("HTTP/1.1 503")) {
		t.Fatalf("%.40s", buf)
	}
	const n = 2000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		call()
	}
	runtime.ReadMemStats(&after)
	if per := float64(after.Mallocs-before.Mallocs) / n; per > 1 {
		t.Errorf("a refused call allocates %.2f times", per)
	}
}

// An instance that says that it is not done is kept, and serves on.
func TestPreStopCheck(t *testing.T) {
	g, s := cold(t, ", idle_after: 30ms, min_up: 1ms, grace: 1ms, pre_stop_check: { path: /done }")
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	g.held(1)
	var asked atomic.Int64
	s.raise(t, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/done" && asked.Add(1) < 3 {
			w.WriteHeader(http.StatusConflict)
		}
	})
	c.want("GET", 200)
	again := false
	for began := time.Now(); s.downs.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("it is never stopped")
		}
		if asked.Load() == 1 && !again {
			again = true
			c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			c.want("GET", 200)
		}
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("stopped after %d questions", n)
	}
	if n := s.ups.Load(); n != 1 {
		t.Errorf("%d starts", n)
	}
}

// Half of those who wait leave: their places are free, and only the others are
// sent on.
func TestHalfOfTheLineLeaves(t *testing.T) {
	g, s := cold(t, "")
	const n = 200
	var clients []*client
	for i := range n {
		c := g.dial()
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i)
		clients = append(clients, c)
	}
	g.held(n)
	for i := 0; i < n; i += 2 {
		_ = clients[i].Close()
	}
	g.held(n / 2)
	if held, bytes := g.keeper.Pool().Held(), g.keeper.Pool().Bytes(); held != n/2 || bytes <= 0 {
		t.Errorf("%d places are taken, with %d bytes", held, bytes)
	}
	var left atomic.Int64
	s.raise(t, 0, func(_ http.ResponseWriter, r *http.Request) {
		if i, err := strconv.Atoi(r.URL.Path[1:]); err != nil || i%2 == 0 {
			left.Add(1)
		}
	})
	for i := 1; i < n; i += 2 {
		clients[i].want("GET", 200)
	}
	if got := left.Load(); got > 0 {
		t.Errorf("%d calls of clients that had left were sent on", got)
	}
	if held, bytes := g.keeper.Pool().Held(), g.keeper.Pool().Bytes(); held != 0 || bytes != 0 {
		t.Errorf("%d places are taken, with %d bytes, and nobody waits", held, bytes)
	}
}
