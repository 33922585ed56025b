package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/internal/telemetry"
	"github.com/weir-gateway/weir/proxy/http1"
	"github.com/weir-gateway/weir/proxy/table"
)

// shown is a Provider that reports what is on a Board.
type shown struct{ *discovery.Board }

func (shown) String() string { return "shown" }

func (s shown) Watch(ctx context.Context, fn *config.Function, report func([]discovery.Endpoint)) error {
	s.Board.Watch(ctx, fn.Name, report)
	return nil
}

// BenchmarkEndpointChange: one of so many endpoints, ten of each function, has
// another weight. An operation lasts from the provider's snapshot, through all that
// it passes in weir, until calls see the new set. MiB is what all of it takes, the
// connections' pools and the functions' series too.
func BenchmarkEndpointChange(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprint("endpoints=", n), func(b *testing.B) { changeEndpoints(b, n/10) })
	}
}

func changeEndpoints(b *testing.B, functions int) {
	before := inUse()
	cfg := &config.Config{Region: "here", Functions: map[string]*config.Function{}}
	board := discovery.NewBoard()
	for i := range functions {
		fn := &config.Function{Name: fmt.Sprint("f", i)}
		cfg.Functions[fn.Name] = fn
		cfg.Routes = append(cfg.Routes, config.Route{Hosts: []string{fn.Name + ".example.com"}, PathPrefix: "/", Function: fn.Name})
		board.Show(fn.Name, func() []discovery.Endpoint { return ten(i, 1) })
	}
	log := slog.New(slog.DiscardHandler)
	counters, err := telemetry.New(config.Telemetry{AccessLog: config.AccessLog{Output: "none"}}, cfg.Region, log)
	if err != nil {
		b.Fatal(err)
	}
	published := make(chan struct{}, 1)
	keeper := table.NewKeeper(cfg, table.Parts{
		Provider:     discovery.Merge(discovery.NewStatic(log), discovery.NewSwap(shown{board})),
		Activator:    coldstart.NewActivator(nil, counters, log),
		NewTransport: http1.NewPool,
		NewMeter:     counters.NewMeter,
		Published: func(time.Duration) {
			select {
			case published <- struct{}{}:
			default:
			}
		},
		Log: log,
	})
	ctx, cancel := context.WithCancel(b.Context())
	var work sync.WaitGroup
	work.Go(func() { _ = keeper.Run(ctx) })
	defer work.Wait()
	defer cancel()
	<-keeper.Ready()
	for _, fn := range keeper.Table().Functions {
		for len(fn.Set().Endpoints) < 10 {
			<-published
		}
	}
	used := inUse() - before
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		of := i * 7919 % functions
		fn := keeper.Table().Functions[fmt.Sprint("f", of)]
		was := fn.Set()
		board.Show(fn.Name, func() []discovery.Endpoint { return ten(of, 1+i) })
		for fn.Set() == was {
			<-published
		}
	}
	b.ReportMetric(float64(used)/(1<<20), "MiB") // the loop resets what was reported before
}

// ten are the endpoints of a function, of which one has that weight.
func ten(function, weight int) (set []discovery.Endpoint) {
	for i := range 10 {
		addr := fmt.Sprintf("10.%d.%d.%d:9000", function>>8, function&255, i)
		set = append(set, discovery.Endpoint{ID: addr, Addr: addr, Weight: 1, Region: "here"})
	}
	set[0].Weight = weight
	return set
}

// inUse is the memory that is used, of the heap and of stacks.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
