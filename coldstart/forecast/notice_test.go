package forecast

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/weir-gateway/weir/config"
)

// A change of what has nothing to do with starts does not wake a Forecaster; every other
// does.
func TestOnlyColdStartsAreNoticed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(file, []byte(`
listeners: [{ address: "127.0.0.1:1" }]
functions: { f: { endpoints: ["127.0.0.1:1"] }, g: { endpoints: ["127.0.0.1:2"] } }
routes: [{ function: f }]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := config.ReadFiles(file)
	if err != nil {
		t.Fatal(err)
	}
	f := New(nil, nil, slog.New(slog.DiscardHandler))
	var over []config.Fragment
	for _, c := range []struct {
		path, value string // said besides what was said of other paths before
		noticed     bool
	}{
		{"", "", true}, // the first
		{"timeouts", `{request: 7s}`, false},
		{"concurrency", `{max_requests: 7}`, false},
		{"timeouts", `{request: 8s}`, false},
		{"cold_start", `{max_wait: 7s}`, true},
		{"cold_start", `{max_wait: 8s}`, true},
	} {
		if c.path != "" {
			over = slices.DeleteFunc(slices.Clone(over), func(o config.Fragment) bool { return o.Name == c.path })
			over = append(over, config.Fragment{Layer: "override", Name: c.path, Path: []string{"functions", "f", c.path}, Text: c.value})
		}
		cfg, err := files.With(over)
		if err != nil || len(cfg.Refused) > 0 {
			t.Fatal(err, cfg.Refused)
		}
		before := len(f.inbox)
		f.Configure(cfg)
		if noticed := len(f.inbox) > before; noticed != c.noticed {
			t.Errorf("%s: %s: noticed: %v", c.path, c.value, noticed)
		}
	}
}
