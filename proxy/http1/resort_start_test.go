package http1_test

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/discovery"
)

// The first call after a start may be answered by another function, which knows of no
// start.
func TestLastResortOfTheFirstCallAfterAStart(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	s := &stage{}
	g := start(t, fmt.Sprintf(`functions:
  f: { cold_start: { scaler: process }, process: { command: [none] }, retries: { retry_on: [503] }, fallback: { function: g } }
  g: { endpoints: ['%s'] }
routes: [{ path_prefix: /, function: f }]
`, says(t, ok)), parts{provider: discovery.Merge(discovery.NewStatic(slog.New(slog.DiscardHandler)), s), scalers: map[string]coldstart.Scaler{"process": s}})
	c := g.dial()
	c.send(get)
	g.held(1)
	g.inState("starting")
	s.set(discovery.Endpoint{ID: "i", Addr: breaking(t, &asked), Weight: 1})
	r, body, err := c.answer("GET")
	if err != nil || r.StatusCode != 200 || body != "ok" || r.Header.Get("X-Weir-Fallback") != "reset" {
		t.Fatalf("%v %v %q", err, r, body)
	}
	if r := g.record(1); r.function != "g" || r.from != "f" || r.held == 0 {
		t.Errorf("recorded %+v", r)
	}
}
