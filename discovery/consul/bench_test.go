package consul

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/internal/testkit"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// BenchmarkChange: a check changes, until the table's set has changed, and what
// the agent was asked for it. 1,000 services are watched; one of them flaps.
// An operation is one change.
func BenchmarkChange(b *testing.B) {
	for _, pace := range []struct {
		name       string
		from, upTo time.Duration // between two changes
	}{
		{"twice_a_second", 300 * time.Millisecond, 700 * time.Millisecond},
		{"ten_times_a_second", 90 * time.Millisecond, 110 * time.Millisecond},
	} {
		b.Run(pace.name, func(b *testing.B) { flap(b, pace.from, pace.upTo) })
	}
}

func flap(b *testing.B, from, upTo time.Duration) {
	const services = 1000
	agent := testkit.StartConsul(b, "dc1", "limits { http_max_conns_per_client = 5000 }")
	var doc strings.Builder
	fmt.Fprintln(&doc, "listeners: [{ address: '127.0.0.1:1' }]\ndiscovery: { consul: {} }\nfunctions:")
	for i := range services {
		name := fmt.Sprintf("f%d", i)
		fmt.Fprintf(&doc, "  %s: { service: %s }\n", name, name)
		agent.Register(testkit.ConsulService{ID: name, Name: name, Address: "127.0.0.1", Port: 1000 + i, Checks: passing(name)})
	}
	agent.Register(testkit.ConsulService{ID: "other", Name: "f0", Address: "127.0.0.1", Port: 999})
	g := stand(b, agent)
	cfg := settings(g.address)
	cfg.MaxConnections = services * 9 / 8
	r, err := New(cfg, "here", slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	keeper, stop := keep(b, doc.String(), discovery.Merge(r.Providers()...))
	defer stop()
	size := func() int { return len(keeper.Table().Functions["f0"].Set().Endpoints) }
	until := func(n int) {
		for end := time.Now().Add(patience); size() != n; time.Sleep(50 * time.Microsecond) {
			if time.Now().After(end) {
				b.Fatalf("%d endpoints, want %d", size(), n)
			}
		}
	}
	until(2)
	time.Sleep(3 * time.Second) // until every query waits at the agent

	var took []time.Duration
	before := g.asked.Load()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		time.Sleep(from + rand.N(upTo-from))
		status, want := "critical", 1
		if i%2 == 1 {
			status, want = "passing", 2
		}
		began := time.Now()
		agent.Check("f0", status)
		until(want)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(float64(g.asked.Load()-before)/float64(len(took)), "queries/change")
	b.ReportMetric(float64(r.Counts()[0].Services), "services")
}

type idle struct{}

func (idle) Try(*message.Exchange) error { return message.ErrConnect }
func (idle) Probe(context.Context) error { return nil }
func (idle) Configure(*table.Settings)   {}
func (idle) CloseIdle()                  {}
func (idle) Unregister()                 {}

// keep runs a Keeper over a provider.
func keep(b *testing.B, doc string, p discovery.Provider) (k *table.Keeper, stop func()) {
	b.Helper()
	cfg, err := config.Parse("bench.yaml", []byte(doc))
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	k = table.NewKeeper(cfg, table.Parts{
		Provider: p, Log: log, Activator: coldstart.NewActivator(nil, nil, log),
		NewTransport: func(string) table.Transport { return idle{} },
		NewMeter:     func(string) table.Meter { return idle{} },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = k.Run(ctx) })
	<-k.Ready()
	return k, func() {
		cancel()
		work.Wait()
	}
}

func (idle) Check(context.Context, string) (int, error) { return 200, nil }
