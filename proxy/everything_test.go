package proxy

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

const (
	nothingConfigured = `
functions: { f: { endpoints: ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"] } }
routes: [{ path_prefix: /, function: f }]
`
	everythingConfigured = `
zone: x
regions: { local: { weight: 2, location: [48.86, 2.35] }, east: { location: [39.04, -77.49] } }
geography: { places: [{ cidr: 10.0.0.0/8, location: [53.35, -6.26] }], header: x-client-location }
tenants: { header: x-tenant }
functions:
  other: { endpoints: ["127.0.0.1:1"] }
  f:
    endpoints:
      - { address: "127.0.0.1:1", zone: x }
      - { address: "127.0.0.1:2", zone: y }
      - { address: "127.0.0.1:3", zone: y }
      - { address: "127.0.0.1:4", region: east }
    timeouts: { per_try: 10s }
    load_balancing: { policy: peak_ewma, zones: prefer, slow_start: {}, sticky: {}, regions: nearest }
    retries: { retry_on: [connect_failure, reset, 5xx] }
    circuit_breaker: {}
    outlier_detection: {}
    health_check: { interval: 1h }
    rate_limit: { requests: 100000000, burst: 100000000, key: tenant }
    concurrency: { max_requests: 1000, max_pending: 100, adaptive: {}, per_tenant: 100 }
    collapse: { vary: [cookie, x-tenant], ignore: [x-client-location] }
    hedging: { after: p95 }
    fallback: { function: other }
routes: [{ path_prefix: /, function: f }]
`
)

// A stub of a way to an endpoint, which answers at once.
type stub struct{ table.Transport }

func (stub) Configure(*table.Settings)                  {}
func (stub) CloseIdle()                                 {}
func (stub) Check(context.Context, string) (int, error) { return 200, nil }
func (stub) Try(x *message.Exchange) error {
	fields := x.Response.Fields[:0]
	x.Response = message.Response{Status: 200, Fields: fields}
	x.Up = nobody{}
	return nil
}

// A bare is a Proxy between nothing and nothing, and a call for it.
type bare struct {
	proxy *Proxy
	down  caller

	client  message.Client
	request message.Request
	call    Call
}

func newBare(t testing.TB, doc string) *bare {
	cfg, err := config.Parse("test.yaml", []byte("listeners: [{ address: '127.0.0.1:1', trusted_proxies: [10.0.0.0/8] }]\n"+doc))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	keeper := table.NewKeeper(cfg, table.Parts{
		Provider: discovery.NewStatic(log), Activator: coldstart.NewActivator(nil, nil, log),
		NewTransport: func(string) table.Transport { return stub{} },
		NewMeter:     func(string) table.Meter { return &land{} }, Log: log,
	})
	b := &bare{proxy: New(keeper, &land{}, log), down: caller{woken: make(chan struct{}, 1)}}
	b.client = message.Client{
		Addr: netip.AddrFrom4([4]byte{10, 0, 0, 7}), Peer: []byte("10.0.0.7"), Text: []byte("10.0.0.7"),
		Scheme: []byte("http"), Port: []byte("80"), Trusted: true,
	}
	b.request = message.Request{
		Method: []byte("GET"), Path: []byte("/a/b"), Minor: 1, Host: []byte("example.com"), Authority: []byte("example.com"),
		Fields: []message.Field{
			{Name: []byte("User-Agent"), Value: []byte("test"), ID: message.UserAgent},
			{Name: []byte("X-Tenant"), Value: []byte("gold")},
			{Name: []byte("X-Client-Location"), Value: []byte("48.1,2.3")},
			{Name: []byte("Cookie"), Value: []byte("a=b; c=d"), ID: message.Cookie},
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = keeper.Run(ctx) })
	<-keeper.Ready()
	t.Cleanup(func() {
		cancel()
		work.Wait()
	})
	return b
}

// serve carries a call from the end of its head to the end of its answer.
func (b *bare) serve() {
	b.begin()
	b.proxy.Serve(&b.call)
}

// perCall is how many nanoseconds each of n calls takes.
func (b *bare) perCall(n int) float64 {
	began := time.Now()
	for range n {
		b.serve()
	}
	return float64(time.Since(began).Nanoseconds()) / float64(n)
}

func (b *bare) begin() {
	c := &b.call
	c.Begin()
	c.Start(time.Now())
	c.Down, c.Client = &b.down, b.client
	fields := append(c.Request.Fields, b.request.Fields...)
	for i := range fields { // as who reads a head does: with what is configured it takes longer
		fields[i].Number = message.NumberOf(fields[i].Name)
	}
	c.Request = b.request
	c.Request.Fields = fields
}

// A call passes all of it, and allocates no more for that.
func TestEverythingConfigured(t *testing.T) {
	for name, doc := range map[string]string{"nothing": nothingConfigured, "everything": everythingConfigured} {
		b := newBare(t, doc)
		for range 100 {
			if b.serve(); b.down.status != 200 {
				t.Fatalf("%s: status %d, %v", name, b.down.status, b.call.Err())
			}
		}
		if n := testing.AllocsPerRun(1000, b.serve); n > 0 {
			t.Errorf("%s: a warm call allocates %.1f times", name, n)
		}
	}
}

// BenchmarkEverythingConfigured: how much more of a processor the stations take with
// everything of docs/resilience.md and docs/regions.md configured than with nothing,
// without sockets, in turns; run with -benchtime 200x. It is told apart for collapse, by
// which each call is compared with others.
func BenchmarkEverythingConfigured(b *testing.B) {
	b.Run("all", func(b *testing.B) { costs(b, everythingConfigured) })
	const collapse = "collapse: { vary: [cookie, x-tenant], ignore: [x-client-location] }"
	b.Run("all-but-collapse", func(b *testing.B) { costs(b, strings.Replace(everythingConfigured, collapse, "", 1)) })
}

// costs measures calls with the configuration beside calls with none.
func costs(b *testing.B, doc string) {
	nothing, everything := newBare(b, nothingConfigured), newBare(b, doc)
	var plain, more []float64
	for b.Loop() {
		without := nothing.perCall(5000)
		plain, more = append(plain, without), append(more, everything.perCall(5000)-without)
	}
	slices.Sort(plain)
	slices.Sort(more)
	b.ReportMetric(plain[len(plain)/2], "nothing-ns/call")
	for _, q := range []int{10, 50, 90} {
		b.ReportMetric(more[(len(more)-1)*q/100], "more-p"+string(rune('0'+q/10))+"0-ns/call")
	}
}

// BenchmarkEverythingButOne: what each takes in its place, which is what a call takes less
// without it; measured by itself each takes about half of that. Run with -benchtime 60x.
// Where the linker puts the functions moves all by 50 ns
// (-ldflags=-randlayout=1 and so on).
func BenchmarkEverythingButOne(b *testing.B) {
	rows := []struct{ name, words string }{
		{"collapse", "    collapse: { vary: [cookie, x-tenant], ignore: [x-client-location] }\n"},
		{"rate_limit", "    rate_limit: { requests: 100000000, burst: 100000000, key: tenant }\n"},
		{"nearest", ", regions: nearest"},
		{"sticky", "sticky: {}, "},
		{"hedging", "    hedging: { after: p95 }\n"},
		{"per_tenant", ", per_tenant: 100"},
		{"adaptive", "adaptive: {}, "},
		{"per_try", "    timeouts: { per_try: 10s }\n"},
		{"peak_ewma", "policy: peak_ewma, "},
		{"outlier_detection", "    outlier_detection: {}\n"},
		{"fallback", "    fallback: { function: other }\n"},
		{"circuit_breaker", "    circuit_breaker: {}\n"},
		{"slow_start", "slow_start: {}, "},
		{"retries", "    retries: { retry_on: [connect_failure, reset, 5xx] }\n"},
		{"zones", "zones: prefer, "},
	}
	all := newBare(b, everythingConfigured)
	without := make([]*bare, len(rows))
	for i, row := range rows {
		doc := strings.Replace(everythingConfigured, row.words, "", 1)
		if doc == everythingConfigured {
			b.Fatalf("%s is not configured", row.name)
		}
		without[i] = newBare(b, doc)
	}
	less := make([][]float64, len(rows))
	for b.Loop() {
		took := all.perCall(3000)
		for i, x := range without {
			less[i] = append(less[i], took-x.perCall(3000))
		}
	}
	for i, row := range rows {
		slices.Sort(less[i])
		b.ReportMetric(less[i][len(less[i])/2], row.name+"-ns")
	}
}
