package httpjson

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/discovery/providertest"
)

func function(name string) config.Function {
	return config.Function{Name: name, Service: "http:" + name}
}

// A server has a document, or misbehaves.
type server struct {
	url string

	await chan struct{} // closed before the first answer; nil: there is nothing to wait for

	mu        sync.Mutex // guards all below
	services  map[string][]any
	misbehave http.HandlerFunc // instead of answering; nil: it does
	asked     []*http.Request
	unchanged int // answers with 304
}

func serve(t testing.TB) *server {
	s := &server{services: map[string][]any{}}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	s.url = web.URL
	return s
}

// ServeHTTP answers as the test has it.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.await != nil {
		<-s.await
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r)
	if s.misbehave != nil {
		s.misbehave(w, r)
		return
	}
	doc, err := json.Marshal(map[string]any{"services": s.services})
	if err != nil {
		panic(err)
	}
	etag := fmt.Sprintf(`"%x"`, sha256.Sum256(doc))
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if r.Header.Get("If-None-Match") == etag {
		s.unchanged++
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Write(doc)
}

func (s *server) with(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) put(function string, entries []any) {
	if entries == nil {
		entries = []any{}
	}
	s.with(func() { s.services[function], s.misbehave = entries, nil })
}

func entries(endpoints []discovery.Endpoint) (all []any) {
	for _, ep := range endpoints {
		all = append(all, map[string]any{"address": ep.Addr, "region": ep.Region, "zone": ep.Zone, "weight": ep.Weight, "slots": ep.Slots})
	}
	return all
}

func settings(url string) config.HTTPDiscovery {
	return config.HTTPDiscovery{URL: url, Interval: 30 * time.Millisecond, Timeout: time.Second, MaxBytes: 1 << 20}
}

// run opens a provider that runs until the test ends.
func run(t testing.TB, c config.HTTPDiscovery, log *slog.Logger) *Provider {
	p := New(c, log)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return p
}

// A firstWatched provider asks as soon as it runs, and is answered once somebody
// watches: by then the story has said how its source begins.
type firstWatched struct {
	*Provider
	begin func()
}

func (p *firstWatched) Watch(ctx context.Context, fn *config.Function, report func([]discovery.Endpoint)) error {
	p.begin()
	return p.Provider.Watch(ctx, fn, report)
}

func TestProvider(t *testing.T) {
	providertest.Run(t, providertest.Subject{
		Open: func(t testing.TB, log *slog.Logger) providertest.Source {
			s := serve(t)
			away, asked := false, make(chan struct{})
			begin := sync.OnceFunc(func() { close(asked) })
			s.await = asked
			t.Cleanup(begin)
			return providertest.Source{
				Provider: &firstWatched{run(t, settings(s.url), log), begin},
				Function: function,
				Put: func(function string, eps []discovery.Endpoint) {
					s.with(func() {
						s.services[function] = append([]any{}, entries(eps)...)
						if !away {
							s.misbehave = nil
						}
					})
				},
				PutTwice: func(function string, eps []discovery.Endpoint) { s.put(function, entries(append(eps, eps[0]))) },
				PutBad:   func(function string, eps []discovery.Endpoint) { s.put(function, append(entries(eps), 7)) },
				Garble: func(string) {
					s.with(func() {
						s.misbehave = func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"services": {"f": [`)) }
					})
				},
				Away: func() func() {
					s.with(func() {
						away = true
						s.misbehave = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
					})
					return func() { s.with(func() { away, s.misbehave = false, nil }) }
				},
			}
		},
	})
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

func refused(t testing.TB, p *Provider, want string) {
	t.Helper()
	eventually(t, func() (bool, string) {
		var got []string
		for _, r := range p.Refused() {
			got = append(got, r.What+": "+r.Reason)
		}
		all := strings.Join(got, "; ")
		return want == "" && all == "" || want != "" && strings.Contains(all, want), fmt.Sprintf("refused %q, want %q", all, want)
	})
}

// Whatever is no answer leaves what was known, and says why.
func TestNoAnswer(t *testing.T) {
	s := serve(t)
	s.put("f", []any{"10.0.0.1:80"})
	c := settings(s.url)
	c.Timeout, c.MaxBytes = 100*time.Millisecond, 1000
	p := run(t, c, slog.New(slog.DiscardHandler))
	var mu sync.Mutex
	var told []string
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		fn := function("f")
		_ = p.Watch(ctx, &fn, func(set []discovery.Endpoint) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprint(set))
		})
	})
	eventually(t, func() (bool, string) { mu.Lock(); defer mu.Unlock(); return len(told) == 1, "told nothing" })
	for reason, answer := range map[string]http.HandlerFunc{
		"answers with status 500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"answers with status 404": http.NotFound,
		"answers with status 204": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		`answers with "text/html; charset=utf-8", not with application/json`: func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte("<html><body>It works!"))
		},
		"answers with a document that is none: cannot read it: it is empty": func(http.ResponseWriter, *http.Request) {},
		"answers with a document that is none: it has no \"services\"": func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte("{}"))
		},
		"answers with more than max_bytes, 1kB": func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"services": {}` + strings.Repeat(" ", 1000) + `}`))
		},
		"breaks off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "500")
			w.Write([]byte(`{"services": {}}`))
		},
		"Client.Timeout exceeded": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"stopped after 10 redirects": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, s.url, http.StatusFound)
		},
	} {
		s.with(func() { s.misbehave = answer })
		refused(t, p, reason)
		s.with(func() { s.misbehave = nil })
		refused(t, p, "")
	}
	cancel()
	work.Wait()
	if len(told) != 1 {
		t.Errorf("told %q, want one set", told)
	}
}

// What has not changed is not sent; what was wrong with it stays visible.
func TestETag(t *testing.T) {
	s := serve(t)
	s.put("f", []any{"10.0.0.1:80", "nonsense"})
	p := run(t, settings(s.url), slog.New(slog.DiscardHandler))
	eventually(t, func() (bool, string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.unchanged >= 3 && s.unchanged == len(s.asked)-1, fmt.Sprintf("%d of %d answers were 304", s.unchanged, len(s.asked))
	})
	refused(t, p, s.url+", service f, entry 2: its address has no port")
	s.put("f", []any{"10.0.0.1:80"})
	refused(t, p, "")
}

// A 304 that nobody asked for is no answer.
func TestUnaskedNotModified(t *testing.T) {
	s := serve(t)
	s.with(func() {
		s.misbehave = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }
	})
	refused(t, run(t, settings(s.url), slog.New(slog.DiscardHandler)), "answers with status 304")
}

// The token is read anew for each question, and neither it nor a password in
// the URL is shown.
func TestSecrets(t *testing.T) {
	s := serve(t)
	c := settings(strings.Replace(s.url, "http://", "http://weir:sesame@", 1))
	c.TokenFile = filepath.Join(t.TempDir(), "token")
	p := run(t, c, slog.New(slog.DiscardHandler))
	refused(t, p, "cannot read token_file")
	for _, token := range []string{"first", "second"} {
		if err := os.WriteFile(c.TokenFile, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() (bool, string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			n := len(s.asked)
			return n > 0 && s.asked[n-1].Header.Get("Authorization") == "Bearer "+token, "not asked with the token"
		})
	}
	s.with(func() { s.misbehave = http.NotFound })
	refused(t, p, "answers with status 404")
	if all := fmt.Sprint(p.Refused()); strings.Contains(all, "sesame") || strings.Contains(all, "second") {
		t.Errorf("shows a secret: %s", all)
	}
}

func TestPause(t *testing.T) {
	p := New(config.HTTPDiscovery{Interval: 10 * time.Second}, nil)
	for failures, want := range []time.Duration{10 * time.Second, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second} {
		if got := p.pause(failures); got < want || got > want+want/10 {
			t.Errorf("after %d failures is asked again after %v, want %v", failures, got, want)
		}
	}
}
