package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Weights move under load from one region to another; and where that answers with
// errors, they go back.
func TestShiftUnderLoad(t *testing.T) {
	good := func(w http.ResponseWriter, _ *http.Request) {}
	bad := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	addr := func(answer http.HandlerFunc) string {
		server := httptest.NewServer(answer)
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	old, next := addr(good), addr(good)
	function := func(next string) string {
		return fmt.Sprintf("{ endpoints: [{ address: %q, region: us-east }, { address: %q, region: eu-west }] }", old, next)
	}
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, `listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
regions: { us-east: { weight: 100 }, eu-west: { weight: 0 } }
failover: { slow_start: { min_weight_percent: 100 } }
functions:
  f: `+function(next)+`
  g: `+function(addr(bad))+`
routes: [{ path_prefix: /g, function: g }, { function: f }]
`)
	w := startRun(t, file)
	calls := loadOn(w.url + "/")
	calls.more(t, 50)

	w.says("shift", "shift", "us-east=0", "eu-west=100", "--function", "f", "--over", "3s", "--author", "alice", "--reason", "moving")
	eventually(t, "it is on its way", func() bool {
		share := w.metric("weir_region_share", `function="f"`, `region="us-east"`)
		return share > 0 && share < 1
	})
	if _, stderr, code := w.weir("shift", "us-east=1", "--function", "f"); code != 1 || !strings.Contains(stderr, "cancel it first") {
		t.Errorf("a second one: exit code %d, %s", code, stderr)
	}
	w.share("us-east", 0)
	eventually(t, "it is done", func() bool { stdout, _, _ := w.weir("shift", "list"); return strings.Contains(stdout, "done") })
	calls.more(t, 50)
	calls.end(t)
	w.says(`functions/f/regions`, "config", "overrides")
	if history := w.says("100 % of shift 1: moving", "config", "history"); strings.Count(history, "shift 1") != 1 {
		t.Errorf("a shift is one entry of the history:\n%s", history)
	}

	// All functions that do not say otherwise, of which one answers with errors.
	w.says("shift", "shift", "us-east=50", "eu-west=50", "--over", "1m", "--max-errors", "1", "--on-errors", "rollback")
	back := func() bool {
		for range 5 {
			w.get("/g")
		}
		stdout, _, _ := w.weir("shift", "list")
		return strings.Contains(stdout, "rolled back")
	}
	eventually(t, "it has gone back", back)
	stdout, _, _ := w.weir("shift", "list")
	if !strings.Contains(stdout, "% of") || !strings.Contains(stdout, "calls failed, at most 1 % may") {
		t.Error(stdout)
	}
	if overrides := w.says("", "config", "overrides"); strings.Contains(overrides, "regions/us-east") {
		t.Error(overrides)
	}
	if res, _ := w.get("/g"); res.StatusCode != 200 {
		t.Errorf("afterwards g answers %d", res.StatusCode)
	}
	for _, args := range [][]string{{"shift", "us-east"}, {"shift", "us-east=-1"}, {"shift", "us-east=1", "--at", "soon"}, {"shift"}} {
		if _, _, code := w.weir(args...); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
	if _, stderr, code := w.weir("shift", "cancel", "9"); code != 1 || !strings.Contains(stderr, `There is no shift "9".`) {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestReadTime(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"13:30": "2026-11-26T13:30:00Z", "03:00": "2026-11-27T03:00:00Z", "12:00": "2026-11-27T12:00:00Z", "2027-01-01T00:00:00+01:00": "2027-01-01T00:00:00+01:00",
	} {
		if got, err := readTime(text, now); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"soon", "25:00", "3", ""} {
		if got, err := readTime(text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
