package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-gateway/weir/internal/admin"
)

// A town is one region of real processes.
type town struct {
	name      string
	addresses []string
	servers   []*os.Process
}

func newTown(t *testing.T, name, ip string) *town {
	r := &town{name: name}
	for range 2 {
		address, server := serveHelloAt(t, ip+":0")
		r.addresses, r.servers = append(r.addresses, address), append(r.servers, server)
	}
	return r
}

func (r *town) signal(s os.Signal) {
	for _, server := range r.servers {
		_ = server.Signal(s)
	}
}

// comeBack starts what was killed, where it was.
func (r *town) comeBack(t *testing.T) {
	for i, address := range r.addresses {
		_, r.servers[i] = serveHelloAt(t, address)
	}
}

func (r *town) endpoints() string {
	return fmt.Sprintf(`{ address: %q, region: %s }, { address: %q, region: %s }`, r.addresses[0], r.name, r.addresses[1], r.name)
}

// share waits until a region has a share.
func (w *running) share(region string, want float64) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%s has %v", region, want), func() bool {
		return math.Abs(w.metric("weir_region_share", `function="f"`, fmt.Sprintf("region=%q", region))-want) < 0.001
	})
}

// had is how many calls a region has answered.
func (w *running) had(region string) float64 {
	return w.metric("weir_http_requests_total", `function="f"`, fmt.Sprintf("region=%q", region))
}

// answered is how many calls a region has answered, and all of them have, at one
// moment.
func (w *running) answered(region string) (its, all float64) {
	at := w.metrics()
	its = w.sum(at, "weir_http_requests_total", `function="f"`, fmt.Sprintf("region=%q", region))
	return its, w.sum(at, "weir_http_requests_total", `function="f"`)
}

// Two regions of real processes are drained, killed, cut off, and come back, under
// load: no call fails, and each has its share.
func TestRegionsUnderLoad(t *testing.T) {
	us, eu := newTown(t, "us-east", "127.84.71.1"), newTown(t, "eu-west", "127.84.72.1")
	file := filepath.Join(t.TempDir(), "weir.yaml")
	doc := `listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
regions: { us-east: { weight: 80 }, eu-west: { weight: 20 } }
failover: { failback_delay: 200ms, slow_start: { window: 3s } }
functions:
  f:
    endpoints: [` + us.endpoints() + ", " + eu.endpoints() + `]
    timeouts: { per_try: 2s }
    health_check: { path: /, interval: 100ms, timeout: 1s, unhealthy_threshold: 1, healthy_threshold: 1 }
    retries: { attempts: 2, retry_on: [connect_failure, reset, 504], backoff: { base: 1ms, max: 5ms } }
routes: [{ path_prefix: /, function: f }]
`
	write(t, file, doc)
	w := startRun(t, file)
	calls := loadOn(w.url + "/")

	// In a steady state each has its share, of 20,000 calls within 1.2 points.
	calls.more(t, 1)
	beforeUS, before := w.answered("us-east")
	const n = 20_000
	for range 20 { // each within its own patience
		calls.more(t, n/20)
	}
	its, all := w.answered("us-east")
	if got := (its - beforeUS) / (all - before); math.Abs(got-0.8) > 0.012 {
		t.Errorf("us-east has had %.4f of the calls, want 0.8", got)
	}

	// Drained: when the command has said so, no new call goes there, and a reading
	// of the file changes nothing of it.
	w.says("drained", "drain", "us-east", "--author", "alice", "--reason", "maintenance")
	drained := w.had("us-east")
	calls.more(t, 500)
	if more := w.had("us-east") - drained; more > 4 { // as many as may have been on their way
		t.Errorf("%v calls went to us-east after it was drained", more)
	}
	write(t, file, doc+"# touched\n")
	w.says("configuration", "config", "reload")
	w.share("us-east", 0)
	w.share("eu-west", 1)
	if w.metric("weir_region_draining", `region="us-east"`) != 1 {
		t.Error("it is not shown to be drained")
	}
	w.says("alice", "config", "overrides")
	w.says("active", "undrain", "eu-west") // it is not drained: nothing changes
	w.says("us-east", "undrain", "us-east")
	w.share("us-east", 0.8)
	if list := w.says("", "config", "overrides"); strings.Contains(list, "us-east") {
		t.Error("undrain has left an override: " + list)
	}

	// Disabled: nobody looks, so it may end and come back unseen, and no call fails.
	w.says("disabled", "disable", "us-east", "--author", "alice", "--reason", "it moves")
	calls.more(t, 200) // those that were there have ended
	us.signal(syscall.SIGKILL)
	disabled := w.had("us-east")
	calls.more(t, 500)
	if more := w.had("us-east") - disabled; more != 0 {
		t.Errorf("%v calls went to us-east while it was disabled", more)
	}
	w.says("us-east is disabled", "explain", "--function", "f")
	w.says("us-east  f         80      0         disabled  -/2", "regions")
	if at := w.metrics(); w.sum(at, "weir_region_disabled", `region="us-east"`) != 1 || w.sum(at, "weir_endpoints", `region="us-east"`, `state="disabled"`) != 2 {
		t.Error("it is not shown to be disabled")
	}
	us.comeBack(t)
	w.says("us-east", "enable", "us-east")
	w.share("us-east", 0.8)
	if list := w.says("", "config", "overrides"); strings.Contains(list, "us-east") {
		t.Error("enable has left an override: " + list)
	}
	if log := w.stderr.String(); strings.Contains(log, "unhealthy") || !strings.Contains(log, `"disabled":true`) {
		t.Error("somebody looked at what was disabled, or the log does not say that it was")
	}

	// Killed, and back.
	us.signal(syscall.SIGKILL)
	w.share("eu-west", 1)
	calls.more(t, 500)
	us.comeBack(t)
	w.share("us-east", 0.8)

	// Cut off: connections are taken, and nobody answers.
	us.signal(syscall.SIGSTOP)
	w.share("eu-west", 1)
	calls.more(t, 500)
	us.signal(syscall.SIGCONT)
	w.share("us-east", 0.8)

	// Other weights for the function, for a while.
	w.says("50.00 %", "weight", "f", "us-east=50", "eu-west=50", "--ttl", "1h")
	w.share("us-east", 0.5)
	w.says("PATH", "config", "unset", "functions/f/regions")
	w.share("us-east", 0.8)
	calls.more(t, 100)
	calls.end(t)
	if tries, calls := w.metric("weir_upstream_attempts_total", `function="f"`), w.metric("weir_http_requests_total", `function="f"`); tries > 1.2*calls {
		t.Errorf("%v tries for %v calls", tries, calls)
	}

	// Both drained: nobody is called.
	w.says("drained", "drain", "us-east")
	w.says("drained", "drain", "eu-west", "--ttl", "2s")
	asked := w.had("us-east") + w.had("eu-west")
	res, body := w.get("/")
	if res.StatusCode != 503 || !strings.Contains(body, `"cause":"DRN"`) || !strings.Contains(body, "urn:weir:problem:drained") || res.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
	if now := w.metric("weir_upstream_attempts_total", `function="f"`); now > asked*1.2 {
		t.Errorf("%v tries", now)
	}
	eventually(t, "the time to live has passed", func() bool { res, _ := w.get("/"); return res.StatusCode == 200 })
	for _, state := range []string{`"down"`, `"waiting"`, `"returning"`} {
		if !strings.Contains(w.stderr.String(), `"state":`+state) {
			t.Errorf("the log has no state %s", state)
		}
	}
}

// What is asked of a region over the admin interface is bound to what was seen.
func TestSteerByAPI(t *testing.T) {
	hello, _ := serveHello(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, "regions: { local: {}, far: { drain: true } }\n"+static(hello))
	w := startRun(t, file)
	ask := w.asks
	_, tag, _ := ask("GET", "/api/v1/regions", "", "")
	if _, same, _ := ask("GET", "/api/v1/regions/far", "", ""); tag == "" || same != tag {
		t.Errorf("tags %q and %q", tag, same)
	}
	status, next, body := ask("PUT", "/api/v1/regions/local", tag, `{"weight":7,"priority":2,"ttl":"1h","author":"bob","reason":"why not"}`)
	var region admin.Region
	if err := json.Unmarshal([]byte(body), &region); err != nil || status != 200 || region.Weight != 7 || region.Priority != 2 || next == tag || next == "" {
		t.Errorf("%d %q %s", status, next, body)
	}
	wants := func(status int, word, method, path, tag, body string) {
		t.Helper()
		if got, _, text := ask(method, path, tag, body); got != status || !strings.Contains(text, word) {
			t.Errorf("%s %s: %d, want %d with %q: %s", method, body, got, status, word, text)
		}
	}
	wants(412, "urn:weir:problem:stale", "PUT", "/api/v1/regions/local", tag, `{"weight":8}`)
	wants(200, `"weight": 8`, "PUT", "/api/v1/regions/local", next, `{"weight":8}`)
	wants(200, `"weight": 9`, "PUT", "/api/v1/regions/local", "*", `{"weight":9}`)
	wants(200, `"weight": 1,`, "PUT", "/api/v1/regions/local", "", `{"weight":null}`)
	wants(422, "cannot be negative", "PUT", "/api/v1/regions/local", "", `{"weight":-1}`)
	wants(422, "must be true or false", "PUT", "/api/v1/regions/local", "", `{"drain":"yes"}`)
	wants(422, "must be from 0 to 1000000000", "PUT", "/api/v1/regions/local", "", `{"weight":1000000001,"drain":true}`)
	wants(200, `"drain": false`, "GET", "/api/v1/regions/local", "", "") // the whole of it, or nothing
	wants(422, "must be true or false", "PUT", "/api/v1/regions/local", "", `{"disabled":"yes"}`)
	wants(200, `"disabled": true`, "PUT", "/api/v1/regions/local", "", `{"disabled":true,"ttl":"1h","reason":"gone"}`)
	wants(200, `"drain": true`, "PUT", "/api/v1/regions/local", "", `{"drain":true}`)
	wants(200, `"disabled": false`, "PUT", "/api/v1/regions/local", "", `{"disabled":false,"drain":null}`)
	wants(400, "at least one of", "PUT", "/api/v1/regions/local", "", `{"ttl":"5m"}`)
	wants(400, "ttl is not a duration", "PUT", "/api/v1/regions/local", "", `{"weight":1,"ttl":"5"}`)
	wants(400, "unknown field", "PUT", "/api/v1/regions/local", "", `{"wieght":1}`)
	wants(404, "There is no region", "PUT", "/api/v1/regions/lcoal", "", `{"weight":1}`)
	wants(405, "", "DELETE", "/api/v1/regions/local", "", "")
	wants(200, `"drain": false`, "PUT", "/api/v1/regions/far", "", `{"drain":false}`) // the file says otherwise
	wants(200, `"drain": true`, "PUT", "/api/v1/regions/far", "", `{"drain":null}`)
	if _, stderr, code := w.weir("drain", "nowhere"); code != 1 || !strings.Contains(stderr, "There is no region") {
		t.Errorf("%d %s", code, stderr)
	}
	for _, args := range [][]string{{"weight", "f", "local"}, {"weight", "f", "local=-1"}, {"weight", "f", "=1"}, {"weight", "f", "local=1", "local=2"}, {"weight", "f"}, {"drain"}} {
		if _, _, code := w.weir(args...); code != exitUsage {
			t.Errorf("weir %v: exit code %d", args, code)
		}
	}
	if _, stderr, code := w.weir("weight", "f", "lcoal=1"); code != 1 || !strings.Contains(stderr, `did you mean "local"`) {
		t.Errorf("%d %s", code, stderr)
	}
}
