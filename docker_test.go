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
