package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// weir is the binary under test, built once.
var weir string

func TestMain(m *testing.M) {
	if boot := os.Getenv("BENCH_FUNCTION_BOOTS"); boot != "" {
		serveFunction(boot)
	}
	if os.Getenv("BENCH_BARE") != "" {
		serveBare()
	}
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		panic(err)
	}
	if weir = os.Getenv("WEIR"); weir != "" { // another one, to compare with
		os.Exit(m.Run())
	}
	weir = filepath.Join(dir, "weir")
	build := exec.Command("go", "build", "-o", weir, "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v\n%s", err, out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// serveFunction is this binary as a function: it boots for a while, notes the
// moment at which it listens, and tells it with every answer, as the moment at
// which it had the head of the call.
func serveFunction(boot string) {
	d, err := time.ParseDuration(boot)
	if err != nil {
		panic(err)
	}
	time.Sleep(d)
	var listens int64 // written once, before the first call
	var calls, inside, most atomic.Int64
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called := time.Now().UnixNano()
		if r.Header.Get("Upgrade") != "" {
			echo(w, r)
			return
		}
		number := calls.Add(1)
		for now := inside.Add(1); ; {
			if was := most.Load(); now <= was || most.CompareAndSwap(was, now) {
				break
			}
		}
		defer inside.Add(-1)
		if work, err := time.ParseDuration(r.Header.Get("X-Work")); err == nil {
			time.Sleep(work)
		}
		w.Header().Set("X-Number", strconv.FormatInt(number, 10))
		w.Header().Set("X-Most", strconv.FormatInt(most.Load(), 10))
		w.Header().Set("X-Called", strconv.FormatInt(called, 10))
		w.Header().Set("X-Listens", strconv.FormatInt(listens, 10))
		_, _ = io.WriteString(w, "hello\n")
	})
	var ln net.Listener
	if os.Getenv("LISTEN_FDS") == "1" {
		ln, err = net.FileListener(os.NewFile(3, "socket"))
	} else {
		ln, err = net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	}
	if err != nil {
		panic(err)
	}
	listens = time.Now().UnixNano()
	panic(http.Serve(ln, h))
}

// A lab is one running weir.
type lab struct {
	t           testing.TB
	addr, admin string
	file        string // its configuration
	cmd         *exec.Cmd
}

// function is a piece of configuration: this binary as a function.
func function(name, listen string, boot time.Duration, more string) string {
	return fmt.Sprintf("  %s:\n    cold_start: { scaler: process, %s }\n    process: { command: [%q], listen: %s, env: { BENCH_FUNCTION_BOOTS: %s } }\n",
		name, more, os.Args[0], listen, boot)
}

// run starts weir with some functions, each routed at its name, until the test
// ends.
func run(t testing.TB, top string, functions ...string) *lab {
	t.Helper()
	l := &lab{t: t, addr: freeAddr(t), admin: freeAddr(t)}
	l.file = filepath.Join(t.TempDir(), "weir.yaml")
	l.configure(top, functions...)
	l.cmd = exec.Command(weir, "run", "-c", l.file)
	log, err := os.Create(filepath.Join(t.TempDir(), "weir.log")) // as a pipe it would take part of whoever measures
	if err != nil {
		t.Fatal(err)
	}
	l.cmd.Stderr = log
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.cmd.Process.Signal(syscall.SIGTERM)
		_ = l.cmd.Wait()
		_ = log.Close()
		if t.Failed() {
			said, _ := os.ReadFile(log.Name())
			t.Logf("weir said:\n%s", said)
		}
	})
	await(t, "weir to listen", func() bool {
		c, err := net.Dial("tcp", l.addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return l
}

// configure writes the configuration; SIGHUP has weir read it.
func (l *lab) configure(top string, functions ...string) {
	l.t.Helper()
	doc := fmt.Sprintf("listeners: [{ address: %q }]\nadmin: { address: %q }\ntelemetry: { access_log: { output: none } }\n%sfunctions:\n%s",
		l.addr, l.admin, top, strings.Join(functions, ""))
	doc += "routes:\n"
	for _, f := range functions {
		name, _, _ := strings.Cut(strings.TrimSpace(f), ":")
		doc += fmt.Sprintf("  - { path_prefix: /%s, function: %s }\n", name, name)
	}
	writeFile(l.t, l.file, doc)
}

func writeFile(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freeAddr(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// await asks until it is so.
func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// metric reads one sample of /metrics; a series that is not there is 0.
func (l *lab) metric(series string) float64 {
	l.t.Helper()
	r, err := http.Get("http://" + l.admin + "/metrics")
	if err != nil {
		l.t.Fatal(err)
	}
	defer r.Body.Close()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), series+" "); ok {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				l.t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

// rss is weir's resident memory in bytes.
func (l *lab) rss() int {
	l.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", l.cmd.Process.Pid))
	if err != nil {
		l.t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		l.t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// quantile of samples, which it sorts.
func quantile(samples []time.Duration, q float64) time.Duration {
	slices.Sort(samples)
	return samples[min(int(q*float64(len(samples))), len(samples)-1)]
}

// get reads a JSON document of the admin API.
func (l *lab) get(path string, into any) {
	l.t.Helper()
	r, err := http.Get("http://" + l.admin + path)
	if err != nil {
		l.t.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		l.t.Fatal(err)
	}
}

// starts is how many starts of a function there were, of any result.
func (l *lab) starts(function string) (n float64) {
	for _, result := range []string{"ok", "failed", "timeout"} {
		n += l.metric(`weir_coldstarts_total{function="` + function + `",region="local",trigger="demand",result="` + result + `"}`)
	}
	return n
}
