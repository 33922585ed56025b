package config

import (
	"fmt"
	"strings"
	"testing"
)

// manyRoutes is a configuration of n routes on n/10 hosts, to n/10 functions.
func manyRoutes(n int) []byte {
	var b strings.Builder
	b.WriteString("listeners: [{ address: \":8080\" }]\nfunctions:\n")
	for i := range n / 10 {
		fmt.Fprintf(&b, "  f%d:\n    endpoints: [\"10.0.%d.%d:9000\", \"10.1.%d.%d:9000\"]\n    timeouts: { request: 5s }\n", i, i/250, i%250, i/250, i%250)
	}
	b.WriteString("routes:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - { hosts: [h%d.example.com], path_prefix: /p%d, function: f%d }\n", i/10, i, i/10)
	}
	return []byte(b.String())
}

// From the text to a checked Config, as weir validate does it.
func BenchmarkParse10000Routes(b *testing.B) {
	doc := manyRoutes(10_000)
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if _, err := Parse("weir.yaml", doc); err != nil {
			b.Fatal(err)
		}
	}
}

// One value over the same file: what a change of an override or of a key costs.
func BenchmarkOverlay10000Routes(b *testing.B) {
	files := filesOn(disk{}, "weir.yaml", manyRoutes(10_000), lookupEnv)
	over := []Fragment{in("override", "functions/f1/timeouts/request", "3s")}
	for b.Loop() {
		if cfg, err := files.With(over); err != nil || len(cfg.Refused) > 0 {
			b.Fatal(err, cfg.Refused)
		}
	}
}

// The same where there are 100 functions: a change may come a hundred times a second.
func BenchmarkOverlay100Functions(b *testing.B) {
	files := filesOn(disk{}, "weir.yaml", manyRoutes(1000), lookupEnv)
	for _, build := range []struct {
		name string
		of   func(over []Fragment) (*Config, error)
	}{{"change", files.build}, {"everything", files.buildWhole}} {
		b.Run(build.name, func(b *testing.B) {
			var stands *Config
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				cfg, err := build.of([]Fragment{in("override", "functions/f1/timeouts/request", fmt.Sprint(i%1000+1, "ms"))})
				if err != nil {
					b.Fatal(err)
				}
				stands = cfg
			}
			if stands.Functions["f1"].Timeouts.Request == 0 {
				b.Fatal("no change")
			}
		})
	}
}
