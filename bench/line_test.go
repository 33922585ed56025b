package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The line, from outside: what it bounds, whom it turns away and how fast, and
// in which order it lets go. Each is one round: run with -benchtime 1x.

// forever is a function that does not come up while anybody looks.
func forever(settings string) string {
	return function("f", "fd", time.Hour, "max_wait: 10m, start_timeout: 10m"+settings)
}

const patient = "defaults: { timeouts: { request: 10m } }\n"

// offer makes one call on a connection of its own, and tells whether it was
// refused, and how fast. A call that is not refused within patience is held:
// its connection is returned.
func (l *lab) offer(head string, patience time.Duration) (held net.Conn, refused time.Duration, err error) {
	c, err := net.Dial("tcp", l.addr)
	if err != nil {
		return nil, 0, err
	}
	began := time.Now()
	if _, err := io.WriteString(c, head); err != nil {
		return nil, 0, err
	}
	_ = c.SetReadDeadline(began.Add(patience))
	line, err := bufio.NewReader(c).ReadString('\n')
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c, 0, nil
	case err != nil:
		return nil, 0, err
	case !strings.HasPrefix(line, "HTTP/1.1 503"):
		return nil, 0, fmt.Errorf("answered %q", line)
	}
	refused = time.Since(began)
	return nil, refused, c.Close()
}

const get = "GET /f HTTP/1.1\r\nHost: f.example.com\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n"

// BenchmarkFlood: 20,000 calls are offered to a function that never starts
// (C1).
func BenchmarkFlood(b *testing.B) {
	for b.Loop() {
		l := run(b, patient, forever(""))
		before := l.rss()
		var left, held atomic.Int64
		left.Store(20_000)
		var mu sync.Mutex
		var refusals []time.Duration
		var conns []net.Conn
		var work sync.WaitGroup
		for range 8 { // more would measure how long they wait for a core
			work.Go(func() {
				for left.Add(-1) >= 0 {
					patience := 10 * time.Second
					if held.Load() < 1000 {
						patience = 20 * time.Millisecond
					}
					c, refused, err := l.offer(get, patience)
					if err != nil {
						b.Error(err)
						return
					}
					mu.Lock()
					if c != nil {
						held.Add(1)
						conns = append(conns, c)
					} else {
						refusals = append(refusals, refused)
					}
					mu.Unlock()
				}
			})
		}
		work.Wait()
		b.ReportMetric(l.metric(`weir_held{function="f"}`), "held")
		b.ReportMetric(l.metric(`weir_hold_rejected_total{function="f",reason="line_full"}`), "refused")
		b.ReportMetric(float64(quantile(refusals, .5).Microseconds()), "refusal-p50-µs")
		b.ReportMetric(float64(quantile(refusals, .99).Microseconds()), "refusal-p99-µs")
		b.ReportMetric(float64(l.rss()-before)/(1<<20), "MiB-growth")
		for _, c := range conns {
			_ = c.Close()
		}
	}
}

// BenchmarkHeldUploads: 10,000 calls are held, each with a body of 1 MiB of
// which its client sends what it can (C2). And then half of them leave (C26).
func BenchmarkHeldUploads(b *testing.B) {
	for _, body := range []int{0, 1 << 20} {
		b.Run(fmt.Sprint(body>>10, "KiB"), func(b *testing.B) {
			for b.Loop() {
				l := run(b, "cold_start: { max_pending: 20000 }\n"+patient, forever(", max_pending: 20000"))
				heldUploads(b, l, body)
			}
		})
	}
}

func heldUploads(b *testing.B, l *lab, body int) {
	const n = 10_000
	conns := make([]net.Conn, n)
	var work sync.WaitGroup
	for w := range 16 {
		work.Go(func() {
			piece := make([]byte, 64<<10)
			for i := w; i < n; i += 16 {
				c, err := net.Dial("tcp", l.addr)
				if err != nil {
					b.Error(err)
					return
				}
				conns[i] = c
				if body == 0 {
					_, _ = io.WriteString(c, get)
					continue
				}
				_ = c.(*net.TCPConn).SetWriteBuffer(4 << 10) // the kernel's memory is not weir's
				fmt.Fprintf(c, "POST /f HTTP/1.1\r\nHost: f.example.com\r\nContent-Length: %d\r\n\r\n", body)
				_ = c.SetWriteDeadline(time.Now().Add(time.Millisecond))
				_, _ = c.Write(piece)
			}
		})
	}
	work.Wait()
	await(b, "all to be held", func() bool { return l.metric(`weir_held{function="f"}`) == n })
	b.ReportMetric(float64(l.rss())/(1<<20), "MiB-in-all")
	b.ReportMetric(l.metric("weir_held_bytes")/(1<<20), "MiB-counted")
	time.Sleep(10 * time.Second) // until what the burst has left is tidied up
	cpu := l.cpu()
	time.Sleep(20 * time.Second)
	b.ReportMetric(100*(l.cpu()-cpu).Seconds()/20, "%-of-a-core-while-held")
	began := time.Now()
	for i := 0; i < n; i += 2 {
		_ = conns[i].Close()
	}
	closed := time.Now()
	for l.metric(`weir_held{function="f"}`) > n/2 {
		if time.Since(began) > 30*time.Second {
			b.Fatal("places of clients that left are still taken")
		}
	}
	b.ReportMetric(float64(time.Since(closed).Milliseconds()), "ms-until-5000-places-are-free")
	if tried := l.metric(`weir_upstream_attempts_total{function="f",region="local",result="ok"}`); tried > 0 {
		b.Errorf("%v were sent on", tried)
	}
	for _, c := range conns {
		_ = c.Close()
	}
}

// cpu is the processor time that weir has used.
func (l *lab) cpu() time.Duration {
	return time.Duration(l.metric("process_cpu_seconds_total") * float64(time.Second))
}

// BenchmarkStorm: 10,000 calls arrive at a function at zero, all as fast as two
// cores make them (C7), and the time from the first of them to the request to
// the platform (C6; C6's own distribution is BenchmarkTrigger).
func BenchmarkStorm(b *testing.B) {
	for b.Loop() {
		l := run(b, "cold_start: { max_pending: 20000 }\n"+patient,
			function("f", "fd", 3*time.Second, "max_wait: 60s, max_pending: 20000, idle_after: 1m"))
		const n = 10_000
		conns := l.hold("f", n)
		var work sync.WaitGroup
		var answered atomic.Int64
		for w := range 16 {
			work.Go(func() {
				for i := w; i < n; i += 16 {
					r, err := http.ReadResponse(bufio.NewReader(conns[i]), nil)
					if err == nil && r.StatusCode == 200 {
						answered.Add(1)
					}
					_ = conns[i].Close()
				}
			})
		}
		work.Wait()
		b.ReportMetric(float64(answered.Load()), "answered")
		b.ReportMetric(l.starts("f"), "starts")
		b.ReportMetric(l.metric(`weir_scaler_requests_total{scaler="process",result="ok"}`), "requests-to-the-platform")
	}
}

// BenchmarkTrigger: from a call's arrival in an empty line to the request to
// the platform, as weir measures it, over functions that start one after
// another (C6).
func BenchmarkTrigger(b *testing.B) {
	const idle = "idle_after: 5ms, min_up: 1ms, grace: 1ms"
	l := run(b, "", function("f", "fd", 0, idle))
	for b.Loop() {
		await(b, "the function to be at zero", func() bool { return l.state("f") == "cold" })
		r, err := http.Get("http://" + l.addr + "/f")
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	const phase = `weir_coldstart_duration_seconds`
	node, _ := os.Hostname()
	labels := fmt.Sprintf(`{function="f",region="local",phase="trigger",node=%q,rack="",dc=""`, node)
	all := l.metric(phase + "_count" + labels + "}")
	b.ReportMetric(1e6*l.metric(phase+"_sum"+labels+"}")/all, "µs-mean")
	b.ReportMetric(100*l.metric(phase+"_bucket"+labels+`,le="0.005"}`)/all, "%-under-5ms")
}

// BenchmarkBroken: 100 calls a second for a minute at a function whose program
// ends at once (C10).
func BenchmarkBroken(b *testing.B) {
	for b.Loop() {
		l := run(b, "", "  f:\n    cold_start: { scaler: process }\n    process: { command: [/bin/false] }\n")
		var work sync.WaitGroup
		var mu sync.Mutex
		var took []time.Duration
		tick := time.NewTicker(10 * time.Millisecond)
		for began := time.Now(); time.Since(began) < time.Minute; <-tick.C {
			work.Go(func() {
				_, refused, err := l.offer(get, 10*time.Second)
				if err != nil {
					b.Error(err)
				}
				mu.Lock()
				took = append(took, refused)
				mu.Unlock()
			})
		}
		tick.Stop()
		work.Wait()
		b.ReportMetric(l.starts("f"), "starts")
		b.ReportMetric(float64(len(took)), "calls")
		b.ReportMetric(float64(quantile(took, .99).Microseconds()), "refusal-p99-µs")
		b.ReportMetric(float64(quantile(took, 1).Milliseconds()), "longest-ms")
	}
}

// BenchmarkLetGo: a thousand calls are held; the instance takes 10 at once and
// 20 ms for each (C16). With one at once they come in the order in which they
// were made (C17).
func BenchmarkLetGo(b *testing.B) {
	for _, at := range []int{10, 1} {
		b.Run(fmt.Sprint(at, "-at-once"), func(b *testing.B) {
			for b.Loop() {
				letGo(b, at)
			}
		})
	}
}

func letGo(b *testing.B, at int) {
	const n, work = 1000, 20 * time.Millisecond
	boot := 2 * time.Second
	if at == 1 { // they are made one by one
		boot = 15 * time.Second
	}
	l := run(b, patient, function("f", "fd", boot, fmt.Sprintf("max_wait: 60s, concurrency: %d", at)))
	conns := make([]net.Conn, n)
	for i := range conns { // one after another: that is their order
		c, err := net.Dial("tcp", l.addr)
		if err != nil {
			b.Fatal(err)
		}
		conns[i] = c
		fmt.Fprintf(c, "GET /f HTTP/1.1\r\nHost: f\r\nX-Work: %s\r\n\r\n", work)
		if at == 1 {
			await(b, "the call to be held", func() bool { return l.metric(`weir_held{function="f"}`) == float64(i+1) })
		}
	}
	await(b, "all to be held", func() bool { return l.metric(`weir_held{function="f"}`) == n || l.state("f") == "warm" })
	var most, inversions int64
	var began time.Time
	last := int64(0)
	for i, c := range conns {
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			b.Fatal(err)
		}
		if i == 0 {
			began = time.Now()
		}
		most = max(most, header(b, r, "X-Most"))
		number := header(b, r, "X-Number")
		if number < last {
			inversions++
		}
		last = number
		_ = c.Close()
	}
	took := time.Since(began)
	ideal := n * work / time.Duration(at)
	direct := letGoByHand(b, at, n, work)
	b.ReportMetric(float64(most), "most-at-once")
	b.ReportMetric(float64(inversions), "out-of-order")
	b.ReportMetric(float64(took.Milliseconds()), "ms")
	b.ReportMetric(float64(ideal.Milliseconds()), "ideal-ms")
	b.ReportMetric(100*(took.Seconds()/ideal.Seconds()-1), "%-over-ideal")
	b.ReportMetric(float64(direct.Milliseconds()), "by-hand-ms")
	b.ReportMetric(100*(took.Seconds()/direct.Seconds()-1), "%-over-by-hand")
}

// letGoByHand is the same without weir: as many clients as calls are let in at
// once, each with a connection that it keeps and its share of the calls. What a
// sleep takes longer on this machine is in it too.
func letGoByHand(b *testing.B, at, n int, work time.Duration) time.Duration {
	addr, stop := byHand(b, 0)
	defer stop()
	conns := make([]net.Conn, at)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	began := time.Now()
	var clients sync.WaitGroup
	for _, c := range conns {
		clients.Go(func() {
			r := bufio.NewReader(c)
			for range n / at {
				fmt.Fprintf(c, "GET /f HTTP/1.1\r\nHost: f\r\nX-Work: %s\r\n\r\n", work)
				answer, err := http.ReadResponse(r, nil)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body)
			}
		})
	}
	clients.Wait()
	return time.Since(began)
}

func header(b *testing.B, r *http.Response, name string) (n int64) {
	b.Helper()
	if _, err := fmt.Sscan(r.Header.Get(name), &n); err != nil {
		b.Fatalf("%s: %v", name, err)
	}
	return n
}

// BenchmarkIdleLimit: 500 times from zero to one and back, with calls that come
// just around the idle limit (C28).
func BenchmarkIdleLimit(b *testing.B) {
	for b.Loop() {
		l := run(b, "", function("f", "fd", 0, "idle_after: 20ms, min_up: 1ms, grace: 2ms, max_wait: 20s"))
		client := &http.Client{Transport: &http.Transport{}}
		var calls, failed atomic.Int64
		over := make(chan struct{})
		var work sync.WaitGroup
		for w := range 2 {
			work.Go(func() {
				pause := time.Duration(18+4*w) * time.Millisecond
				for {
					select {
					case <-over:
						return
					case <-time.After(pause + time.Duration(calls.Load()%16)*time.Millisecond):
					}
					calls.Add(1)
					r, err := client.Post("http://"+l.addr+"/f", "text/plain", strings.NewReader("x"))
					if err != nil || r.StatusCode != 200 {
						failed.Add(1)
						b.Errorf("%v %v", r, err)
						continue
					}
					_, _ = io.Copy(io.Discard, r.Body)
					_ = r.Body.Close()
				}
			})
		}
		for began := time.Now(); l.metric(`weir_stops_total{function="f",reason="idle"}`) < 500; time.Sleep(50 * time.Millisecond) {
			if time.Since(began) > 5*time.Minute {
				b.Fatal("it is hardly ever stopped: nothing is tried")
			}
		}
		close(over)
		work.Wait()
		client.CloseIdleConnections()
		b.ReportMetric(l.starts("f"), "cycles")
		b.ReportMetric(float64(calls.Load()), "calls")
		b.ReportMetric(float64(failed.Load()), "failed")
	}
}
