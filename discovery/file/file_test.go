package file

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/discovery/providertest"
)

func function(name string) config.Function {
	return config.Function{Name: name, Service: "file:" + name}
}

// run opens a provider that runs until the test ends.
func run(t testing.TB, path string, log *slog.Logger) *Provider {
	p := New(config.FileDiscovery{Path: path}, log)
	begin(t, p)
	return p
}

func begin(t testing.TB, p *Provider) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// replace writes a file as programs should: whole, then renamed.
func replace(t testing.TB, path string, doc []byte) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), ".next")
	if err := os.WriteFile(next, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// A book is a file of endpoints that the suite writes.
type book struct {
	t    testing.TB
	path string

	mu       sync.Mutex
	services map[string][]any
	away     bool
}

func (b *book) put(function string, entries []any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if entries == nil {
		entries = []any{}
	}
	b.services[function] = entries
	b.write()
}

func (b *book) write() {
	doc, err := json.Marshal(map[string]any{"services": b.services})
	if err != nil {
		b.t.Error(err)
	}
	if !b.away {
		replace(b.t, b.path, doc)
	}
}

func (b *book) leave() (back func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = true
	_ = os.Remove(b.path)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.away = false
		b.write()
	}
}

func entries(endpoints []discovery.Endpoint) (all []any) {
	for _, ep := range endpoints {
		all = append(all, map[string]any{"address": ep.Addr, "region": ep.Region, "zone": ep.Zone, "weight": ep.Weight, "slots": ep.Slots})
	}
	return all
}

// The suite, over a file that is JSON by its name, or YAML.
func TestProvider(t *testing.T) {
	for _, name := range []string{"endpoints.json", "endpoints.yaml"} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, providertest.Subject{
				Open: func(t testing.TB, log *slog.Logger) providertest.Source {
					b := &book{t: t, path: filepath.Join(t.TempDir(), name), services: map[string][]any{}}
					return providertest.Source{
						Provider: run(t, b.path, log),
						Function: function,
						Put:      func(function string, eps []discovery.Endpoint) { b.put(function, entries(eps)) },
						PutTwice: func(function string, eps []discovery.Endpoint) {
							b.put(function, entries(append(eps, eps[0])))
						},
						PutBad: func(function string, eps []discovery.Endpoint) {
							b.put(function, append(entries(eps), "no address"))
						},
						Garble: func(string) { replace(t, b.path, []byte("services: {f: [")) },
						Away:   b.leave,
					}
				},
			})
		})
	}
}

// An audience hears what is reported of one function.
type audience struct {
	t   testing.TB
	mu  sync.Mutex
	set string
	n   int
}

func listen(t testing.TB, p *Provider, name string) *audience {
	a := &audience{t: t}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn := function(name)
		_ = p.Watch(ctx, &fn, func(set []discovery.Endpoint) {
			var all []string
			for _, ep := range set {
				all = append(all, ep.Addr)
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			a.set, a.n = strings.Join(all, " "), a.n+1
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return a
}

func (a *audience) until(want string) {
	a.t.Helper()
	eventually(a.t, func() (bool, string) {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.n > 0 && a.set == want, fmt.Sprintf("report %d is %q, want %q", a.n, a.set, want)
	})
}

func (a *audience) silent() {
	a.t.Helper()
	a.mu.Lock()
	before := a.n
	a.mu.Unlock()
	time.Sleep(300 * time.Millisecond)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n != before {
		a.t.Errorf("reported %q, want silence", a.set)
	}
}

func eventually(t testing.TB, ok func() (bool, string)) {
	t.Helper()
	for late := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		good, what := ok()
		if good {
			return
		}
		if time.Now().After(late) {
			t.Fatal(what)
		}
	}
}

func refused(t testing.TB, p *Provider, want ...string) {
	t.Helper()
	eventually(t, func() (bool, string) {
		var got []string
		for _, r := range p.Refused() {
			got = append(got, filepath.Base(r.What)+": "+r.Reason)
		}
		return slices.Equal(got, want), fmt.Sprintf("refused %q, want %q", got, want)
	})
}

var quiet = slog.New(slog.DiscardHandler)

func write(t testing.TB, path, doc string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Kubernetes mounts a ConfigMap as links to a folder behind a link, and changes
// that one link.
func TestConfigMap(t *testing.T) {
	for _, whole := range []bool{false, true} {
		dir := t.TempDir()
		path := filepath.Join(dir, "endpoints.yaml")
		link := func(target, name string) {
			t.Helper()
			if err := os.Symlink(target, name); err != nil {
				t.Fatal(err)
			}
		}
		swap := func(generation, doc string) {
			t.Helper()
			write(t, filepath.Join(dir, generation, "endpoints.yaml"), doc)
			link(generation, filepath.Join(dir, "..data_tmp"))
			if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
				t.Fatal(err)
			}
		}
		swap("..2026_1", "services:\n  f: ['10.0.0.1:80']\n")
		link("..data/endpoints.yaml", path)
		watched := path
		if whole {
			watched = dir
		}
		a := listen(t, run(t, watched, quiet), "f")
		a.until("10.0.0.1:80")
		swap("..2026_2", "services:\n  f: ['10.0.0.2:80']\n")
		if err := os.RemoveAll(filepath.Join(dir, "..2026_1")); err != nil {
			t.Fatal(err)
		}
		a.until("10.0.0.2:80")
		swap("..2026_3", "services:\n  f: ['10.0.0.3:80']\n")
		a.until("10.0.0.3:80")
	}
}

// A link that leads to another folder: the file there is what is watched.
func TestLinkToAnotherFolder(t *testing.T) {
	here, there := t.TempDir(), t.TempDir()
	file, path := filepath.Join(there, "e.yaml"), filepath.Join(here, "endpoints.yaml")
	write(t, file, "services:\n  f: ['10.0.0.1:80']\n")
	if err := os.Symlink(file, path); err != nil {
		t.Fatal(err)
	}
	a := listen(t, run(t, path, quiet), "f")
	a.until("10.0.0.1:80")
	replace(t, file, []byte("services:\n  f: ['10.0.0.2:80']\n"))
	a.until("10.0.0.2:80")
	write(t, file, "services:\n  f: ['10.0.0.3:80']\n") // in place
	a.until("10.0.0.3:80")
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write(t, file("a.yaml"), "services:\n  f: ['10.0.0.1:80']\n  g: ['10.0.1.1:80']\n")
	write(t, file("b.json"), `{"services": {"f": ["10.0.0.2:80", "10.0.0.1:80"]}}`)
	write(t, file("notes.txt"), "services:\n  f: ['10.0.0.9:80']\n")
	write(t, file(".hidden.yaml"), "services:\n  f: ['10.0.0.9:80']\n")
	p := run(t, dir, quiet)
	f, g := listen(t, p, "f"), listen(t, p, "g")
	f.until("10.0.0.1:80 10.0.0.2:80")
	g.until("10.0.1.1:80")
	refused(t, p)

	replace(t, file("b.json"), []byte(`{"services": {"f": [{"address": "10.0.0.1:80", "weight": 7}, "10.0.0.3:80"]}}`))
	f.until("10.0.0.1:80 10.0.0.3:80")
	refused(t, p, "b.json, service f: 10.0.0.1:80 is in another file already, and not the same")

	replace(t, file("b.json"), []byte(`{"services": `)) // costs nothing
	refused(t, p, "b.json: cannot read it: it is empty; what was read from it before stands",
		"b.json, service f: 10.0.0.1:80 is in another file already, and not the same")
	replace(t, file("a.yaml"), []byte("services:\n  f: ['10.0.0.4:80']\n")) // while its neighbour is broken
	f.until("10.0.0.1:80 10.0.0.3:80 10.0.0.4:80")
	g.until("")

	if err := os.Remove(file("b.json")); err != nil {
		t.Fatal(err)
	}
	f.until("10.0.0.4:80")
	refused(t, p)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	f.silent()
	refused(t, p, filepath.Base(dir)+": cannot read it: no such file or directory")
	write(t, file("c.yaml"), "services:\n  f: ['10.0.0.5:80']\n")
	f.until("10.0.0.5:80")
	write(t, file("c.yaml"), "services:\n  f: ['10.0.0.6:80']\n") // the new folder is watched too
	f.until("10.0.0.6:80")
	refused(t, p)
}

// What was never readable says nothing, and what is no file does not hang us.
func TestNothingToRead(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "endpoints.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	p := run(t, pipe, quiet)
	a := listen(t, p, "f")
	refused(t, p, "endpoints.yaml: cannot read it: it is no regular file")
	a.silent()
	replace(t, pipe, []byte("services:\n  f: ['10.0.0.1:80', 'nonsense']\n"))
	a.until("10.0.0.1:80")
	refused(t, p, `endpoints.yaml, service f, entry 2: its address has no port: "nonsense"; write it as in 127.0.0.1:8080 or [::1]:8080`)
}

// A file that somebody writes in pieces is read when it is whole.
func TestWrittenInPieces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	write(t, path, "services:\n  f:\n  - 10.0.0.1:80\n")
	p := New(config.FileDiscovery{Path: path}, quiet)
	p.settle = time.Second // the machine may be busy
	begin(t, p)
	a := listen(t, p, "f")
	a.until("10.0.0.1:80")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, piece := range []string{"services:\n", "  f:\n", "  - 10.0.0.2:80\n", "  - 10.0.0.3:80\n"} {
		if _, err := f.WriteString(piece); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	a.until("10.0.0.2:80 10.0.0.3:80")
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n != 2 {
		t.Errorf("reported %d times: the half too", a.n)
	}
}

func TestAnotherServiceIsNoBusinessOfOurs(t *testing.T) {
	p := run(t, filepath.Join(t.TempDir(), "none"), quiet)
	for _, service := range []string{"", "consul:f", "f"} {
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan int, 1)
		go func() {
			_ = p.Watch(ctx, &config.Function{Name: "f", Service: service}, func(set []discovery.Endpoint) { told <- len(set) })
		}()
		if n := <-told; n != 0 {
			t.Errorf("service %q has %d endpoints", service, n)
		}
		cancel()
	}
}
