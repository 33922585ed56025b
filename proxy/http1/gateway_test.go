package http1_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/http1"
	"github.com/weir-gateway/weir/proxy/table"
)

func TestMain(m *testing.M) {
	// What runs side by side waits most of the time: more of it than there are
	// processors. What looks at the whole process (its goroutines, its memory, its
	// descriptors) is not parallel, and so has run before.
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "16")
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"), // one for the process
	)
}

// A gateway is a whole weir without its command line: real sockets on both
// sides.
type gateway struct {
	t      testing.TB
	addr   string
	keeper *table.Keeper
	server *http1.Server
	proxy  *proxy.Proxy

	quiet bool              // keep no records
	peek  func(*proxy.Call) // called with each call that has ended; may be nil

	mu      sync.Mutex
	records []record
	came    chan struct{}
}

// A record is what was told of a call that has ended.
type record struct {
	function, cause string
	client          string
	status, tries   int
	in, out         int64
	held            time.Duration
	err             error
	method          string
	turnedAway      string
	from            string // which function it fell back from
	hedged          bool
	hedgeWon        bool
	call            string // with host and target, if an endpoint answered it
}

type meter struct{}

func (meter) Unregister() {}

func (g *gateway) Record(c *proxy.Call) {
	if g.quiet {
		return
	}
	if g.peek != nil {
		g.peek(c)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	r := record{c.Function().Name, c.Cause(), string(c.Client.Text), c.Status(), c.Tries(), c.BytesIn, c.BytesOut, c.Held(), c.Err(), string(c.Request.Method), c.TurnedAway(), "", false, false, ""}
	r.hedged, r.hedgeWon = c.Hedged()
	if from, _ := c.FellBack(); from != nil {
		r.from = from.Name
	}
	if c.UpstreamStatus() > 0 {
		r.call = fmt.Sprintf("%s %s %s", c.Request.Method, c.Request.Authority, c.Request.Path)
		if c.Request.Query != nil {
			r.call += "?" + string(c.Request.Query)
		}
	}
	g.records = append(g.records, r)
	select {
	case g.came <- struct{}{}:
	default:
	}
}

// lastRecord waits for the n-th record and returns it.
func (g *gateway) record(n int) record {
	g.t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for {
		g.mu.Lock()
		if len(g.records) >= n {
			defer g.mu.Unlock()
			return g.records[n-1]
		}
		g.mu.Unlock()
		select {
		case <-g.came:
		case <-deadline.C:
			g.t.Fatalf("record %d never came", n)
		}
	}
}

// parts of a gateway that a test may bring.
type parts struct {
	provider  discovery.Provider
	scalers   map[string]coldstart.Scaler
	transport table.NewTransport
	prepare   func(*config.Config)
	traced    func(*proxy.Proxy)
}

// start runs a gateway for a document until the test ends. Its one listener is
// on a free port.
func start(t testing.TB, doc string, p parts) *gateway {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte("listeners: [{ address: '127.0.0.1:1' }]\n"+doc))
	if err != nil {
		t.Fatal(err)
	}
	if p.prepare != nil {
		p.prepare(cfg)
	}
	log := slog.New(slog.DiscardHandler)
	if p.provider == nil {
		p.provider = discovery.NewStatic(log)
	}
	if p.transport == nil {
		p.transport = http1.NewPool
	}
	g := &gateway{t: t, came: make(chan struct{}, 1)}
	activator := coldstart.NewActivator(p.scalers, nil, log)
	g.keeper = table.NewKeeper(cfg, table.Parts{
		Provider: p.provider, Activator: activator, NewTransport: p.transport,
		NewMeter: func(string) table.Meter { return meter{} }, Log: log,
	})
	watcher, err := http1.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	g.proxy = proxy.New(g.keeper, g, log)
	if p.traced != nil {
		p.traced(g.proxy)
	}
	g.server = http1.NewServer(cfg.Listeners[0], cfg.Defaults.Timeouts.Idle, g.proxy, watcher, log)

	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = g.keeper.Run(ctx) })
	work.Go(func() { _ = activator.Run(ctx) })
	work.Go(func() { _ = watcher.Run(ctx) })
	<-g.keeper.Ready()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.addr = ln.Addr().String()
	work.Go(func() {
		if err := g.server.Serve(ln); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		drain, stop := context.WithTimeout(context.Background(), 2*time.Second)
		defer stop()
		_ = g.server.Drain(drain)
		for _, fn := range g.keeper.Table().Functions {
			for _, ep := range fn.Set().Endpoints {
				ep.Conns.CloseIdle()
			}
		}
		cancel()
		work.Wait()
	})
	return g
}

// backend serves one function and returns the document that routes all to it.
func backend(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return one(s.Listener.Addr().String())
}

// one is a document with one function on some addresses.
func one(addrs ...string) string {
	return fmt.Sprintf("functions: { f: { endpoints: ['%s'] } }\nroutes: [{ path_prefix: /, function: f }]\n", strings.Join(addrs, "', '"))
}

// a client's connection, for what http.Client will not say.
type client struct {
	net.Conn
	t  testing.TB
	br *bufio.Reader
}

func (g *gateway) dial() *client {
	g.t.Helper()
	nc, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	return &client{nc, g.t, bufio.NewReader(nc)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads one response and its body.
func (c *client) answer(method string) (*http.Response, string, error) {
	r, err := http.ReadResponse(c.br, &http.Request{Method: method})
	if err != nil {
		return nil, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r, string(b), err
}

// want reads one response that must have this status, and returns its body.
func (c *client) want(method string, status int) string {
	c.t.Helper()
	r, body, err := c.answer(method)
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	if r.StatusCode != status {
		c.t.Fatalf("status %d, want %d; body %q", r.StatusCode, status, body)
	}
	return body
}

// wantClosed reads to the end of the connection.
func (c *client) wantClosed() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.br); len(rest) > 0 || err != nil && strings.Contains(err.Error(), "timeout") {
		c.t.Fatalf("the connection is open, or more came: %q, %v", rest, err)
	}
}
