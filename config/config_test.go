package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what is expected anew; review it as a reader would")

// world is the environment of the tests.
func world(name string) (string, bool) {
	value, ok := map[string]string{
		"EMPTY":   "",
		"WORD":    "word",
		"NUMBER":  "400",
		"PORT":    "8080",
		"BACKEND": "10.0.0.1:9001",
	}[name]
	return value, ok
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// golden compares with what a file says, or makes it say so.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(read(t, file)), got); diff != "" {
		t.Errorf("not what %s says (-want +got):\n%s", file, diff)
	}
}

// Every broken configuration is refused with words that were read by somebody.
func TestBroken(t *testing.T) {
	files, _ := filepath.Glob("testdata/broken/*.yaml")
	if len(files) < 45 {
		t.Fatalf("only %d broken configurations", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			cfg, err := parse("weir.yaml", read(t, file), world)
			if err == nil || cfg != nil {
				t.Fatalf("%s: config %v, error %v; want no config and an error", file, cfg, err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", err.Error()+"\n")
		})
	}
}

// Good configurations, as they are after defaults and references.
func TestGood(t *testing.T) {
	files, _ := filepath.Glob("testdata/good/*.yaml")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			cfg, err := parse("/etc/weir/weir.yaml", read(t, file), world)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", show(cfg))
		})
	}
}
