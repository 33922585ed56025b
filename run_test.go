package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var helloFrom = regexp.MustCompile(`^Hello from .*: started \d+ ms ago, pid (\d+), call number (\d+)\n$`)

// hello calls a function of the demo and returns which process answered, and
// which of its calls that was.
func (w *running) hello(path string) (pid, call string) {
	w.t.Helper()
	res, body := w.get(path)
	said := helloFrom.FindStringSubmatch(body)
	if res.StatusCode != 200 || said == nil {
		w.t.Fatalf("%s: %s %q", path, res.Status, body)
	}
	return said[1], said[2]
}

func TestDemo(t *testing.T) {
	w := startDemo(t)
	if n := len(w.family()); n != 0 {
		t.Fatalf("%d processes before the first call", n)
	}

	run := func(name string, story func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			defer func(outer *testing.T) { w.t = outer }(w.t)
			w.t = t
			story(t)
		})
	}

	run("a first call starts a process, the second finds it", func(t *testing.T) {
		first, n := w.hello("/hello")
		if n != "1" {
			t.Errorf("the first call is number %s", n)
		}
		if again, n := w.hello("/hello"); again != first || n != "2" {
			t.Errorf("process %s answers first, then call number %s of %s", first, n, again)
		}
	})

	run("fifty calls, one start", func(t *testing.T) {
		var work sync.WaitGroup
		began := time.Now()
		for range 50 {
			work.Go(func() {
				if res, body, err := get(w.url + "/slow"); err != nil || res.StatusCode != 200 {
					t.Errorf("%v %v %s", err, res, body)
				}
			})
		}
		work.Wait()
		if took := time.Since(began); took < 2*time.Second {
			t.Errorf("it took %v, but the function takes 2 s to start", took)
		}
		eventually(t, "fifty calls are counted", func() bool { return w.metric("weir_http_requests_total", `function="slow"`, `code="200"`) == 50 })
		eventually(t, "the start is counted", func() bool { return w.metric("weir_coldstarts_total", `function="slow"`) > 0 })
		if n := w.metric("weir_coldstarts_total", `function="slow"`); n != 1 {
			t.Errorf("%v starts, want 1", n)
		}
	})

	run("what does not start says so", func(t *testing.T) {
		res, body := w.get("/broken")
		if res.StatusCode != 503 || res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s, %v", res.Status, res.Header)
		}
		var problem struct{ Cause, Function string }
		if err := json.Unmarshal([]byte(body), &problem); err != nil || problem.Cause != "CSF" || problem.Function != "broken" {
			t.Errorf("%v %+v, want cause CSF", err, problem)
		}
	})

	run("events come one by one", func(t *testing.T) {
		res, err := http.Get(w.url + "/stream")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
			t.Errorf("Content-Type %q", kind)
		}
		first := make([]byte, 4096) // room for all, but one read returns what is there
		n, err := res.Body.Read(first)
		if err != nil || !strings.HasPrefix(string(first[:n]), "id: 1\n") || strings.Contains(string(first[:n]), "id: 20\n") {
			t.Errorf("first came %q, %v", first[:n], err)
		}
	})

	run("the commands tell of it", func(t *testing.T) {
		for _, c := range []struct {
			args []string
			says []string
		}{
			{[]string{"functions"}, []string{"hello", "slow", "warm", "broken", "cold"}},
			{[]string{"functions", "--json"}, []string{`"hello"`, `"warm"`}},
			{[]string{"routes"}, []string{"/hello", "/broken"}},
			{[]string{"routes", "--json"}, []string{`"/hello"`}},
		} {
			q := start(t, append(c.args, "--admin", strings.TrimPrefix(w.admin, "http://"))...)
			if code := q.ended(); code != 0 || q.stderr.String() != "" {
				t.Errorf("%v: exit code %d, stderr %q", c.args, code, q.stderr.String())
			}
			for _, want := range c.says {
				if !strings.Contains(q.stdout.String(), want) {
					t.Errorf("%v: %q does not have %q", c.args, q.stdout.String(), want)
				}
			}
		}
	})

	run("the screen told it all", func(t *testing.T) {
		summary := regexp.MustCompile(`slow +answered +… and \d+ more, 200 OK, held `)
		eventually(t, "the calls are summed up", func() bool { return summary.MatchString(w.stdout.String()) })
		for _, want := range []string{
			`hello +held +1 call waits, starting an instance\n`,
			`hello +started +in \d+ ms`,
			`hello +answered +200 in \d+ ms \(held \d+ ms\)\n`,
			`hello +answered +200 in \S+ ms\n`,
			`slow +says +starting, which takes me 2s\n`,
			`slow +started +in \d+ ms`,
			`broken +failed +.*broken on purpose`,
			`broken +answered +503 in \d+ ms \(held \d+ ms\), cause CSF\n`,
		} {
			if !regexp.MustCompile(want).MatchString(w.stdout.String()) {
				t.Errorf("no line is like %q", want)
			}
		}
		if strings.Contains(w.stdout.String(), "\x1b") {
			t.Error("colours, though this is no terminal")
		}
	})

	run("and ends with Ctrl-C", func(t *testing.T) {
		w.signal(syscall.SIGINT)
		if code := w.ended(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if left := w.family(); len(left) > 0 {
			t.Errorf("processes left: %v", left)
		}
	})
}

func TestSIGTERMWaitsForTheCalls(t *testing.T) {
	w := startDemo(t)
	answered := make(chan error, 1)
	go func() {
		res, body, err := get(w.url + "/slow")
		if err == nil && (res.StatusCode != 200 || !helloFrom.MatchString(body)) {
			err = fmt.Errorf("%s %q", res.Status, body)
		}
		answered <- err
	}()
	eventually(t, "the slow function is on its way", func() bool { return strings.Contains(w.stdout.String(), "slow     held") })
	w.signal(syscall.SIGTERM)
	eventually(t, "no call is taken any more", func() bool {
		_, _, err := get(w.url + "/hello")
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	select {
	case err := <-answered:
		if err != nil {
			t.Errorf("the call that was held: %v", err)
		}
	case <-time.After(patience):
		t.Error("the call that was held has no answer")
	}
	if code := w.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if left := w.family(); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

func TestASecondSIGTERMWaitsForNobody(t *testing.T) {
	w := startDemo(t)
	answered := make(chan string, 1)
	go func() {
		res, body, err := get(w.url + "/slow")
		if err != nil {
			body = err.Error()
		} else if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
			body = fmt.Sprint(res.Status, res.Header)
		}
		answered <- body
	}()
	eventually(t, "the slow function is on its way", func() bool { return strings.Contains(w.stdout.String(), "slow     says") })
	w.signal(syscall.SIGTERM)
	eventually(t, "weir drains", func() bool { return strings.Contains(w.stdout.String(), "draining") })
	w.signal(syscall.SIGTERM)
	if code := w.ended(); code != exitForced {
		t.Errorf("exit code %d, want %d", code, exitForced)
	}
	if body := <-answered; !strings.Contains(body, `"cause":"SD"`) {
		t.Errorf("the call that was held: %s", body)
	}
	if left := w.family(); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

func TestSIGKILLLeavesNothing(t *testing.T) {
	w := startDemo(t)
	w.hello("/hello")
	go get(w.url + "/slow")
	eventually(t, "two functions are there", func() bool { return len(w.family()) == 2 })
	w.signal(syscall.SIGKILL)
	w.ended()
	eventually(t, "all processes are gone", func() bool { return len(w.family()) == 0 })
}

func TestReloadUnderLoad(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }))
	defer backend.Close()
	good := static(strings.TrimPrefix(backend.URL, "http://"))
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, good)
	w := startRun(t, file)
	calls := loadOn(w.url + "/x")
	calls.more(t, 50)

	write(t, file, good+"  - { path_prefix: /y, functoin: f }\n")
	w.signal(syscall.SIGHUP)
	eventually(t, "the error names the place", func() bool { return strings.Contains(w.stderr.String(), file+":8:24:") })
	if !strings.Contains(w.stderr.String(), "functoin") {
		t.Errorf("stderr %s does not name the key", w.stderr.String())
	}
	calls.more(t, 50)

	write(t, file, strings.Replace(good, "path_prefix: /", "path_prefix: /x", 1))
	w.signal(syscall.SIGHUP)
	eventually(t, "the new routes hold", func() bool {
		res, _ := w.get("/y")
		return res.StatusCode == 404
	})
	calls.more(t, 50)
	calls.end(t)
	if n := w.metric("weir_config_reloads_total", `result="failure"`); n < 1 {
		t.Errorf("%v failed reloads counted, want at least 1", n)
	}
}

// serveHello runs a server that is not weir's child, on a socket of its own.
func serveHello(t *testing.T) (address string, server *os.Process) {
	t.Helper()
	return serveHelloAt(t, "127.0.0.1:0")
}

func serveHelloAt(t *testing.T, at string) (address string, server *os.Process) {
	t.Helper()
	ln, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	cmd := exec.Command("sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" __function hello`, program(t))
	cmd.ExtraFiles = []*os.File{socket}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return ln.Addr().String(), cmd.Process
}

func TestOneOfTwoEndpointsIsKilled(t *testing.T) {
	one, victim := serveHello(t)
	other, _ := serveHello(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, static(one, other))
	w := startRun(t, file)
	calls := loadOn(w.url + "/")
	seen := map[string]bool{}
	eventually(t, "both answer", func() bool {
		pid, _ := w.hello("/")
		seen[pid] = true
		return len(seen) == 2
	})
	calls.more(t, 200)
	victim.Kill()
	calls.more(t, 1000)
	calls.end(t)

	w.signal(syscall.SIGTERM)
	if code := w.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
