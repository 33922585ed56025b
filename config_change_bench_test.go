package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/config/layers"
)

// BenchmarkConfigChange: an override of one of 100 functions, from the wish until
// calls see it; all of weir is wired, the network aside.
func BenchmarkConfigChange(b *testing.B) {
	benchmarkChange(b, manyFunctions(100, "  f%d: { endpoints: [\"127.0.0.1:9\"] }\n"),
		"functions/f7/timeouts/request", func(i int) string { return fmt.Sprintf(`"%dms"`, 10_000+i) })
}

// BenchmarkDrain: a region of every function's is drained, and let in again, from the
// wish until calls go by it.
func BenchmarkDrain(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchmarkChange(b, "region: eu-west\nregions: { eu-west: {}, us-east: {} }\n"+manyFunctions(n,
				"  f%d: { endpoints: [{ address: \"127.0.0.1:9\", region: eu-west }, { address: \"127.0.0.2:9\", region: us-east }] }\n"),
				"regions/us-east/drain", func(i int) string { return fmt.Sprint(i%2 == 0) })
		})
	}
}

// manyFunctions is a configuration of n functions with a route each.
func manyFunctions(n int, function string) string {
	var text strings.Builder
	text.WriteString("listeners: [{ address: \"127.0.0.1:0\" }]\nadmin: { address: \"127.0.0.1:0\" }\ntelemetry: { access_log: { output: none } }\nfunctions:\n")
	for i := range n {
		fmt.Fprintf(&text, function, i)
	}
	text.WriteString("routes:\n")
	for i := range n {
		fmt.Fprintf(&text, "  - { path_prefix: /f%d, function: f%d }\n", i, i)
	}
	return text.String()
}

// benchmarkChange sets a key to one value after the other.
func benchmarkChange(b *testing.B, text, key string, value func(i int) string) {
	path := filepath.Join(b.TempDir(), "weir.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	stack, err := layers.New(layers.Parts{Path: path, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	serving := make(chan struct{})
	g, err := newGateway(stack.Config(), log, options{layers: stack, serving: func([]string, string) { close(serving) }})
	if err != nil {
		b.Fatal(err)
	}
	stack.Prepare, stack.Tell = g.prepare, g.telemetry.Reloaded
	ctx, stop := context.WithCancel(b.Context())
	over := make(chan error)
	go func() { over <- g.run(ctx, nil) }()
	<-serving
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		wish := layers.Wish{Value: json.RawMessage(value(i)), Author: "bench"}
		if _, err := stack.Put(key, wish, ""); err != nil {
			b.Fatal(err)
		}
		seen := make(chan struct{})
		g.keeper.After(func() { close(seen) })
		<-seen
	}
	stop()
	if err := <-over; err != nil {
		b.Error(err)
	}
}
