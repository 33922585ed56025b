package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/internal/telemetry"
	"github.com/weir-gateway/weir/proxy/http1"
	"github.com/weir-gateway/weir/proxy/table"
)

var update = flag.Bool("update", false, "write the files in testdata anew")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // sleeps for 10 s before it ends
	)
}

const document = `
region: us-east
listeners: [{ address: "127.0.0.1:1", trusted_proxies: [10.0.0.0/8] }]
regions: { us-east: { weight: 3, location: [39.04, -77.49] }, ap-south: { drain: true } }
functions:
  hello:
    endpoints: ["127.0.0.1:9001", { address: "127.0.0.1:9002", region: eu-west, zone: b, weight: 3, slots: 7 }]
    timeouts: { request: 2s }
  report:
    cold_start: { scaler: process, idle_after: 90s }
    process: { command: [/bin/report, "{{port}}"], dir: /, env: { TOKEN: hunter2 } }
  empty: { endpoints: [], rate_limit: { requests: 100, burst: 20, key: client } }
routes:
  - { hosts: [API.example.com], path_prefix: /report, function: report }
  - { function: hello }
`

// A window is a Server on a loopback port, with a Keeper behind it.
type window struct {
	t      testing.TB
	addr   string
	keeper *table.Keeper
	ready  *Readiness
	stop   func()

	announce func(ctx context.Context, function, kind, token string, body []byte) error
}

// open serves a document until the test ends. With none there is no table.
func open(t testing.TB, doc string) *window {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	tel, err := telemetry.New(config.Telemetry{AccessLog: config.AccessLog{Output: "none"}}, "us-east", log)
	if err != nil {
		t.Fatal(err)
	}
	w := &window{t: t, ready: NewReadiness("config", "table", "listeners", "draining")}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	scene := func() telemetry.Scene { return telemetry.Scene{Version: "v1.2.3", Revision: "abcdef"} }
	if doc != "" {
		cfg, err := config.Parse("test.yaml", []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		activator := coldstart.NewActivator(map[string]coldstart.Scaler{"process": sleeper{}}, tel, log)
		w.keeper = table.NewKeeper(cfg, table.Parts{
			Provider: discovery.NewStatic(log), Activator: activator,
			NewTransport: http1.NewPool, NewMeter: tel.NewMeter, Log: log,
		})
		work.Go(func() { _ = w.keeper.Run(ctx) })
		work.Go(func() { _ = activator.Run(ctx) })
		<-w.keeper.Ready()
		scene = func() telemetry.Scene {
			return telemetry.Scene{Table: w.keeper.Table(), Version: "v1.2.3", Revision: "abcdef"}
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	server := New(Parts{Scene: scene, Telemetry: tel, Ready: w.ready, Log: log,
		Announce: func(ctx context.Context, function, kind, token string, body []byte) error {
			return w.announce(ctx, function, kind, token, body)
		}})
	server.endpoints = append(server.endpoints, endpoint{path: "/bug", serve: server.view(func(telemetry.Scene, string) any { panic("x") })})
	work.Go(func() {
		if err := server.Serve(ctx, ln); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	w.stop = sync.OnceFunc(func() {
		cancel()
		work.Wait()
	})
	t.Cleanup(w.stop)
	return w
}

// A sleeper takes note of everything and raises nothing.
type sleeper struct{}

func (sleeper) String() string                                         { return "sleeper" }
func (sleeper) ScaleUp(context.Context, config.Function, int) error    { return nil }
func (sleeper) ScaleDown(context.Context, config.Function, int) error  { return nil }
func (sleeper) Replicas(context.Context, config.Function) (int, error) { return 0, nil }

// ask makes one request as it is, and returns the answer.
func (w *window) ask(request string) (*http.Response, string) {
	w.t.Helper()
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(nc, request); err != nil {
		w.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	r, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: method})
	if err != nil {
		w.t.Fatalf("%q: %v", request, err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Fatalf("%q: %v", request, err)
	}
	return r, string(body)
}

func (w *window) get(path string) (*http.Response, string) {
	w.t.Helper()
	return w.ask("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

func TestShapes(t *testing.T) {
	w := open(t, document)
	for _, path := range []string{"/", "/api/v1/version", "/api/v1/config", "/api/v1/routes", "/api/v1/functions",
		"/api/v1/functions/hello", "/api/v1/functions/empty", "/api/v1/functions/hello/endpoints", "/api/v1/functions/report/endpoints",
		"/api/v1/peers", "/api/v1/refused", "/api/v1/functions/nobody", "/api/v1/regions", "/api/v1/regions/ap-south", "/api/v1/regions/nowhere",
		"/api/v1/explain?function=hello", "/api/v1/explain?function=hello&health=us-east=1/2,eu-west=3/3", "/api/v1/explain?function=hello&health=us-east=1", "/nowhere", "/bug"} {
		r, body := w.get(path)
		got := fmt.Sprintf("%d %s\n\n%s", r.StatusCode, r.Header.Get("Content-Type"), body)
		got = regexp.MustCompile(`go1[.\w]+`).ReplaceAllString(got, "go1.x")
		got = regexp.MustCompile(`"linux/\w+"`).ReplaceAllString(got, `"os/arch"`)
		name := strings.NewReplacer("/", "_", "?", "_", "=", "_", "&", "_", ",", "_").Replace(strings.Trim(path, "/"))
		if name == "" {
			name = "index"
		}
		file := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\n%s\nwant:\n%s", path, got, want)
		}
		if strings.HasSuffix(r.Header.Get("Content-Type"), "json") && !json.Valid([]byte(body)) {
			t.Errorf("%s: not JSON", path)
		}
		if strings.Contains(body, "hunter2") {
			t.Errorf("%s tells a secret", path)
		}
	}
}

func TestMethods(t *testing.T) {
	w := open(t, document)
	f := func(request string, status int) *http.Response {
		t.Helper()
		r, body := w.ask(request + "\r\n\r\n")
		if r.StatusCode != status {
			t.Errorf("%q: %d, want %d\n%s", request, r.StatusCode, status, body)
		}
		return r
	}
	r := f("POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0", 405)
	if got := r.Header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow: %q", got)
	}
	r = f("HEAD /api/v1/functions HTTP/1.1\r\nHost: localhost", 200)
	if r.ContentLength < 100 {
		t.Errorf("the answer to HEAD has a Content-Length of %d", r.ContentLength)
	}
	f("DELETE /nowhere HTTP/1.1\r\nHost: localhost", 404)
	f("GET /livez/ HTTP/1.1\r\nHost: localhost", 404)
	f("GET /api/v1/functions/ HTTP/1.1\r\nHost: localhost", 404)
	f("GET /api/v1/functions/hello/ HTTP/1.1\r\nHost: localhost", 404)
	f("GET /api/v1/functions/%zz HTTP/1.1\r\nHost: localhost", 404)
	f("POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000", 413)
	f("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 10_000), 431)
	f("nonsense", 400)
	f("GET /livez HTTP/1.1\r\nHost: localhost", 200) // and it is still there
}

func TestHostOnLoopback(t *testing.T) {
	w := open(t, document)
	f := func(host string, status int) {
		t.Helper()
		if r, _ := w.ask("GET /livez HTTP/1.1\r\nHost: " + host + "\r\n\r\n"); r.StatusCode != status {
			t.Errorf("Host %q: %d, want %d", host, r.StatusCode, status)
		}
	}
	f("localhost", 200)
	f("LOCALHOST:9901", 200)
	f("127.0.0.1:9901", 200)
	f("[::1]:9901", 200)
	f("[::1]", 200)
	f("192.0.2.1", 200)
	f("evil.example.com", 403)
	f("evil.example.com:9901", 403)
	f("localhost.evil.example.com", 403)
	f("127.0.0.1.nip.io", 403)
	if r, _ := w.ask("GET /livez HTTP/1.0\r\n\r\n"); r.StatusCode != 200 {
		t.Errorf("HTTP/1.0 without Host: %d", r.StatusCode)
	}
	if r, _ := w.ask("GET http://evil.example.com/livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); r.StatusCode != 403 {
		t.Errorf("another host in the target: %d", r.StatusCode)
	}
}

func TestBeforeTheFirstTable(t *testing.T) {
	w := open(t, "")
	if r, body := w.get("/api/v1/functions"); r.StatusCode != 503 || !strings.Contains(body, "not_ready") {
		t.Errorf("%d %s", r.StatusCode, body)
	}
	if r, body := w.get("/metrics"); r.StatusCode != 200 || !strings.Contains(body, "\nweir_build_info{") {
		t.Errorf("%d %s", r.StatusCode, body)
	}
}

func TestMetrics(t *testing.T) {
	w := open(t, document)
	r, body := w.get("/metrics")
	if got := r.Header.Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Error(got)
	}
	if !strings.Contains(body, "\nweir_endpoints{function=\"hello\",region=\"eu-west\",state=\"healthy\"} 1\n") {
		t.Error(body)
	}
}

func TestStartingFunction(t *testing.T) {
	w := open(t, document)
	w.keeper.Table().Functions["report"].Start.Need()
	client := Client{Address: w.addr}
	for began := time.Now(); ; {
		var fn Function
		if err := client.Get("/api/v1/functions/report", &fn); err != nil {
			t.Fatal(err)
		}
		if fn.State == "starting" && fn.Since != nil && fn.Scaler == "process" && fn.ETA == nil {
			return
		}
		if time.Since(began) > 5*time.Second {
			t.Fatalf("%+v", fn)
		}
	}
}

func TestManyAsk(t *testing.T) {
	w := open(t, document)
	var work sync.WaitGroup
	for _, path := range []string{"/metrics", "/api/v1/functions", "/api/v1/config", "/readyz?verbose"} {
		work.Go(func() {
			for range 50 {
				w.get(path)
			}
		})
	}
	for i := range 20 {
		w.ready.Set("config", i%2 == 0)
		cfg, err := config.Parse("test.yaml", []byte(document))
		if err != nil {
			t.Fatal(err)
		}
		w.keeper.Propose(cfg)
	}
	work.Wait()
}

// A connection that is kept alive, and one that says nothing, do not keep weir
// from ending.
func TestEnd(t *testing.T) {
	w := open(t, document)
	silent, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	kept, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	fmt.Fprint(kept, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if _, err := kept.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.stop()
	if took := time.Since(began); took > 2*lastAnswer {
		t.Errorf("the end took %v", took)
	}
}

func TestEndAtOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := New(Parts{Log: slog.New(slog.DiscardHandler)}).Serve(ctx, ln); err != nil {
		t.Error(err)
	}
}
