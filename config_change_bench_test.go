package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/config/layers"
)

// BenchmarkConfigChange: an override of one of 100 functions, from the wish until
// calls see it; all of weir is wired, the network aside.
func BenchmarkConfigChange(b *testing.B) {
	var text strings.Builder
	fmt.Fprintf(&text, "listeners: [{ address: \"127.0.0.1:0\" }]\nadmin: { address: \"127.0.0.1:0\" }\ntelemetry: { access_log: { output: none } }\nfunctions:\n")
	for i := range 100 {
		fmt.Fprintf(&text, "  f%d: { endpoints: [\"127.0.0.1:9\"] }\n", i)
	}
	text.WriteString("routes:\n")
	for i := range 100 {
		fmt.Fprintf(&text, "  - { path_prefix: /f%d, function: f%d }\n", i, i)
	}
	path := filepath.Join(b.TempDir(), "weir.yaml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
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
		wish := layers.Wish{Value: json.RawMessage(fmt.Sprintf(`"%dms"`, 10_000+i)), Author: "bench"}
		if _, err := stack.Put("functions/f7/timeouts/request", wish, ""); err != nil {
			b.Fatal(err)
		}
		for was := stack.Config(); g.keeper.Table().Config.Hash != was.Hash; {
			runtime.Gosched()
		}
	}
	stop()
	if err := <-over; err != nil {
		b.Error(err)
	}
}
