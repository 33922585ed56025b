package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A dawdler answers at /slow when it is told to, and elsewhere at once.
type dawdler struct {
	port      int
	here, now chan struct{} // somebody waits; and may go
}

func dawdle(t *testing.T) dawdler {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := dawdler{ln.Addr().(*net.TCPAddr).Port, make(chan struct{}, 1), make(chan struct{})}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/slow" {
			d.here <- struct{}{}
			<-d.now
		}
		fmt.Fprint(w, "ok")
	})}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return d
}

// listens waits until weir has said that a listener is open, and returns where.
func (w *running) listens(name string) (url string) {
	w.t.Helper()
	said := regexp.MustCompile(`"msg":"listening","listener":"` + name + `","address":"([^"]+)"`)
	eventually(w.t, name+" is open", func() bool {
		found := said.FindAllStringSubmatch(w.stderr.String(), -1)
		if len(found) > 0 {
			url = "http://" + found[len(found)-1][1]
		}
		return len(found) > 0
	})
	return url
}

func post(t *testing.T, url, body string) (status int) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// Listeners come, change and go while calls pass, and no call is lost.
func TestListenersAreReloaded(t *testing.T) {
	d := dawdle(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	settings := func(listeners, more string) string {
		return fmt.Sprintf(`listeners: [%s]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
functions: { f: { endpoints: ["127.0.0.1:%d"] } }
routes: [{ path_prefix: /, function: f }%s]
`, listeners, d.port, more)
	}
	const a, b = `{ name: a, address: "127.0.0.1:0" }`, `{ name: b, address: "127.0.0.2:0" }`
	write(t, file, settings(a, ""))
	w := startRun(t, file)
	calls := loadOn(w.url + "/")
	reload := func(text string) {
		t.Helper()
		before := w.metric("weir_config_reloads_total", `result="success"`)
		write(t, file, text)
		w.signal(syscall.SIGHUP)
		eventually(t, "it is taken over", func() bool { return w.metric("weir_config_reloads_total", `result="success"`) > before })
		calls.more(t, 100)
	}

	// One comes, with a route: whoever connects has it.
	reload(settings(b+", "+a, `, { path_prefix: /new, function: f, access: { deny: [127.0.0.0/8] } }`))
	there := w.listens("b")
	if res, _, err := get(there + "/new"); err != nil || res.StatusCode != 403 {
		t.Errorf("the first call over a new listener: %v, %v", res, err)
	}
	more := loadOn(there + "/")
	more.more(t, 100)
	if n := w.metric("weir_open_connections", `listener="b"`); n < 1 {
		t.Errorf("%v connections are said to be open", n)
	}

	// Both have other settings, and one another name.
	if status := post(t, w.url, "four"); status != 200 {
		t.Errorf("a body is answered with %d", status)
	}
	reload(settings(`{ name: c, address: "127.0.0.1:0", limits: { body_bytes: 3, head_timeout: 9s } }, `+b, ""))
	if status := post(t, w.url, "four"); status != 413 {
		t.Errorf("a body that is too long is answered with %d", status)
	}
	if status := post(t, there, "four"); status != 200 {
		t.Errorf("a body over the other listener is answered with %d", status)
	}
	if n := w.metric("weir_open_connections", `listener="c"`); n < 1 {
		t.Errorf("%v connections are said to be open", n)
	}
	more.end(t)

	// One goes, with a call of its own under way.
	slow := make(chan string)
	go func() {
		_, body, err := get(there + "/slow")
		slow <- fmt.Sprint(body, err)
	}()
	<-d.here
	reload(settings(a, ""))
	eventually(t, "nobody listens there", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(there, "http://"))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(d.now)
	if said := <-slow; said != "ok<nil>" {
		t.Errorf("the call that was under way: %s", said)
	}
	if n := w.metric("weir_open_connections", `listener="b"`); n != 0 {
		t.Errorf("it is still counted: %v", n)
	}

	// It comes again, and goes with a rollback.
	reload(settings(a+", "+b, ""))
	there = w.listens("b")
	w.says("", "config", "rollback")
	eventually(t, "nobody listens there", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(there, "http://"))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	calls.end(t)
	w.signal(os.Interrupt)
	if code := w.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// weir ends only when the calls over a listener that has gone are over.
func TestEndAfterAListener(t *testing.T) {
	d := dawdle(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	settings := func(listeners string) string {
		return strings.Replace(static(fmt.Sprintf("127.0.0.1:%d", d.port)), `[{ address: "127.0.0.1:0" }]`, listeners, 1)
	}
	write(t, file, settings(`[{ address: "127.0.0.1:0" }]`))
	w := startRun(t, file)
	slow := make(chan string)
	go func() {
		_, body, err := get(w.url + "/slow")
		slow <- fmt.Sprint(body, err)
	}()
	<-d.here
	write(t, file, settings(`[{ name: b, address: "127.0.0.2:0" }]`))
	w.signal(syscall.SIGHUP)
	w.listens("b")
	w.signal(os.Interrupt)
	eventually(t, "it drains", func() bool { return strings.Contains(w.stderr.String(), `"msg":"draining"`) })
	time.Sleep(100 * time.Millisecond)
	close(d.now)
	if said := <-slow; said != "ok<nil>" {
		t.Errorf("the call that was under way: %s", said)
	}
	if code := w.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// What cannot be taken over is refused whole, with its name and what to do.
func TestRefusedWhole(t *testing.T) {
	d := dawdle(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	good := static(fmt.Sprintf("127.0.0.1:%d", d.port)) + "scalers: { p: { type: process } }\n"
	const closed = "  - { path_prefix: /closed, function: f, access: { deny: [127.0.0.0/8] } }\n"
	write(t, file, good)
	w := startRun(t, file)
	calls := loadOn(w.url + "/")
	closes := func() bool {
		res, _ := w.get("/closed")
		return res.StatusCode == 403
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	more := func(listener string) func(string) string {
		return func(text string) string {
			return strings.Replace(text, `listeners: [`, `listeners: [`+listener+`, `, 1)
		}
	}
	with := func(line string) func(string) string { return func(text string) string { return text + line } }
	for words, change := range map[string]func(string) string{
		"takes effect only after a restart: admin.address; restart weir, or take the change back": func(text string) string {
			return strings.Replace(text, `admin: { address: "127.0.0.1:0" }`, `admin: { address: "127.0.0.3:0" }`, 1)
		},
		`listeners[0].address`:       more(fmt.Sprintf(`{ address: %q }`, taken.Addr())),
		"cannot open the access log": func(text string) string { return strings.Replace(text, "none", "/dev/null/x", 1) },
		"cannot keep endpoints in":   with("discovery: { remember: /dev/null/x }\n"),
		`scaler \"hook\"`: func(text string) string {
			return strings.Replace(text, "p: {", `hook: { type: webhook, url: "http://127.84.0.9:1", token_file: none }, p: {`, 1)
		},
	} {
		text := change(strings.Replace(good, "routes:\n", "routes:\n"+closed, 1))
		write(t, file, text)
		_, stderr, code := w.weir("config", "reload")
		if code != 1 || !strings.Contains(stderr, strings.ReplaceAll(words, `\"`, `"`)) {
			t.Errorf("exit code %d, %q is not in %s", code, words, stderr)
		}
		eventually(t, "the log says "+words, func() bool { return strings.Contains(w.stderr.String(), words) })
		if closes() || w.metric("weir_config_last_reload_successful") != 0 {
			t.Errorf("%s: and yet it was taken over", words)
		}
	}

	// An address that comes free is listened on without anybody asking again.
	write(t, file, more(fmt.Sprintf(`{ name: b, address: %q }`, taken.Addr()))(strings.Replace(good, "routes:\n", "routes:\n"+closed, 1)))
	if _, _, code := w.weir("config", "reload"); code != 1 || closes() {
		t.Errorf("exit code %d", code)
	}
	taken.Close()
	if there := w.listens("b"); !closes() || w.metric("weir_config_last_reload_successful") != 1 {
		t.Errorf("it listens at %s, but not as the file says", there)
	}
	calls.end(t)
}

// The access log goes elsewhere while calls pass, and has a line for each.
func TestAccessLogIsReloaded(t *testing.T) {
	d := dawdle(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "weir.yaml")
	settings := func(output string) string {
		return strings.Replace(static(fmt.Sprintf("127.0.0.1:%d", d.port)), "output: none", "output: "+output, 1)
	}
	one, two := filepath.Join(dir, "one.log"), filepath.Join(dir, "two.log")
	lines := func(name string) int {
		content, err := os.ReadFile(name)
		if err != nil {
			return 0
		}
		return strings.Count(string(content), `"path":"/counted`)
	}
	write(t, file, settings(one))
	w := startRun(t, file)
	calls := loadOn(w.url + "/counted")
	calls.more(t, 200)
	write(t, file, settings(two))
	w.signal(syscall.SIGHUP)
	eventually(t, "lines go there", func() bool { return lines(two) > 0 })
	calls.more(t, 200)
	calls.end(t)
	eventually(t, "there is a line for each call", func() bool { return lines(one)+lines(two) == int(calls.calls.Load()) })

	write(t, file, settings("none"))
	w.signal(syscall.SIGHUP)
	eventually(t, "it is off", func() bool { return strings.Contains(w.stderr.String(), `"to":"none"`) })
	w.get("/counted/not")
	write(t, file, settings(two))
	w.signal(syscall.SIGHUP)
	eventually(t, "it is on again", func() bool { return strings.Contains(w.stderr.String(), `"from":"none"`) })
	before := lines(two)
	w.get("/counted/again")
	eventually(t, "there is a line again", func() bool { return lines(two) == before+1 })
	if content, err := os.ReadFile(two); err != nil || strings.Contains(string(content), "/counted/not") {
		t.Errorf("a line that nobody wanted, or %v", err)
	}
}
