package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/testkit"
)

const dockerConfig = `
listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
scalers:
  engine: { type: docker, host: "unix://%s", gateway: "%s" }
functions:
  hello:
    cold_start: { scaler: engine, idle_after: 1m }
    docker: { image: "%s", port: 8080 }
  short:
    cold_start: { scaler: engine }
    docker: { image: "%s", port: 8080, env: { EXIT: 0, SAY: nothing to do } }
  missing:
    cold_start: { scaler: engine }
    docker: { image: "weir-test/no-such-image:1", port: 8080 }
routes:
  - { path_prefix: /short, function: short }
  - { path_prefix: /missing, function: missing }
  - { function: hello }
`

// On a real engine: a call starts a container, a restart of weir finds it again,
// and what cannot run is told at once.
func TestDockerFromNothingAndAcrossARestart(t *testing.T) {
	socket, docker := testkit.Docker(t)
	image := testkit.Image(t, "./coldstart/scalertest/function")
	gateway := fmt.Sprintf("test-%d", os.Getpid())
	containers := func() []string {
		out, err := exec.Command(docker, "ps", "--all", "--quiet", "--filter", "label=weir.gateway="+gateway).Output()
		if err != nil {
			t.Error(err)
		}
		return strings.Fields(string(out))
	}
	defer func() {
		if ids := containers(); len(ids) > 0 {
			exec.Command(docker, append([]string{"rm", "--force"}, ids...)...).Run()
		}
	}()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, fmt.Sprintf(dockerConfig, socket, gateway, image, image))

	w := startRun(t, file)
	began := time.Now()
	res, id := w.get("/id")
	if res.StatusCode != 200 || res.Header.Get("X-Weir-Cold") != "held" {
		t.Fatalf("%s %v %s", res.Status, res.Header, id)
	}
	t.Logf("from nothing to the answer: %v", time.Since(began))
	for path, words := range map[string]string{"/missing": "no-such-image", "/short": "exited with status 0"} {
		began := time.Now()
		res, body := w.get(path)
		if res.StatusCode != 503 || !strings.Contains(body, `"cause":"CSF"`) || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s %v %s", path, res.Status, res.Header, body)
		}
		if took := time.Since(began); took > patience/2 {
			t.Errorf("%s: held for %v", path, took)
		}
		eventually(t, "the operator is told of "+path, func() bool { return strings.Contains(w.stderr.String(), words) })
	}
	w.signal(os.Interrupt)
	if code := w.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	eventually(t, "only the one that serves outlives weir", func() bool { return len(containers()) == 1 })

	again := startRun(t, file)
	eventually(t, "it is found", func() bool { return !again.cold("hello") })
	if res, now := again.get("/id"); now != id || res.Header.Get("X-Weir-Cold") != "hit" {
		t.Errorf("another instance answers, or the call was held: %v %s, was %s", res.Header, now, id)
	}
}

// A scaler goes to its engine by another way, then to what is another engine to it,
// and back, under load: no call fails, and nothing stays where it was. An engine that
// nobody answers at is no reason to refuse the change.
func TestDockerEngineIsReloaded(t *testing.T) {
	socket, docker := testkit.Docker(t)
	image := testkit.Image(t, "./coldstart/scalertest/function")
	front := testkit.NewFront(t, "unix", socket)
	here, there := fmt.Sprintf("test-%d-here", os.Getpid()), fmt.Sprintf("test-%d-there", os.Getpid())
	containers := func(gateway string) []string {
		out, err := exec.Command(docker, "ps", "--all", "--quiet", "--filter", "label=weir.gateway="+gateway).Output()
		if err != nil {
			t.Error(err)
		}
		return strings.Fields(string(out))
	}
	defer func() {
		if ids := append(containers(here), containers(there)...); len(ids) > 0 {
			exec.Command(docker, append([]string{"rm", "--force"}, ids...)...).Run()
		}
	}()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	settings := func(host, gateway string) string {
		return fmt.Sprintf(`
listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
scalers: { engine: { type: docker, host: %q, gateway: %s } }
functions:
  hello: { cold_start: { scaler: engine, idle_after: 1h }, docker: { image: %q, port: 8080, stop_timeout: 1s } }
routes: [{ function: hello }]
`, host, gateway, image)
	}
	write(t, file, settings("unix://"+socket, here))
	w := startRun(t, file)
	reload := func(host, gateway string) {
		t.Helper()
		write(t, file, settings(host, gateway))
		if _, stderr, code := w.weir("config", "reload"); code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
	}
	stands := func(gateway string, n int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s has %d containers", gateway, n), func() bool { return len(containers(gateway)) == n })
	}
	_, id := w.get("/id")
	calls := loadOn(w.url + "/id")
	calls.more(t, 20)

	reload("unix://"+front.Addr(), here)
	eventually(t, "the engine is heard by the other way", func() bool { return front.Came() > 0 && !w.cold("hello") })
	calls.more(t, 20)
	stands(here, 1)
	if _, now := w.get("/id"); now != id {
		t.Errorf("another instance answers: %s, was %s", now, id)
	}
	reload("unix://"+front.Addr(), there)
	calls.more(t, 20)
	stands(there, 1)
	stands(here, 0)
	reload("unix://"+socket, here)
	calls.more(t, 20)
	stands(here, 1)
	stands(there, 0)
	calls.end(t)

	reload("unix:///nowhere/engine.sock", here)
	eventually(t, "the operator is told", func() bool { return strings.Contains(w.stderr.String(), "the engine cannot be reached") })
	if res, body := w.get("/id"); res.StatusCode != 503 || !strings.Contains(body, `"cause":"CSF"`) {
		t.Errorf("%s %s", res.Status, body)
	}
	stands(here, 0)
	reload("unix://"+socket, here)
	if res, body := w.get("/id"); res.StatusCode != 200 {
		t.Errorf("%s %s", res.Status, body)
	}
	if w.metric("weir_config_last_reload_successful") != 1 {
		t.Error("a change was refused")
	}
}
