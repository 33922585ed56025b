package http1_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/config"
)

// room is how many clients a test may have: both sides are in this process.
func room(t *testing.T, want int) int {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	n := min(want, (int(limit.Cur)-200)/2)
	if raced {
		n = min(n, want/5)
	}
	if n < want {
		t.Logf("%d connections instead of %d", n, want)
	}
	return n
}

// besiege opens n connections, from several addresses because each has 28,000
// ports only.
func besiege(t *testing.T, g *gateway, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, 0, n)
	t.Cleanup(func() {
		for _, nc := range conns {
			_ = nc.(*net.TCPConn).SetLinger(0)
			_ = nc.Close()
		}
	})
	for i := range n {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i%8))}}
		nc, err := d.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, nc)
	}
	eventually(t, "all are in", func() bool { return g.server.Open() == n })
	return conns
}

// inUse is what the heap and stacks hold that is in use.
func inUse() int {
	runtime.GC()
	runtime.GC() // a pool keeps what is put back through one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// perConnection is what one costs, on both sides of this process: the client's
// is some 0.8 KiB of it.
func perConnection(before, n int) int { return (inUse() - before) / n }

// Ten thousand connections that send nothing have no goroutine and next to no
// memory, keep nobody out, and go when their time is over.
func TestConnectionsThatSendNothing(t *testing.T) {
	g := start(t, "defaults: { timeouts: { idle: 20s } }\n"+backend(t, hello), parts{})
	n := room(t, 10_000)
	before, goroutines := inUse(), runtime.NumGoroutine()
	besiege(t, g, n)
	atRest(t)
	if per := perConnection(before, n); per > 4<<10 {
		t.Errorf("%d bytes for each connection", per)
	} else {
		t.Logf("%d bytes for each connection", per)
	}
	if more := runtime.NumGoroutine() - goroutines; more > 20 {
		t.Errorf("%d goroutines more", more)
	}
	c := g.dial()
	c.send(get)
	c.want("GET", 200)
}

// Heads that come a byte at a time end when the time for a head is over, all of
// them, and hold one small buffer each until then.
func TestSlowHeadsOfMany(t *testing.T) {
	g := start(t, backend(t, hello), listener(func(l *config.Listener) { l.Limits.HeadTimeout = 1500 * time.Millisecond }))
	n := room(t, 2_000)
	before := inUse()
	conns := besiege(t, g, n)
	for _, b := range []byte("GET / HTTP/1.1\r\n") {
		for _, nc := range conns {
			_, _ = nc.Write([]byte{b})
		}
	}
	if per := perConnection(before, n); per > 24<<10 {
		t.Errorf("%d bytes for each connection", per)
	}
	c := g.dial()
	c.send(get)
	c.want("GET", 200)
	began := time.Now()
	buf := make([]byte, 1024)
	for i, nc := range conns {
		_ = nc.SetReadDeadline(began.Add(20 * time.Second))
		if k, err := io.ReadAtLeast(nc, buf, 12); err != nil || !strings.HasPrefix(string(buf[:k]), "HTTP/1.1 408") {
			t.Fatalf("%d: %q, %v", i, buf[:k], err)
		}
	}
}

// What a head took is given back with its call: neither many fields nor the
// longest heads stay with connections that idle.
func TestHeadsPinNoMemory(t *testing.T) {
	fields := ""
	for i := range 99 {
		fields += fmt.Sprintf("%c%c:\r\n", 'a'+i%26, 'a'+i/26)
	}
	for name, request := range map[string]string{
		"fields of two bytes":        "GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n",
		"more fields than there may": "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("a:\r\n", 4000) + "\r\n",
		"one long field":             "GET / HTTP/1.1\r\nHost: h\r\na: " + strings.Repeat("a", 16_000) + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			status := "HTTP/1.1 200"
			if strings.Contains(name, "more") {
				status = "HTTP/1.1 431"
			}
			g := start(t, backend(t, hello), parts{})
			g.quiet = true
			n := room(t, 1_000)
			before := inUse()
			buf := make([]byte, 1024)
			for i, nc := range besiege(t, g, n) {
				_, _ = io.WriteString(nc, request)
				_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
				if k, err := io.ReadAtLeast(nc, buf, 12); err != nil || !bytes.HasPrefix(buf[:k], []byte(status)) {
					t.Fatalf("%d: %q, %v", i, buf[:k], err)
				}
			}
			atRest(t)
			if per := perConnection(before, n); per > 4<<10 {
				t.Errorf("%d bytes for each connection", per)
			}
		})
	}
}
