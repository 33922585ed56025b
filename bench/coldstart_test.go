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

// The time from the instant an instance listens to the first byte of its
// answer at a client that asked before. What weir adds to it is the difference
// to releaseByHand, which no gateway can be under.
//
// Run with -benchtime 200x; each round is one start by hand and one through
// weir, so that both see the same machine.
func benchmarkRelease(b *testing.B, listen string) {
	const boot = 50 * time.Millisecond
	l := run(b, "", function("f", listen, boot, "idle_after: 20ms, min_up: 1ms"))
	var byHand, throughWeir []time.Duration
	for b.Loop() {
		byHand = append(byHand, releaseByHand(b, boot))
		await(b, "the function to be at zero", func() bool { return l.state("f") == "cold" })
		conn, err := net.Dial("tcp", l.addr)
		if err != nil {
			b.Fatal(err)
		}
		throughWeir = append(throughWeir, ask(b, conn))
	}
	p50, p99 := quantile(byHand, .5), quantile(byHand, .99)
	report := func(name string, d time.Duration) { b.ReportMetric(float64(d.Microseconds()), name) }
	report("by-hand-p50-µs", p50)
	report("by-hand-p99-µs", p99)
	report("weir-p50-µs", quantile(throughWeir, .5))
	report("weir-p99-µs", quantile(throughWeir, .99))
	report("added-p50-µs", quantile(throughWeir, .5)-p50)
	report("added-p99-µs", quantile(throughWeir, .99)-p99)
}

func BenchmarkReleaseFD(b *testing.B)   { benchmarkRelease(b, "fd") }
func BenchmarkReleasePort(b *testing.B) { benchmarkRelease(b, "port") }

// releaseByHand starts an instance with a socket in which the call waits
// already.
func releaseByHand(b *testing.B, boot time.Duration) time.Duration {
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
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	took := ask(b, conn)
	_ = ln.Close()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return took
}

// ask makes one call on a connection, and returns how long after the instance
// listened the answer came.
func ask(b *testing.B, conn net.Conn) time.Duration {
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /f HTTP/1.1\r\nHost: f\r\n\r\n"); err != nil {
		b.Fatal(err)
	}
	head := make([]byte, 4096)
	n, err := conn.Read(head)
	answered := time.Now()
	if err != nil {
		b.Fatal(err)
	}
	return answered.Sub(stamp(b, head[:n], "X-Listens: "))
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
