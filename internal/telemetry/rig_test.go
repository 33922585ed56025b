package telemetry

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const twoFunctions = `
tenants: { header: x-tenant }
functions:
  hello: { endpoints: [{ address: "127.0.0.1:9001", region: us-east }] }
  gone: { endpoints: [] }
routes:
  - { path_prefix: /, function: hello }
  - { path_prefix: /gone, function: gone }
`

// A rig is a real Proxy between a client and endpoints that are played.
type rig struct {
	t         testing.TB
	telemetry *Telemetry
	keeper    *table.Keeper
	proxy     *proxy.Proxy
	platform  *platform
	trusted   bool              // the client is a trusted proxy
	peek      func(*proxy.Call) // called for each call that has ended, before it is recorded
}

func (r *rig) Record(c *proxy.Call) {
	if r.peek != nil {
		r.peek(c)
	}
	r.telemetry.Record(c)
}

// setUp runs a rig for a document until the test ends; try plays the
// endpoints.
func setUp(t testing.TB, tel *Telemetry, doc string, try func(*message.Exchange) error) *rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	platform := &platform{reports: map[string]func([]discovery.Endpoint){}, wait: make(chan struct{})}
	activator := coldstart.NewActivator(map[string]coldstart.Scaler{"process": platform}, tel, log)
	r := &rig{t: t, telemetry: tel, platform: platform}
	r.keeper = table.NewKeeper(parse(t, doc), table.Parts{
		Provider:     discovery.Merge(discovery.NewStatic(log), platform),
		Activator:    activator,
		NewTransport: func(string) table.Transport { return transport{try} },
		NewMeter:     tel.NewMeter,
		Log:          log,
	})
	r.proxy = proxy.New(r.keeper, r, log)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = r.keeper.Run(ctx) })
	work.Go(func() { _ = activator.Run(ctx) })
	<-r.keeper.Ready()
	t.Cleanup(func() {
		cancel()
		work.Wait()
	})
	return r
}

func parse(t testing.TB, doc string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte("listeners: [{ address: '127.0.0.1:1', trusted_proxies: [10.0.0.0/8] }]\n"+doc))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// with makes a Telemetry that logs to an output.
func with(t testing.TB, output string) *Telemetry {
	t.Helper()
	tel, err := New(config.Telemetry{AccessLog: config.AccessLog{Output: output}}, "here", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

// call carries one call through the proxy.
func (r *rig) call(method, path string, fields ...string) {
	var c proxy.Call
	r.carry(&c, method, path, fields...)
}

func (r *rig) carry(c *proxy.Call, method, path string, fields ...string) {
	c.Begin()
	c.Down = &client{woken: make(chan struct{}, 1)}
	c.Start(time.Now())
	c.Client = message.Client{Addr: netip.MustParseAddr("192.0.2.7"), Text: []byte("192.0.2.7"), Scheme: []byte("http"), Port: []byte("80"), Trusted: r.trusted}
	c.Request.Method, c.Request.Path, c.Request.Minor = []byte(method), []byte(path), 1
	c.Request.Host, c.Request.Authority = []byte("api.example.com"), []byte("api.example.com:80")
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		c.Request.Fields = append(c.Request.Fields, message.Field{Name: []byte(name), Value: []byte(value), ID: message.Lookup([]byte(name))})
	}
	r.proxy.Serve(c)
}

// page scrapes.
func (r *rig) page() string {
	var b strings.Builder
	if err := r.telemetry.WritePrometheus(&b, Scene{Table: r.keeper.Table(), Version: "v1", Revision: "abc"}); err != nil {
		r.t.Fatal(err)
	}
	return b.String()
}

// await scrapes until a line is on the page.
func (r *rig) await(line string) {
	r.t.Helper()
	for began := time.Now(); !strings.Contains(r.page(), "\n"+line+"\n"); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			r.t.Fatalf("%s: not on\n%s", line, r.page())
		}
	}
}

// A client takes an answer and reads no body.
type client struct{ woken chan struct{} }

func (c *client) Next() ([]byte, error)           { return nil, io.EOF }
func (c *client) Ready() bool                     { return true }
func (c *client) Trailers() []message.Field       { return nil }
func (c *client) WriteTrailers([]message.Field)   {}
func (c *client) Continue() error                 { return nil }
func (c *client) Switch()                         {}
func (c *client) Memory() int                     { return 0 }
func (c *client) CutBody()                        {}
func (c *client) Rewind() bool                    { return false }
func (c *client) Interim(*message.Response) error { return nil }
func (c *client) WriteHead(*message.Response) error {
	return nil
}
func (c *client) Write([]byte) error                   { return nil }
func (c *client) Flush() error                         { return nil }
func (c *client) Take(message.Upstream) (int64, error) { return 0, nil }
func (c *client) Finish() error                        { return nil }
func (c *client) Retract() bool                        { return false }
func (c *client) Abort()                               {}
func (c *client) Watch(message.Canceler, uint64)       {}
func (c *client) Unwatch() bool                        { return false }

func (c *client) Wait(until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-c.woken:
		return nil
	case <-timer.C:
		return os.ErrDeadlineExceeded
	}
}

func (c *client) Wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// A transport is an endpoint that is played.
type transport struct {
	try func(*message.Exchange) error
}

func (t transport) Try(x *message.Exchange) error { return t.try(x) }
func (t transport) Probe(context.Context) error   { return nil }
func (t transport) Configure(*table.Settings)     {}
func (t transport) CloseIdle()                    {}

// answer plays an endpoint that answers with a status and some bytes.
func answer(status int, body string) func(*message.Exchange) error {
	return func(x *message.Exchange) error {
		x.Response.Status = status
		x.Up = &upstream{body: []byte(body), end: io.EOF}
		return nil
	}
}

type upstream struct {
	body []byte
	end  error
}

func (u *upstream) Next() ([]byte, error) {
	if u.body == nil {
		return nil, u.end
	}
	b := u.body
	u.body = nil
	return b, nil
}
func (u *upstream) Ready() bool               { return true }
func (u *upstream) Trailers() []message.Field { return nil }
func (u *upstream) Release()                  {}
func (u *upstream) AwaitSent() error          { return nil }
func (u *upstream) Adopt(*message.Exchange)   {}

// A platform raises endpoints that are there at once, or fails; those of the
// function slow wait to be let.
type platform struct {
	wait chan struct{}

	mu      sync.Mutex
	reports map[string]func([]discovery.Endpoint)
}

func (p *platform) String() string { return "fake" }

func (p *platform) Watch(ctx context.Context, fn *config.Function, report func([]discovery.Endpoint)) error {
	p.mu.Lock()
	p.reports[fn.Name] = report
	p.mu.Unlock()
	report(nil)
	<-ctx.Done()
	return nil
}

func (p *platform) ScaleUp(_ context.Context, fn config.Function, n int) error {
	if fn.Name == "broken" {
		return coldstart.Terminal(io.ErrUnexpectedEOF)
	}
	if fn.Name == "slow" || fn.WhileCold != nil {
		<-p.wait
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reports[fn.Name]([]discovery.Endpoint{{ID: "1", Addr: "127.0.0.1:7", Zone: "z1", Rack: "r1", Node: "n1", Weight: 1}})
	return nil
}

func (p *platform) ScaleDown(context.Context, config.Function, int) error  { return nil }
func (p *platform) Replicas(context.Context, config.Function) (int, error) { return 0, nil }

func (transport) Check(context.Context, string) (int, error) { return 200, nil }
