package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/config/layers"
)

// weir runs a command against a running gateway.
func (w *running) weir(args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	q := start(w.t, append(args, "--admin", strings.TrimPrefix(w.admin, "http://"))...)
	code = q.ended()
	return q.stdout.String(), q.stderr.String(), code
}

// says runs a command that has to succeed and to say something.
func (w *running) says(want string, args ...string) string {
	w.t.Helper()
	stdout, stderr, code := w.weir(args...)
	if code != 0 || !strings.Contains(stdout, want) {
		w.t.Errorf("weir %v: exit code %d, want %q in %s%s", args, code, want, stdout, stderr)
	}
	return stdout
}

// A day in the life of a configuration: it is edited, broken, rolled back,
// overridden, and no call is lost.
func TestConfigurationUnderLoad(t *testing.T) {
	hello, _ := serveHello(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	good := "include: conf.d/*.yaml\n" + static(hello) // one function, f, one route, /
	write(t, file, good)
	w := startRun(t, file)
	calls := loadOn(w.url + "/x")
	calls.more(t, 50)
	status := func(path string) int {
		res, _ := w.get(path)
		return res.StatusCode
	}

	// A file that is dropped into the folder is read without anybody asking.
	part := filepath.Join(filepath.Dir(file), "conf.d", "more.yaml")
	if err := os.Mkdir(filepath.Dir(part), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, part, "routes: [{ path_prefix: /closed, function: f, access: { deny: [127.0.0.0/8] } }]\n")
	eventually(t, "the new route holds", func() bool { return status("/closed") == 403 })

	// A broken one changes nothing and is told.
	write(t, part, "routes: [{ path_prefix: /closed, function: nobody }]\n")
	eventually(t, "the mistake is counted", func() bool { return w.metric("weir_config_last_reload_successful") == 0 })
	if status("/closed") != 403 || !strings.Contains(w.stderr.String(), part+":1:44: ") {
		t.Errorf("/closed is answered with %d; stderr %s", status("/closed"), w.stderr.String())
	}
	if _, stderr, code := w.weir("config", "reload"); code != 1 || !strings.Contains(stderr, "The configuration has mistakes; the last good one stands.") {
		t.Errorf("config reload: exit code %d, %s", code, stderr)
	}

	// One command, and it is as before.
	w.says("path_prefix: /closed", "config", "diff")
	w.says("configuration 3 stands", "config", "rollback", "--author", "alice", "--reason", "customers cannot buy")
	eventually(t, "the rollback holds", func() bool { return status("/closed") == 200 })
	history := w.says("back to 1: customers cannot buy", "config", "history")
	if !strings.Contains(history, "alice") {
		t.Error(history)
	}
	var entries []layers.Entry
	if err := json.Unmarshal([]byte(w.says("", "config", "history", "--json")), &entries); err != nil || len(entries) != 3 || !entries[0].Stands || entries[0].Source != "rollback" {
		t.Errorf("%+v, %v", entries, err)
	}

	// An override stands over the file for as long as it was given.
	w.says("functions/f/concurrency/max_requests", "config", "set", "functions/f/concurrency/max_requests", "100", "--ttl", "1h", "--author", "bob")
	w.says("routes/shut", "config", "set", "routes/shut", `{"path_prefix":"/shut","function":"f","access":{"deny":["127.0.0.1"]}}`, "--ttl", "2s")
	eventually(t, "the overridden route holds", func() bool { return status("/shut") == 403 })
	w.says("bob", "config", "overrides")
	if _, stderr, code := w.weir("config", "set", "functions/f/timeouts/request", "5"); code != 1 || !strings.Contains(stderr, "5 without a unit; say 5s or 5ms") {
		t.Errorf("a wrong override: exit code %d, %s", code, stderr)
	}
	if _, stderr, code := w.weir("config", "unset", "functions/g"); code != 1 || !strings.Contains(stderr, `Nothing overrides "functions/g".`) {
		t.Errorf("nothing to take back: exit code %d, %s", code, stderr)
	}
	eventually(t, "the override has ended", func() bool { return status("/shut") == 200 })
	w.says("PATH", "config", "unset", "functions/f/concurrency/max_requests")

	// The file that was rolled back from is put right.
	write(t, part, "routes: [{ path_prefix: /closed, function: f, access: { deny: [127.0.0.0/8] } }]\ndefaults: { timeouts: { idle: 30s } }\n")
	eventually(t, "the file counts again", func() bool { return status("/closed") == 403 })
	eventually(t, "the reading is counted", func() bool { return w.metric("weir_config_last_reload_successful") == 1 })
	calls.more(t, 50)
	calls.end(t)
}

// Wrong usage of weir config is told as such.
func TestConfigUsage(t *testing.T) {
	for args, want := range map[string]string{
		"config frobnicate":        "unknown command",
		"config set a":             "accepts 2 arg(s)",
		"config rollback x":        `"x" is not a version`,
		"config set a {b":          "neither JSON nor a plain word",
		"config set a b --ttl 5":   "invalid argument",
		"config history somewhere": "unknown command",
	} {
		w := start(t, strings.Fields(args)...)
		if code := w.ended(); code != exitUsage || !strings.Contains(w.stderr.String(), want) {
			t.Errorf("weir %s: exit code %d, %s", args, code, w.stderr.String())
		}
	}
}

// Whoever has the answer to a change can rely on it: the next call goes by it.
func TestChangeHoldsWhenItIsAnswered(t *testing.T) {
	hello, _ := serveHello(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	var many strings.Builder // so that a change takes a while
	for i := range 1000 {
		fmt.Fprintf(&many, "  f%d: { endpoints: ['%s'] }\n", i, hello)
	}
	write(t, filepath.Join(filepath.Dir(file), "more.yaml"), "functions:\n"+many.String())
	good := "include: more.yaml\n" + static(hello)
	write(t, file, good)
	w := startRun(t, file)
	const override = "/api/v1/config/overrides/functions/f/timeouts/request"
	ask := func(method, path, body string) {
		t.Helper()
		if status, _, text := w.asks(method, path, "", body); status != 200 {
			t.Fatalf("%s %s: %d %s", method, path, status, text)
		}
	}
	next := func(what string, want int) {
		t.Helper()
		if res, body := w.get("/x"); res.StatusCode != want {
			t.Errorf("after %s the next call is answered with %d, want %d: %s", what, res.StatusCode, want, body)
		}
	}
	for range 10 {
		ask("PUT", override, `{"value": "1us"}`)
		next("an override", 504)
		ask("DELETE", override, "")
		next("its end", 200)
		ask("POST", "/api/v1/config/rollback", "")
		next("a rollback", 504)
		ask("DELETE", override, "")
		write(t, file, strings.Replace(good, "path_prefix: /", "path_prefix: /elsewhere", 1))
		ask("POST", "/api/v1/config/reload", "")
		next("a reload", 404)
		write(t, file, good)
		ask("POST", "/api/v1/config/reload", "")
		next("another", 200)
	}
}
