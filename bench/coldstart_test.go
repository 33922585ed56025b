package bench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The time from the instant an instance listens until it has the head of a call
// that was made before (call), to the first byte of its answer at the client, and
// from the client's question to that (whole). What weir
// adds is the difference to the instance started by hand, which no gateway can be
// under; systemd-socket-activate is how a machine does it that has nothing but
// systemd.
//
// Run with -benchtime 100x; each round is one start of each kind, so that all see
// the same machine.
func benchmarkRelease(b *testing.B, listen string) {
	const boot = 50 * time.Millisecond
	l := run(b, "", function("f", listen, boot, "idle_after: 20ms, min_up: 1ms"))
	ways := []*way{
		{name: "by-hand", start: func() (string, func()) { return byHand(b, boot) }},
		{name: "weir", start: func() (string, func()) {
			await(b, "the function to be at zero", func() bool { return l.state("f") == "cold" })
			return l.addr, func() {}
		}},
	}
	if activate, err := exec.LookPath("systemd-socket-activate"); err == nil {
		ways = append(ways, &way{name: "systemd", start: func() (string, func()) { return bySystemd(b, activate, boot) }})
	} else if os.Getenv("CI") == "true" {
		b.Fatal("systemd-socket-activate is not here (apt-get install systemd)")
	} else {
		b.Log("SKIPPED: systemd-socket-activate is not here (apt-get install systemd), so nothing is compared with it")
	}
	for b.Loop() {
		for _, w := range ways {
			w.round(b)
		}
	}
	for _, w := range ways {
		b.ReportMetric(float64(quantile(w.answer, .5).Microseconds()), w.name+"-p50-µs")
		b.ReportMetric(float64(quantile(w.answer, .99).Microseconds()), w.name+"-p99-µs")
		b.ReportMetric(float64(quantile(w.call, .5).Microseconds()), w.name+"-call-p50-µs")
		b.ReportMetric(float64(quantile(w.call, .99).Microseconds()), w.name+"-call-p99-µs")
		b.ReportMetric(quantile(w.whole, .5).Seconds()*1000, w.name+"-whole-p50-ms")
	}
	hand, weir := ways[0], ways[1]
	b.ReportMetric(float64((quantile(weir.answer, .5) - quantile(hand.answer, .5)).Microseconds()), "added-p50-µs")
	b.ReportMetric(float64((quantile(weir.answer, .99) - quantile(hand.answer, .99)).Microseconds()), "added-p99-µs")
	b.ReportMetric(quantile(weir.whole, .5).Seconds()/quantile(hand.whole, .5).Seconds(), "weir/by-hand")
}

// A way is how an instance is started for a call, and how long that took.
type way struct {
	name                string
	start               func() (addr string, stop func())
	call, answer, whole []time.Duration
}

func (w *way) round(b *testing.B) {
	began := time.Now()
	addr, stop := w.start()
	defer stop()
	if w.name != "by-hand" {
		began = time.Now() // the call starts the instance
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	call, answer := ask(b, conn, "/f")
	w.call, w.answer = append(w.call, call), append(w.answer, answer)
	w.whole = append(w.whole, time.Since(began))
}

func BenchmarkReleaseFD(b *testing.B)   { benchmarkRelease(b, "fd") }
func BenchmarkReleasePort(b *testing.B) { benchmarkRelease(b, "port") }

// byHand starts an instance with a socket that is open already: nothing but the
// kernel stands before it.
func byHand(b *testing.B, boot time.Duration) (addr string, stop func()) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BENCH_FUNCTION_BOOTS="+boot.String(), "LISTEN_FDS=1")
	cmd.ExtraFiles = []*os.File{socket}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	_ = socket.Close()
	return ln.Addr().String(), func() {
		_ = ln.Close()
		end(cmd)
	}
}

// bySystemd has systemd-socket-activate wait for the first connection.
func bySystemd(b *testing.B, activate string, boot time.Duration) (addr string, stop func()) {
	addr = freeAddr(b)
	cmd := exec.Command(activate, "-l", addr, "-E", "BENCH_FUNCTION_BOOTS="+boot.String(), os.Args[0])
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	await(b, "the socket to be open", func() bool { return listens(b, addr) })
	return addr, func() { end(cmd) }
}

// listens tells whether somebody listens on a port of loopback, without
// connecting: that would start what listens there.
func listens(b *testing.B, addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		b.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		b.Fatal(err)
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		b.Fatal(err)
	}
	return strings.Contains(string(table), fmt.Sprintf(" 0100007F:%04X 00000000:0000 0A ", n))
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// ask makes one call on a connection, and returns how long after the instance
// listened it had the call, and the client its answer.
func ask(b *testing.B, conn net.Conn, path string) (call, answer time.Duration) {
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: f\r\n\r\n"); err != nil {
		b.Fatal(err)
	}
	head := make([]byte, 4096)
	n, err := conn.Read(head)
	answered := time.Now()
	if err != nil {
		b.Fatal(err)
	}
	listens := stamp(b, head[:n], "X-Listens: ")
	return stamp(b, head[:n], "X-Called: ").Sub(listens), answered.Sub(listens)
}

// stamp finds a moment in a response head.
func stamp(t testing.TB, head []byte, name string) time.Time {
	t.Helper()
	s := string(head)
	for i := range s {
		if len(s)-i > len(name) && s[i:i+len(name)] == name {
			end := i + len(name)
			for end < len(s) && s[end] >= '0' && s[end] <= '9' {
				end++
			}
			ns, err := strconv.ParseInt(s[i+len(name):end], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return time.Unix(0, ns)
		}
	}
	t.Fatalf("no %s in %q", name, s)
	return time.Time{}
}

// state is what the admin API says of a function.
func (l *lab) state(name string) string {
	var f struct {
		State string `json:"state"`
	}
	l.get("/api/v1/functions/"+name, &f)
	return f.State
}

// hold opens n connections with one call each at a function, and returns when
// all are held.
func (l *lab) hold(name string, n int) []net.Conn {
	l.t.Helper()
	conns := make([]net.Conn, n)
	var work sync.WaitGroup
	for w := range 8 {
		work.Go(func() {
			for i := w; i < n; i += 8 {
				c, err := net.Dial("tcp", l.addr)
				if err != nil {
					l.t.Error(err)
					return
				}
				conns[i] = c
				fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: f.example.com\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n", name)
			}
		})
	}
	work.Wait()
	await(l.t, "all calls to be held", func() bool { return int(l.metric(`weir_held{function="`+name+`"}`)) == n })
	return conns
}

// BenchmarkHeldMemory: what one held call without a body costs weir in resident
// memory, connection, goroutine and all.
func BenchmarkHeldMemory(b *testing.B) {
	for _, n := range []int{1000, 9000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				l := run(b, "cold_start: { max_pending: 20000 }\ndefaults: { timeouts: { request: 10m } }\n",
					function("f", "fd", time.Hour, "max_wait: 5m, max_pending: 20000, start_timeout: 10m"))
				for _, c := range l.hold("f", 50) { // what the first calls need once
					_ = c.Close()
				}
				await(b, "the line to be empty", func() bool { return l.metric(`weir_held{function="f"}`) == 0 })
				before := l.rss()
				conns := l.hold("f", n)
				b.ReportMetric(float64(l.rss()-before)/float64(n)/1024, "KiB/held")
				b.ReportMetric(float64(l.rss())/(1<<20), "MiB-in-all")
				for _, c := range conns {
					_ = c.Close()
				}
			}
		})
	}
}

// TestThousandFirstCalls: a thousand calls at once at a function at zero cause
// one start, and every one is answered.
func TestThousandFirstCalls(t *testing.T) {
	for _, listen := range []string{"fd", "port"} {
		l := run(t, "", function("f", listen, 300*time.Millisecond, "max_wait: 20s"))
		const n = 1000
		client := &http.Client{Transport: &http.Transport{}}
		var work sync.WaitGroup
		for range n {
			work.Go(func() {
				r, err := client.Get("http://" + l.addr + "/f")
				if err != nil {
					t.Error(err)
					return
				}
				defer r.Body.Close()
				if b, err := io.ReadAll(r.Body); r.StatusCode != 200 || string(b) != "hello\n" || err != nil {
					t.Errorf("%d %q %v", r.StatusCode, b, err)
				}
			})
		}
		work.Wait()
		client.CloseIdleConnections()
		if starts := l.starts("f"); starts != 1 {
			t.Errorf("%s: %v starts, want 1", listen, starts)
		}
	}
}

// TestCallsAroundTheIdleLimit: functions that go back to nothing all the time,
// and calls that come just then. Not one may fail.
func TestCallsAroundTheIdleLimit(t *testing.T) {
	const idle = "idle_after: 20ms, min_up: 1ms, grace: 1ms, max_wait: 20s"
	l := run(t, "", function("fd", "fd", 5*time.Millisecond, idle), function("port", "port", 5*time.Millisecond, idle),
		function("one", "fd", 5*time.Millisecond, idle+", concurrency: 1, max_scale: 2"))
	var work sync.WaitGroup
	over := time.Now().Add(4 * time.Second)
	for _, name := range []string{"fd", "port", "one"} {
		for range 2 {
			work.Go(func() {
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for time.Now().Before(over) {
					r, err := client.Post("http://"+l.addr+"/"+name, "text/plain", strings.NewReader("x"))
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					b, err := io.ReadAll(r.Body)
					_ = r.Body.Close()
					if r.StatusCode != 200 || err != nil {
						t.Errorf("%s: %d %q %v", name, r.StatusCode, b, err)
					}
					time.Sleep(time.Duration(15+rand.IntN(20)) * time.Millisecond)
				}
			})
		}
	}
	work.Wait()
	for _, name := range []string{"fd", "port", "one"} {
		if starts := l.starts(name); starts < 5 {
			t.Errorf("%s: only %v starts: nothing was tried", name, starts)
		} else {
			t.Logf("%s: %v starts", name, starts)
		}
	}
}
