package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What is built upon the files' own Config is what would be built of everything.
func TestUpon(t *testing.T) {
	text := strings.Replace(layered, "routes: [", "routes: [{ path_regex: \"/.*\", function: shop }, { path_prefix: /a, function: shop }, ", 1)
	text += "regions: { us: { weight: 80, location: [1, 2] }, eu: { weight: 20 } }\n"
	text = strings.Replace(text, "  shop:", "  near: { endpoints: [\"127.0.0.1:9\"], regions: { eu: { weight: 5 } } }\n  shop:", 1)
	upon, refused, changed := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		files := filesOn(disk{}, "weir.yaml", []byte(text), world)
		last, err := files.buildWhole(nil)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 3).Draw(t, "changes") { // upon the first one too
			over := draw(t)
			got := files.buildUpon(over)
			want, err := files.buildWhole(over)
			switch {
			case got == nil:
				refused++
				continue
			case err != nil:
				t.Fatalf("%+v stands, and should not: %v", over, err)
			case !got.Equal(want):
				t.Fatalf("%+v: got\n%s\nwant\n%s", over, Shown{Config: got}.YAML(), Shown{Config: want}.YAML())
			case got.Hash != want.Hash || !slices.Equal(got.Warnings, want.Warnings) || !slices.Equal(got.Files, want.Files):
				t.Fatalf("%+v: got %s %q %q, want %s %q %q", over, got.Hash, got.Warnings, got.Files, want.Hash, want.Warnings, want.Files)
			}
			upon++
			if names, ok := got.ChangedSince(last); ok {
				changed++
				a, b := *got, *last
				a.Functions, b.Functions = maps.Clone(a.Functions), maps.Clone(b.Functions)
				a.Regions, b.Regions, a.spread, b.spread = nil, nil, nil, nil
				for _, name := range names {
					delete(a.Functions, name)
					delete(b.Functions, name)
				}
				if !a.Equal(&b) {
					t.Fatalf("%+v: more than %q has changed", over, names)
				}
			}
			last = got
			for _, of := range []*Config{got.origins.ground.cfg, want} {
				for path := range of.origins.said {
					if a, b := got.Origin(path), want.Origin(path); a != b {
						t.Fatalf("%+v: %s comes from %+v, want %+v", over, path, a, b)
					}
				}
			}
		}
	})
	if upon == 0 || refused == 0 || changed == 0 {
		t.Errorf("%d were built upon the files, %d were not, of %d it is known what has changed: that tells nothing", upon, refused, changed)
	}
}

// draw draws what may be over the files, good and bad.
func draw(t *rapid.T) (over []Fragment) {
	values := map[string][]string{
		"timeouts/request": {"1s", "0s", "null", "x", "[]"}, "timeouts": {"{ connect: 1s }", "null", "{ conect: 1s }", "{ idle: 0s }"},
		"deadline/header": {"x-mine", "not one"}, "concurrency/max_requests": {"5", "-1"}, "upstream/max_connections": {"3", "${X}"},
		"endpoints":        {"[\"127.0.0.1:1\"]", "[]", "[\"127.0.0.1:1\", \"127.0.0.1:1\"]", "[{ address: \"127.0.0.1:5\", weight: 3 }, \"127.0.0.1:6\"]", "null"},
		"retries/attempts": {"3", "-1", "x"}, "retries": {"null", "{}"},
		"regions/us/weight": {"3", "0", "-1"}, "regions": {"{ eu: { priority: 2 } }", "{ nowhere: {} }"},
		"priority": {"high"}, "cold_start/idle_after": {"3s"},
	}
	paths := slices.Sorted(func(yield func(string) bool) {
		for path := range values {
			if !yield(path) {
				return
			}
		}
	})
	ofRegions := map[string][]string{"drain": {"true", "true", "false", "1"}, "weight": {"7", "0", "0.5", "null", "x"}, "priority": {"1", "200"}, "disabled": {"true", "false", "no"}}
	for i := range rapid.IntRange(1, 3).Draw(t, "fragments") {
		if rapid.IntRange(0, 2).Draw(t, "of a region") == 0 {
			key := rapid.SampledFrom(steered).Draw(t, "key")
			f := in(rapid.SampledFrom([]string{"consul", "override"}).Draw(t, "layer"),
				"regions/"+rapid.SampledFrom([]string{"us", "eu", "new"}).Draw(t, "region")+"/"+key, rapid.SampledFrom(ofRegions[key]).Draw(t, "value"))
			f.Name = fmt.Sprint(f.Name, " ", i)
			over = append(over, f)
			continue
		}
		function := rapid.SampledFrom([]string{"hello", "hello", "shop", "nobody"}).Draw(t, "function")
		path := rapid.SampledFrom(paths).Draw(t, "path")
		layer := rapid.SampledFrom([]string{"consul", "override"}).Draw(t, "layer")
		f := in(layer, "functions/"+function+"/"+path, rapid.SampledFrom(values[path]).Draw(t, "value"))
		f.Name = fmt.Sprint(f.Name, " ", i)
		over = append(over, f)
	}
	slices.SortStableFunc(over, func(a, b Fragment) int { return strings.Compare(a.Layer, b.Layer) })
	return over
}

// The files' own Config goes when nobody has it, and is made again.
func TestUponAgain(t *testing.T) {
	files := filesOn(disk{}, "weir.yaml", []byte(layered), world)
	over := []Fragment{in("override", "functions/hello/timeouts/request", "1s")}
	first := files.buildUpon(over)
	if first == nil || files.base.Value() == nil {
		t.Fatal("nothing was built")
	}
	said := *first
	said.origins, said.upon = nil, nil
	for range 3 {
		runtime.GC()
	}
	if files.base.Value() != nil {
		t.Error("what nobody has is kept")
	}
	if again := files.buildUpon(over); again == nil || !again.Equal(&said) {
		t.Error("it is not made again")
	}
}

// Where certificates are read all is built, for they may be others by now.
func TestUponCertificates(t *testing.T) {
	dir := t.TempDir()
	path, ca := filepath.Join(dir, "weir.yaml"), filepath.Join(dir, "ca.pem")
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, _ := pair(t)
	other := "functions:\n  g: { endpoints: [\"127.0.0.1:2\"] }\n"
	write(path, strings.Replace(fmt.Sprintf(overTLS, "ca_file: ca.pem"), "functions:\n", other, 1))
	write(ca, cert)
	files, err := ReadFiles(path)
	if err != nil {
		t.Fatal(err)
	}
	over := []Fragment{in("override", "functions/g/timeouts/request", "1s")}
	for range 3 { // the second and the third time with another certificate
		cfg, err := files.With(over)
		if err != nil || len(cfg.Refused) > 0 {
			t.Fatal(err, cfg.Refused)
		}
		if got := string(cfg.Functions["f"].TLS.CA); got != cert {
			t.Errorf("it has the certificate\n%s\nand not\n%s", got, cert)
		}
		if !slices.Contains(cfg.Files, ca) {
			t.Errorf("%s is not among %q, which are watched", ca, cfg.Files)
		}
		cert, _ = pair(t)
		write(ca, cert)
		runtime.KeepAlive(cfg)
	}
}
