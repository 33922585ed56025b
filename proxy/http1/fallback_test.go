package http1_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/discovery"
)

func TestFallback(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(other.Close)
	s := &stage{}
	doc := fmt.Sprintf(`functions:
  f:
    cold_start: { scaler: process, max_pending: 1 }
    process: { command: [none] }
    while_cold: { fallback: { function: g, after: 50ms } }
  g: { endpoints: ['%s'] }
routes:
  - { path_prefix: /, function: f }
  - { path_prefix: /fixed, function: f, while_cold: { fallback: { after: 0s, status: 200, body: later } } }
  - { path_prefix: /waits, function: f, while_cold: {} }
`, other.Listener.Addr())
	g := start(t, doc, parts{provider: discovery.Merge(discovery.NewStatic(slog.New(slog.DiscardHandler)), s), scalers: map[string]coldstart.Scaler{"process": s}})
	c := g.dial()
	c.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
	r, body, err := c.answer("POST")
	if err != nil || r.StatusCode != 200 || body != `POST /a "hi"` || r.Header.Get("X-Weir-Cold") != "fallback" {
		t.Fatalf("%v %v %q", err, r, body)
	}
	if r := g.record(1); r.function != "g" || r.from != "f" || r.held == 0 || r.tries != 1 {
		t.Errorf("recorded %+v", r)
	}
	if n := s.ups.Load(); n != 1 {
		t.Errorf("%d starts, want one that goes on", n)
	}
	c.send("GET /fixed HTTP/1.1\r\nHost: h\r\n\r\n")
	if r, body, err = c.answer("GET"); err != nil || r.StatusCode != 200 || body != "later" || r.Header.Get("X-Weir-Cold") != "fallback" {
		t.Fatalf("%v %v %q", err, r, body)
	}
	if r := g.record(2); r.function != "f" || r.from != "f" || r.status != 200 || r.cause != "" {
		t.Errorf("recorded %+v", r)
	}

	// Whom the full line turns away falls back at once.
	waits := g.dial()
	waits.send("GET /waits HTTP/1.1\r\nHost: h\r\n\r\n")
	g.held(1)
	c.send("GET /b HTTP/1.1\r\nHost: h\r\n\r\n")
	if r, body, err = c.answer("GET"); err != nil || r.StatusCode != 200 || !strings.HasPrefix(body, "GET /b") {
		t.Fatalf("%v %v %q", err, r, body)
	}
	s.raise(t, 0, func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, "f itself") })
	if got := waits.want("GET", 200); got != "f itself" {
		t.Errorf("%q", got)
	}
	c.send("GET /c HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := c.want("GET", 200); got != "f itself" {
		t.Errorf("once it is up, %q", got)
	}
	for _, fn := range g.keeper.Table().Functions {
		if inside, _ := fn.Gate.Inside(); inside != 0 && fn.Name == "g" {
			t.Errorf("%d are inside %s for ever", inside, fn.Name)
		}
	}
}
