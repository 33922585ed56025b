package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse: no document makes Parse panic, what it accepts is valid, and what
// it refuses it refuses at places that are in the document.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.yaml")
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		cfg, err := parseOn(disk{}, "weir.yaml", doc, world)
		if err == nil {
			valid(t, cfg)
			return
		}
		var mistakes Errors
		if cfg != nil || !errors.As(err, &mistakes) || len(mistakes) == 0 {
			t.Fatalf("config %v with error %v", cfg, err)
		}
		lines := strings.Split(cleaned(doc), "\n")
		for _, e := range mistakes {
			if e.Line < 1 || e.Line > len(lines) {
				t.Fatalf("line %d of %d: %v", e.Line, len(lines), e)
			}
			if e.Column < 1 || e.Column > utf8.RuneCountInString(lines[e.Line-1])+1 {
				t.Fatalf("column %d in %q: %v", e.Column, lines[e.Line-1], e)
			}
		}
	})
}

// valid checks a Config that was accepted once more, without its document.
func valid(t *testing.T, cfg *Config) {
	t.Helper()
	d := newDocument(newSource("again", "", ""))
	(&checker{cfg, d}).check()
	if err := d.verdict(); err != nil {
		t.Fatalf("accepted, and then: %v", err)
	}
	for name, fn := range cfg.Functions {
		if fn.Name != name {
			t.Fatalf("function %q is called %q", name, fn.Name)
		}
		for _, ep := range fn.Endpoints {
			if ep.Region == "" {
				t.Fatalf("endpoint %v has no region", ep)
			}
		}
	}
	for _, l := range cfg.Listeners {
		if l.Name == "" {
			t.Fatalf("listener %v has no name", l)
		}
	}
}

// What has to end by itself: the stack of the parser is not ours.
func TestDeepDocuments(t *testing.T) {
	const n = 1 << 12
	for _, piece := range []string{"[", "{", "{a: ", "[{", "- ", "? ", ": ", "!a ", "&a ", "*a ", "a: ", "| ", "\"", "'", "- [", "?\n", "-\n", "- -\n", "&a\n", "!a\n", "<<: "} {
		if _, err := Parse("deep.yaml", []byte(strings.Repeat(piece, n))); err == nil {
			t.Errorf("%q %d times is accepted", piece, n)
		}
	}
}
