package bench

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var (
	soakFor  = flag.Duration("soak.for", 20*time.Second, "how long BenchmarkSoak goes on")
	soakRate = flag.Int("soak.rate", 1000, "how many calls a second BenchmarkSoak makes")
)

// Calls at a steady rate while endpoints come and go, with and without a word to
// weir, and a function starts from nothing every second. No call may fail, and
// memory, goroutines and descriptors at the end are what they were after a
// tenth of the time. Run with -benchtime 1x -soak.for 30m.
func BenchmarkSoak(b *testing.B) {
	for b.Loop() {
		soak(b)
	}
}

func soak(b *testing.B) {
	ctx, cancel := context.WithTimeout(b.Context(), *soakFor)
	defer cancel()
	stand := newStand(b, 4)
	cold := function("cold", "fd", 20*time.Millisecond, "idle_after: 200ms, min_up: 1ms")
	l := run(b, "", static("f", stand.addrs...), cold)

	var work sync.WaitGroup
	var calls, failed atomic.Int64
	fail := func(what string, err error) {
		if failed.Add(1) <= 10 {
			b.Errorf("%s: %v", what, err)
		}
	}
	work.Go(func() { stand.comeAndGo(ctx, l, cold) })
	const clients = 64
	for i := range clients {
		work.Go(func() {
			c := &caller{addr: l.addr}
			defer c.leave()
			pace(ctx, time.Duration(clients)*time.Second/time.Duration(*soakRate), func(n int) {
				calls.Add(1)
				if err := c.call(n + i); err != nil {
					fail("a call", err)
				}
			})
		})
	}
	work.Go(func() {
		pace(ctx, time.Second, func(int) {
			r, err := http.Get("http://" + l.addr + "/cold")
			if err != nil {
				fail("a cold call", err)
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			_ = r.Body.Close()
			if r.StatusCode != http.StatusOK {
				fail("a cold call", fmt.Errorf("status %d", r.StatusCode))
			}
		})
	})
	pause(ctx, *soakFor/10)
	early := l.use()
	<-ctx.Done()
	late := l.use()
	work.Wait()
	if failed.Load() > 0 {
		b.Logf("%d of %d calls failed", failed.Load(), calls.Load())
	}
	b.ReportMetric(float64(calls.Load()), "calls")
	b.ReportMetric(float64(failed.Load()), "failed")
	b.ReportMetric(l.metric(`weir_stops_total{function="cold",reason="idle"}`), "cold-starts")
	b.ReportMetric(float64(stand.turns.Load()), "comings-and-goings")
	for i, what := range []string{"MiB", "goroutines", "descriptors"} {
		b.ReportMetric(early[i], what+"-early")
		b.ReportMetric(late[i], what+"-late")
	}
}

// use is what weir has: MiB, goroutines, descriptors.
func (l *lab) use() [3]float64 {
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", l.cmd.Process.Pid))
	if err != nil {
		l.t.Fatal(err)
	}
	return [3]float64{float64(l.rss()) / (1 << 20), l.metric("go_goroutines"), float64(len(fds))}
}

// pace calls f every interval until ctx ends; what is late is made up for.
func pace(ctx context.Context, interval time.Duration, f func(n int)) {
	next := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		f(n)
		next = next.Add(interval)
		pause(ctx, time.Until(next))
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// A caller makes calls on a connection of its own.
type caller struct {
	addr string
	conn net.Conn
	br   *bufio.Reader
}

var kilobyte = strings.Repeat("x", 1<<10)

// call makes the n-th call: seven small ones, one with a large answer, two with a
// body, and again.
func (c *caller) call(n int) error {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			return err
		}
		c.conn, c.br = conn, bufio.NewReader(conn)
	}
	request, want := "GET /f HTTP/1.1\r\nHost: h\r\n\r\n", 6
	switch n % 10 {
	case 7:
		request, want = "GET /f/large HTTP/1.1\r\nHost: h\r\n\r\n", 64<<10
	case 8, 9:
		request = "POST /f HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k\r\nContent-Length: 1024\r\n\r\n" + kilobyte
	}
	_ = c.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c.conn, request); err != nil {
		return c.broke(err)
	}
	r, err := http.ReadResponse(c.br, nil)
	if err != nil {
		return c.broke(err)
	}
	body, err := io.ReadAll(r.Body)
	switch {
	case err != nil:
		return c.broke(err)
	case r.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d: %s", r.StatusCode, body)
	case len(body) != want:
		return fmt.Errorf("%d bytes, want %d", len(body), want)
	}
	if r.Close {
		c.leave()
	}
	return nil
}

func (c *caller) broke(err error) error {
	c.leave()
	return err
}

func (c *caller) leave() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// A stand is endpoints that come and go.
type stand struct {
	b       *testing.B
	addrs   []string
	servers []*http.Server
	turns   atomic.Int64
}

func newStand(b *testing.B, n int) *stand {
	s := &stand{b: b, servers: make([]*http.Server, n)}
	for i := range n {
		s.addrs = append(s.addrs, freeAddr(b))
		s.come(i)
	}
	b.Cleanup(func() {
		for _, server := range s.servers {
			_ = server.Close()
		}
	})
	return s
}

func (s *stand) come(i int) {
	large := bytes.Repeat([]byte{'x'}, 64<<10)
	s.servers[i] = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/f/large" {
			_, _ = w.Write(large)
			return
		}
		_, _ = io.WriteString(w, "hello\n")
	})}
	ln, err := net.Listen("tcp", s.addrs[i])
	if err != nil {
		s.b.Error(err)
		return
	}
	go func() { _ = s.servers[i].Serve(ln) }()
}

// comeAndGo takes one endpoint after another away for a while, every other time
// without telling weir before.
func (s *stand) comeAndGo(ctx context.Context, l *lab, cold string) {
	for turn := 0; ctx.Err() == nil; turn++ {
		i, told := turn%len(s.addrs), turn/len(s.addrs)%2 == 0
		if told {
			var rest []string
			rest = append(append(rest, s.addrs[:i]...), s.addrs[i+1:]...)
			l.configure("", static("f", rest...), cold)
			_ = l.cmd.Process.Signal(syscall.SIGHUP)
			pause(ctx, 200*time.Millisecond)
		}
		_ = s.servers[i].Shutdown(context.Background())
		pause(ctx, time.Second)
		s.come(i)
		if told {
			l.configure("", static("f", s.addrs...), cold)
			_ = l.cmd.Process.Signal(syscall.SIGHUP)
		}
		s.turns.Add(1)
		pause(ctx, time.Second)
	}
}
