package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// These tests run the program itself, as a person or a supervisor would.

var binary struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func TestMain(m *testing.M) {
	if os.Getenv(registerWith) != "" {
		serveRegistered()
		return
	}
	if os.Getenv(ledgerFile) != "" {
		serveLedger()
	}
	if os.Getenv(chainNext) != "" {
		serveChain()
	}
	if os.Getenv(whoServes) != "" {
		serveWho()
	}
	code := m.Run()
	if binary.dir != "" {
		os.RemoveAll(binary.dir)
	}
	os.Exit(code)
}

// program builds weir, once.
func program(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "weir-test-"); binary.err != nil {
			return
		}
		binary.path = filepath.Join(binary.dir, "weir")
		build := exec.Command("go", "build", "-o", binary.path, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			binary.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal("cannot build weir: ", binary.err)
	}
	return binary.path
}

// patience bounds every wait. On a good day none takes a tenth of it.
const patience = 20 * time.Second

// eventually polls until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// output is what a program has written so far.
type output struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// A running is a weir that runs.
type running struct {
	t              *testing.T
	cmd            *exec.Cmd
	mark           string // in the environment of all that it starts
	stdout, stderr output
	over           chan struct{} // closed when it has ended
	url, admin     string
}

var runs atomic.Int64

// start runs weir with arguments. Whatever happens, it ends with the test.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	w := &running{t: t, over: make(chan struct{})}
	w.mark = fmt.Sprintf("WEIR_TEST_RUN=%d.%d", os.Getpid(), runs.Add(1))
	w.cmd = exec.Command(program(t), args...)
	w.cmd.Stdout, w.cmd.Stderr = &w.stdout, &w.stderr
	w.cmd.Dir = t.TempDir()
	w.cmd.Env = []string{w.mark}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "WEIR_") {
			w.cmd.Env = append(w.cmd.Env, kv)
		}
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(w.over)
		w.cmd.Wait()
	}()
	t.Cleanup(func() {
		w.cmd.Process.Kill()
		<-w.over
		if t.Failed() {
			t.Logf("weir %s\nstdout: %s\nstderr: %s", strings.Join(args, " "), w.stdout.String(), w.stderr.String())
		}
	})
	return w
}

// ended waits for weir's end and returns the exit code; -1 is a signal.
func (w *running) ended() int {
	w.t.Helper()
	select {
	case <-w.over:
	case <-time.After(patience):
		w.t.Fatalf("weir does not end within %v", patience)
	}
	return w.cmd.ProcessState.ExitCode()
}

func (w *running) signal(s os.Signal) {
	w.t.Helper()
	if err := w.cmd.Process.Signal(s); err != nil {
		w.t.Fatal(err)
	}
}

// up waits until weir has said where it listens.
func (w *running) up(out *output, where *regexp.Regexp) *running {
	w.t.Helper()
	eventually(w.t, "weir says where it listens", func() bool {
		select {
		case <-w.over:
			w.t.Fatal("weir has ended")
		default:
		}
		found := where.FindStringSubmatch(out.String())
		if found != nil {
			w.url, w.admin = "http://"+found[1], "http://"+found[2]
		}
		return found != nil
	})
	return w
}

func startDemo(t *testing.T) *running {
	t.Helper()
	w := start(t, "demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	return w.up(&w.stdout, regexp.MustCompile(`takes calls on http://(\S+), its admin interface is http://(\S+)\.\n`))
}

func startRun(t *testing.T, file string) *running {
	t.Helper()
	w := start(t, "run", "-c", file)
	return w.up(&w.stderr, regexp.MustCompile(`"msg":"serving","listeners":\["([^"]+)"\],"admin":"([^"]+)"`))
}

// family is what runs of what weir has started.
func (w *running) family() (pids []int) {
	w.t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, file := range processes {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		environ, err := os.ReadFile(file) // empty for a zombie, an error for one that has gone
		if err == nil && pid != w.cmd.Process.Pid && bytes.Contains(environ, []byte(w.mark+"\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// get is one call, on a connection of its own.
func get(url string) (*http.Response, string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Get(url)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

func (w *running) get(path string) (*http.Response, string) {
	w.t.Helper()
	res, body, err := get(w.url + path)
	if err != nil {
		w.t.Fatal(err)
	}
	return res, body
}

// asks sends something to the admin interface, bound to a tag if there is one.
func (w *running) asks(method, path, tag, body string) (status int, etag, text string) {
	w.t.Helper()
	r, err := http.NewRequest(method, w.admin+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if tag != "" {
		r.Header.Set("If-Match", tag)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("ETag"), string(answer)
}

// metric sums the samples of a name that have all of these labels.
func (w *running) metric(name string, labels ...string) (sum float64) {
	w.t.Helper()
	return w.sum(w.metrics(), name, labels...)
}

// metrics is all of them at one moment.
func (w *running) metrics() string {
	w.t.Helper()
	_, body, err := get(w.admin + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	return body
}

func (w *running) sum(metrics, name string, labels ...string) (sum float64) {
	w.t.Helper()
next:
	for line := range strings.Lines(metrics) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if series != name && !strings.HasPrefix(series, name+"{") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(series, label) {
				continue next
			}
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			w.t.Fatalf("%s: %v", line, err)
		}
		sum += v
	}
	return sum
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// static is a configuration with these endpoints.
func static(endpoints ...string) string {
	quoted, err := json.Marshal(endpoints)
	if err != nil {
		panic(err)
	}
	return `listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
functions:
  f: { endpoints: ` + string(quoted) + ` }
routes:
  - { path_prefix: /, function: f }
`
}

// A load calls a URL from several goroutines until it is stopped.
type load struct {
	stop   chan struct{}
	work   sync.WaitGroup
	calls  atomic.Int64
	failed atomic.Int64
	mu     sync.Mutex // guards why
	why    string     // the first failure
}

func loadOn(url string) *load {
	l := &load{stop: make(chan struct{})}
	for range 4 {
		l.work.Go(func() {
			client := http.Client{Transport: &http.Transport{}, Timeout: patience}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-l.stop:
					return
				default:
					l.call(&client, url)
				}
			}
		})
	}
	return l
}

func (l *load) call(client *http.Client, url string) {
	res, err := client.Get(url)
	if err == nil {
		var body []byte
		body, err = io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil && res.StatusCode != 200 {
			err = fmt.Errorf("%s: %s", res.Status, body)
		}
	}
	l.calls.Add(1)
	if err != nil && l.failed.Add(1) == 1 {
		l.mu.Lock()
		l.why = err.Error()
		l.mu.Unlock()
	}
}

// more waits for another n calls.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	from := l.calls.Load()
	eventually(t, "more calls", func() bool { return l.calls.Load() >= from+n })
}

// end stops the load; no call may have failed.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.work.Wait()
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d of %d calls failed, the first with %s", n, l.calls.Load(), l.why)
	}
}
