package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/weir-gateway/weir/internal/testkit"
)

// A traced is a weir that sends its spans to a real receiver, in front of a
// function that is a process and starts in 50 ms, and one that cannot start.
type traced struct {
	*running
	receiver *testkit.Receiver
}

const tracedConfig = `
listeners: [{ address: "127.0.0.1:0", trusted_proxies: [127.0.0.1] }]
admin: { address: "127.0.0.1:0" }
region: us-east
telemetry: { access_log: { output: stdout }, tracing: { otlp_endpoint: %q, sample_ratio: %v } }
functions:
  f:
    cold_start: { scaler: process, idle_after: 1h }
    process: { command: [%q], listen: fd, env: { BOOT: 50ms } }
  broken:
    cold_start: { scaler: process }
    process: { command: [%[3]q], env: { EXIT: 3 } }
routes:
  - { path_prefix: /, function: f }
  - { path_prefix: /broken, function: broken }
`

func startTraced(t *testing.T, ratio float64) *traced {
	t.Helper()
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20") // milliseconds
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	dir := t.TempDir()
	function := filepath.Join(dir, "function")
	build := exec.Command("go", "build", "-o", function, "./coldstart/scalertest/function")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	receiver := testkit.Receive(t)
	file := filepath.Join(dir, "weir.yaml")
	write(t, file, fmt.Sprintf(tracedConfig, receiver.URL, ratio, function))
	return &traced{startRun(t, file), receiver}
}

// spans waits for n spans, and returns them by name.
func (w *traced) spans(n int) map[string][]*otlp.Span {
	w.t.Helper()
	eventually(w.t, fmt.Sprint(n, " spans"), func() bool { return len(w.receiver.Spans()) >= n })
	byName := map[string][]*otlp.Span{}
	for _, s := range w.receiver.Spans() {
		byName[s.GetName()] = append(byName[s.GetName()], s)
	}
	return byName
}

// the one span of a name.
func the(t *testing.T, spans map[string][]*otlp.Span, name string) *otlp.Span {
	t.Helper()
	if len(spans[name]) != 1 {
		t.Fatalf("%d spans are called %q, want one of %v", len(spans[name]), name, spans)
	}
	return spans[name][0]
}

func within(t *testing.T, inner, outer *otlp.Span) {
	t.Helper()
	if inner.GetStartTimeUnixNano() < outer.GetStartTimeUnixNano() || inner.GetEndTimeUnixNano() > outer.GetEndTimeUnixNano() ||
		inner.GetEndTimeUnixNano() < inner.GetStartTimeUnixNano() {
		t.Errorf("%s is not within %s", inner.GetName(), outer.GetName())
	}
}

func childOf(t *testing.T, child, parent *otlp.Span) {
	t.Helper()
	if string(child.GetParentSpanId()) != string(parent.GetSpanId()) || string(child.GetTraceId()) != string(parent.GetTraceId()) {
		t.Errorf("%s is not below %s", child.GetName(), parent.GetName())
	}
}

const callersTrace, callersSpan = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

func (w *traced) callTraced(path, flags string) (status int, body string) {
	w.t.Helper()
	r, err := http.NewRequest("GET", w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Traceparent", "00-"+callersTrace+"-"+callersSpan+"-"+flags)
	r.Header.Set("Tracestate", "vendor=1")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text := new(strings.Builder)
	_, _ = bufio.NewReader(res.Body).WriteTo(text)
	return res.StatusCode, text.String()
}

// A first call with a trace of its own: what the function was told, what the
// receiver got, and what the log says are of one piece.
func TestTraceOfAColdCall(t *testing.T) {
	w := startTraced(t, 0)
	status, body := w.callTraced("/head?secret=1", "01")
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	head, err := textproto.NewReader(bufio.NewReader(strings.NewReader(body + "\r\n"))).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	spans := w.spans(9)
	server, hold, client := the(t, spans, "GET /"), the(t, spans, "hold"), the(t, spans, "GET")

	if got := hex.EncodeToString(server.GetTraceId()); got != callersTrace {
		t.Errorf("the call is of trace %s", got)
	}
	if got := hex.EncodeToString(server.GetParentSpanId()); got != callersSpan || server.GetTraceState() != "vendor=1" {
		t.Errorf("the call is below %s, of state %s", got, server.GetTraceState())
	}
	childOf(t, hold, server)
	childOf(t, client, server)
	within(t, hold, server)
	within(t, client, server)
	if server.GetKind() != otlp.Span_SPAN_KIND_SERVER || client.GetKind() != otlp.Span_SPAN_KIND_CLIENT {
		t.Errorf("kinds %v and %v", server.GetKind(), client.GetKind())
	}
	if want := "00-" + callersTrace + "-" + hex.EncodeToString(client.GetSpanId()) + "-01"; head.Get("Traceparent") != want || head.Get("Tracestate") != "vendor=1" {
		t.Errorf("the function was told %v, want %s", head, want)
	}
	for key, want := range map[string]string{
		"http.request.method": "GET", "http.route": "/", "url.path": "/head", "weir.function": "f", "url.scheme": "http",
		"http.response.status_code": "int_value:200", "server.address": "127.0.0.1", "client.address": "127.0.0.1",
	} {
		if got := testkit.Attributes(server.GetAttributes())[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if text := server.String(); strings.Contains(text, "secret") {
		t.Errorf("the query is in %s", text)
	}
	if got := testkit.Attributes(client.GetAttributes())["http.response.status_code"]; got != "int_value:200" {
		t.Errorf("the try has status %s", got)
	}

	start := the(t, spans, "start")
	if links := hold.GetLinks(); len(links) != 1 || string(links[0].GetSpanId()) != string(start.GetSpanId()) || string(links[0].GetTraceId()) != string(start.GetTraceId()) {
		t.Errorf("hold links to %v, want %x", links, start.GetSpanId())
	}
	if string(start.GetTraceId()) == string(server.GetTraceId()) || len(start.GetParentSpanId()) > 0 {
		t.Error("the start is not a trace of its own")
	}
	at := start.GetStartTimeUnixNano()
	for _, phase := range []string{"trigger", "provision", "boot", "detect"} {
		s := the(t, spans, phase)
		childOf(t, s, start)
		within(t, s, start)
		if s.GetStartTimeUnixNano() != at {
			t.Errorf("%s does not begin where the phase before it ended", phase)
		}
		at = s.GetEndTimeUnixNano()
	}
	if at != start.GetEndTimeUnixNano() {
		t.Error("the phases are not the whole start")
	}
	boot := the(t, spans, "boot")
	if took := time.Duration(boot.GetEndTimeUnixNano() - boot.GetStartTimeUnixNano()); took < 40*time.Millisecond {
		t.Errorf("boot took %v, want 50 ms", took)
	}
	childOf(t, the(t, spans, "release"), start)
	if got := testkit.Attributes(start.GetAttributes()); got["weir.start.trigger"] != "demand" || got["weir.function"] != "f" {
		t.Errorf("the start says %v", got)
	}
	if got := w.receiver.Resource(); got["service.name"] != "weir" || got["weir.region"] != "us-east" || got["deployment.environment.name"] != "test" {
		t.Errorf("the resource is %v", got)
	}

	var line struct {
		TraceID string `json:"trace_id"`
		SpanID  string `json:"span_id"`
	}
	eventually(t, "the line of the access log", func() bool { return json.Unmarshal([]byte(w.stdout.String()), &line) == nil })
	if line.TraceID != callersTrace || line.SpanID != hex.EncodeToString(server.GetSpanId()) {
		t.Errorf("the log says %+v", line)
	}
	if n := w.metric("weir_trace_spans_exported_total"); n != 9 {
		t.Errorf("%v spans are counted, want 9", n)
	}
}

// A start that fails, and a call that waited for it. The second one finds the
// door as it is, and links to the start that has closed it.
func TestTraceOfAStartThatFails(t *testing.T) {
	w := startTraced(t, 0)
	if status, body := w.callTraced("/broken", "01"); status != 503 {
		t.Fatalf("%d %s", status, body)
	}
	eventually(t, "the start and the call", func() bool { return len(w.receiver.Spans()) >= 4 })
	spans := w.spans(4)
	start, hold, server := the(t, spans, "start"), the(t, spans, "hold"), the(t, spans, "GET /broken")
	for _, s := range []*otlp.Span{start, hold, server} {
		if s.GetStatus().GetCode() != otlp.Status_STATUS_CODE_ERROR {
			t.Errorf("%s has status %v", s.GetName(), s.GetStatus())
		}
	}
	if links := hold.GetLinks(); len(links) != 1 || string(links[0].GetSpanId()) != string(start.GetSpanId()) {
		t.Errorf("hold links to %v, want %x", links, start.GetSpanId())
	}
	if got := testkit.Attributes(start.GetAttributes())["error.type"]; got != "crash" {
		t.Errorf("the start failed by %q, want crash", got)
	}
	if got := testkit.Attributes(server.GetAttributes())["error.type"]; got != "CSF" {
		t.Errorf("the call ended by %q, want CSF", got)
	}
	if len(spans["GET"]) > 0 {
		t.Error("there was a try")
	}
}

// More can be recorded while weir runs.
func TestSampleRatioIsReloaded(t *testing.T) {
	w := startTraced(t, 0)
	file := w.cmd.Args[len(w.cmd.Args)-1]
	if _, body := w.get("/head"); !strings.Contains(body, "-00\r\n") {
		t.Errorf("%s", body)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, strings.Replace(string(text), "sample_ratio: 0", "sample_ratio: 1", 1))
	w.signal(syscall.SIGHUP)
	eventually(t, "calls are recorded", func() bool {
		_, body := w.get("/head")
		return strings.Contains(body, "-01\r\n")
	})
}

// What is not recorded makes no span, and the function hears that it is not.
// Starts are recorded all the same. A receiver that has gone holds nobody up.
func TestTraceNotRecorded(t *testing.T) {
	w := startTraced(t, 0)
	if status, body := w.callTraced("/head", "00"); status != 200 || !strings.Contains(body, "Traceparent: 00-"+callersTrace) || !strings.Contains(body, "-00\r\n") {
		t.Errorf("%d %s", status, body)
	}
	if _, body := w.get("/head"); !strings.Contains(body, "Traceparent: 00-") || !strings.Contains(body, "-00\r\n") {
		t.Errorf("%s", body)
	}
	spans := w.spans(6)
	the(t, spans, "start")
	if len(spans["GET"])+len(spans["hold"])+len(spans["GET /"]) > 0 {
		t.Errorf("%v", spans)
	}

	w.receiver.CloseClientConnections()
	w.receiver.Close()
	if status, _ := w.callTraced("/head", "01"); status != 200 {
		t.Errorf("without a receiver: %d", status)
	}
	eventually(t, "the spans to be counted as lost", func() bool { return w.metric("weir_trace_spans_dropped_total", `reason="failed"`) == 2 })
	eventually(t, "weir to say so", func() bool { return strings.Contains(w.stderr.String(), "cannot export spans") })
	w.signal(syscall.SIGTERM)
	if code := w.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
