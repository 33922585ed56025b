package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/testkit"
)

const webhookConfig = `
listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:%d" }
telemetry: { access_log: { output: none } }
scalers:
  platform: { type: webhook, url: "%s", token_file: token, timeout: 500ms }
functions:
  hello:
    cold_start: { scaler: platform, max_scale: 3, start_timeout: 3s, idle_after: 300ms, min_up: 0 }
    webhook: { command: "%s" }
routes: [{ function: hello }]
`

// startWebhook runs weir with a function behind a platform at url.
func startWebhook(t *testing.T, url, command string) *running {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), receiverToken)
	file := filepath.Join(dir, "weir.yaml")
	write(t, file, fmt.Sprintf(webhookConfig, freePort(t), url, command))
	return startRun(t, file)
}

// freePort is a port that nobody listens on: the callback's address has to be
// known before weir runs.
func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// receiverToken is the secret of the platform.
const receiverToken = "0123456789abcdef0123456789abcdef"

// startReceiver runs the receiver of the documentation until the test ends, and
// builds what it can start.
func startReceiver(t *testing.T) (url, function string) {
	t.Helper()
	python := testkit.Program(t, "python3", "python3")
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, receiverToken)
	function = filepath.Join(t.TempDir(), "function")
	if out, err := exec.Command("go", "build", "-o", function, "./coldstart/scalertest/function").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	receiver := exec.Command(python, "docs/examples/receiver.py", "--listen", "127.0.0.1:0", "--token-file", token)
	receiver.Stderr = t.Output()
	out, err := receiver.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		receiver.Process.Signal(syscall.SIGTERM)
		receiver.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + strings.TrimSpace(strings.TrimPrefix(line, "listening on ")), function
}

// The receiver of the documentation raises the function when it is called, and
// puts it back when it is not.
func TestWebhookFromNothingAndBack(t *testing.T) {
	receiver, function := startReceiver(t)
	w := startWebhook(t, receiver, function)
	for range 2 {
		if res, id := w.get("/id"); res.StatusCode != 200 || id == "" {
			t.Errorf("%s %q", res.Status, id)
		}
		eventually(t, "put back", func() bool { return w.cold("hello") })
	}
}

// cold tells whether nothing of a function runs.
func (w *running) cold(function string) bool {
	_, body, err := get(w.admin + "/api/v1/functions/" + function)
	var f struct{ State string }
	return err == nil && json.Unmarshal([]byte(body), &f) == nil && f.State == "cold"
}

// An instance that says itself that it is ready has the call that waits for it
// at once. The figure is logged: from the announcement to the call.
func TestAnnouncedInstanceHasTheCallAtOnce(t *testing.T) {
	type wish struct {
		Action   string
		Callback struct{ URL, Token string }
	}
	wishes := make(chan wish, 100)
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var got wish
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		if got.Action == "ensure" {
			wishes <- got
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer platform.Close()
	w := startWebhook(t, platform.URL, "true")
	var took []time.Duration
	for range 8 {
		var called atomic.Int64
		instance := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Store(time.Now().UnixNano()) }))
		answered := make(chan string, 1)
		go func() {
			res, body, err := get(w.url)
			if err != nil || res.StatusCode != 200 {
				body = fmt.Sprint(err, body)
			}
			answered <- body
		}()
		got := <-wishes
		post := func(kind, body string) int {
			req, _ := http.NewRequest(http.MethodPost, got.Callback.URL+"/"+kind, bytes.NewBufferString(body))
			req.Header.Set("Authorization", "Bearer "+got.Callback.Token)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			io.Copy(io.Discard, res.Body)
			return res.StatusCode
		}
		here := fmt.Sprintf(`{"id":"a","address":%q}`, instance.Listener.Addr())
		if status := post("ready", `{"id":"a","address":"127.0.0.1:1"}`); status != 409 { // it lies, and costs no call anything
			t.Errorf("a lie is answered %d", status)
		}
		instance.Start()
		began := time.Now()
		if status := post("ready", here); status != 204 {
			t.Fatalf("ready is answered %d", status)
		}
		if body := <-answered; body != "" {
			t.Fatalf("the call: %s", body)
		}
		took = append(took, time.Unix(0, called.Load()).Sub(began))
		eventually(t, "put back", func() bool { return w.cold("hello") })
		instance.Close()
	}
	slices.Sort(took)
	t.Logf("from the announcement to the call: median %v, most %v", took[len(took)/2], took[len(took)-1])
	if took[0] > time.Second {
		t.Errorf("nobody was in a hurry: %v", took)
	}
}

// A platform that hangs, or has nothing to run the function with, is a clear
// answer, and no call is held after it is known.
func TestWebhookThatFails(t *testing.T) {
	for _, c := range []struct {
		name, words string
		platform    http.HandlerFunc
	}{
		{"hangs", "has not answered within 500ms", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}},
		{"refuses", "no such image", func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no such image", http.StatusNotFound)
		}},
		{"talks nonsense", "cannot be understood", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "<html>")
		}},
		{"lies", "the instance was not ready in time", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"instances":[{"id":"a","address":"127.0.0.1:1"}]}`)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			platform := httptest.NewServer(c.platform)
			defer platform.Close()
			w := startWebhook(t, platform.URL, "true")
			began := time.Now()
			res, body := w.get("/")
			if res.StatusCode != 503 || !strings.Contains(body, `"cause":"CSF"`) && !strings.Contains(body, `"cause":"CST"`) || res.Header.Get("Retry-After") == "" {
				t.Errorf("%s %v %s", res.Status, res.Header, body)
			}
			if took := time.Since(began); took > patience/2 {
				t.Errorf("held for %v", took)
			}
			eventually(t, "the operator is told", func() bool { return strings.Contains(w.stderr.String(), c.words) })
		})
	}
}

// A platform that has moved is asked where it is now, for functions that are
// there already too.
func TestWebhookIsReloaded(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()
	instance := echoing(t, "instance")
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"instances":[{"id":"a","address":"127.0.0.1:%d"}]}`, instance)
	}))
	defer platform.Close()
	dir := t.TempDir()
	file, port := filepath.Join(dir, "weir.yaml"), freePort(t)
	write(t, filepath.Join(dir, "token"), receiverToken)
	write(t, file, fmt.Sprintf(webhookConfig, port, gone.URL, "true"))
	w := startRun(t, file)
	if res, _ := w.get("/"); res.StatusCode != 503 {
		t.Errorf("without a platform: %s", res.Status)
	}
	write(t, file, fmt.Sprintf(webhookConfig, port, platform.URL, "true"))
	w.signal(syscall.SIGHUP)
	eventually(t, "the function is raised", func() bool {
		_, body := w.get("/x")
		return body == "instance /x"
	})
}

// A platform that took note and then forgot, as one does that is restarted, is told
// again within a second or so, with the same key; it is one start.
func TestPlatformThatForgetsIsToldAgain(t *testing.T) {
	function := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") }))
	defer function.Close()
	var raised atomic.Bool
	keys := make(chan string, 100)
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var wish struct{ Action string }
		if err := json.NewDecoder(r.Body).Decode(&wish); err != nil {
			t.Error(err)
		}
		if wish.Action == "ensure" {
			keys <- r.Header.Get("Idempotency-Key")
			raised.Store(len(keys) > 1) // the first is forgotten
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if raised.Load() {
			fmt.Fprintf(w, `{"instances":[{"id":"a","address":%q}]}`, function.Listener.Addr())
		} else {
			fmt.Fprint(w, `{"instances":[]}`)
		}
	}))
	defer platform.Close()
	w := startWebhook(t, platform.URL, "")
	res, body := w.get("/")
	if res.StatusCode != 200 || body != "here" {
		t.Fatalf("%s %q", res.Status, body)
	}
	first, second := <-keys, <-keys
	if first != second {
		t.Errorf("the key was %s, then %s", first, second)
	}
	eventually(t, "one start", func() bool {
		_, page, err := get(w.admin + "/metrics")
		return err == nil && strings.Contains(page, `weir_coldstarts_total{function="hello",region="local",trigger="demand",result="ok"} 1`) &&
			strings.Contains(page, `weir_scaler_requests_total{scaler="platform",result="ok"} 1`) &&
			strings.Contains(page, `weir_scaler_requests_total{scaler="platform",result="repeated"}`)
	})
}
