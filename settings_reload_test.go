package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/internal/testkit"
)

// Spans go elsewhere, tell another region, and are made no more, while calls pass.
func TestTracingIsReloaded(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20") // milliseconds
	d := dawdle(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	settings := func(region, tracing string) string {
		text := static(fmt.Sprintf("127.0.0.1:%d", d.port)) + "region: " + region + "\n"
		return strings.Replace(text, "telemetry: {", "telemetry: { tracing: { "+tracing+" },", 1)
	}
	to := func(r *testkit.Receiver) string { return fmt.Sprintf("otlp_endpoint: %q, sample_ratio: 1", r.URL) }
	reload := func(w *running, region, tracing string) {
		t.Helper()
		write(t, file, settings(region, tracing))
		if _, stderr, code := w.weir("config", "reload"); code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
	}
	one, two, three := testkit.Receive(t), testkit.Receive(t), testkit.Receive(t)
	write(t, file, settings("us-east", ""))
	w := startRun(t, file)
	calls := loadOn(w.url + "/")
	calls.more(t, 20)
	for _, step := range []struct {
		region string
		to     *testkit.Receiver
	}{{"us-east", one}, {"us-east", two}, {"eu-west", three}} {
		reload(w, step.region, to(step.to))
		eventually(t, "spans come", func() bool { return len(step.to.Spans()) > 0 })
		if in := step.to.Resource()["weir.region"]; in != step.region {
			t.Errorf("the spans are of region %q, want %s", in, step.region)
		}
	}
	if n := w.metric("weir_trace_spans_dropped_total", `reason="failed"`); n != 0 {
		t.Errorf("%v spans were lost", n)
	}
	reload(w, "eu-west", "")
	calls.more(t, 20)
	calls.end(t)
	if _, page, err := get(w.admin + "/metrics"); err != nil || strings.Contains(page, "weir_trace_spans_exported_total") {
		t.Errorf("spans are counted, and nobody makes any (%v)", err)
	}
}

// What nobody says a region of is in the new one, while calls pass.
func TestRegionIsReloaded(t *testing.T) {
	d := dawdle(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	settings := func(region string) string {
		return static(fmt.Sprintf("127.0.0.1:%d", d.port)) + "region: " + region + "\n"
	}
	write(t, file, settings("us-east"))
	w := startRun(t, file)
	calls := loadOn(w.url + "/")
	in := func(region string) float64 {
		return w.metric("weir_http_requests_total", `function="f"`, fmt.Sprintf("region=%q", region))
	}
	eventually(t, "calls are counted", func() bool { return in("us-east") > 0 })
	write(t, file, settings("eu-west"))
	if _, stderr, code := w.weir("config", "reload"); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	eventually(t, "calls are counted in the new region", func() bool { return in("eu-west") > 0 })
	calls.end(t)
	before := in("us-east")
	for range 10 {
		if res, _ := w.get("/"); res.StatusCode != http.StatusOK {
			t.Fatal(res.Status)
		}
	}
	if after := in("us-east"); after != before {
		t.Errorf("%v calls are counted in the old region, before %v", after, before)
	}
	if n := w.metric("weir_endpoints", `function="f"`, `region="us-east"`, `state="healthy"`); n != 0 {
		t.Errorf("%v endpoints are in the old region", n)
	}
	if n := w.metric("weir_endpoints", `function="f"`, `region="eu-west"`, `state="healthy"`); n != 1 {
		t.Errorf("%v endpoints are in the new region", n)
	}
}

// A scaler becomes one of another type and back: its functions are raised there from
// then on, what the one before has raised is stopped, and no call fails.
func TestScalerTypeIsReloaded(t *testing.T) {
	receiver, function := startReceiver(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), receiverToken)
	file, port := filepath.Join(dir, "weir.yaml"), freePort(t)
	settings := func(scaler, instances string) string {
		return fmt.Sprintf(`
listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:%d" }
telemetry: { access_log: { output: none } }
scalers: { platform: { %s } }
functions:
  hello:
    cold_start: { scaler: platform, start_timeout: 3s, idle_after: 1h }
    %s
routes: [{ function: hello }]
`, port, scaler, instances)
	}
	here := settings("type: process", fmt.Sprintf("process: { command: [%q], listen: fd }", function))
	there := settings(fmt.Sprintf("type: webhook, url: %q, token_file: token", receiver), fmt.Sprintf("webhook: { command: %q }", function))
	write(t, file, here)
	w := startRun(t, file)
	calls := loadOn(w.url + "/id")
	calls.more(t, 10)
	for range 2 {
		for _, step := range []struct {
			text string
			own  int // of its instances are weir's own processes
		}{{there, 0}, {here, 1}} {
			write(t, file, step.text)
			if _, stderr, code := w.weir("config", "reload"); code != 0 {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			calls.more(t, 10)
			eventually(t, fmt.Sprint(step.own, " processes"), func() bool { return len(w.family()) == step.own })
			calls.more(t, 10)
		}
	}
	calls.end(t)
}
