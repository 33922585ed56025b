package http1_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/proxy/http1"
)

// An endpoint that fails its checks gets no calls while another does not, and
// gets them again when it passes.
func TestHealthChecks(t *testing.T) {
	t.Parallel()
	var unwell, called, asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/healthz":
			called.Add(1)
		case unwell.Load() == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
			asked.Add(1)
		default:
			asked.Add(1)
		}
	}))
	defer server.Close()
	g := start(t, under("health_check: { path: /healthz, interval: 10ms, unhealthy_threshold: 2 }", server.Listener.Addr().String(), says(t, ok)), parts{})
	c := g.dial()
	calls := func(n int) {
		t.Helper()
		for range n {
			c.send(get)
			c.want("GET", 200)
		}
	}
	eventually(t, "it is asked", func() bool { return asked.Load() > 2 })
	eventually(t, "it is called", func() bool { calls(1); return called.Load() > 0 })
	unwell.Store(1)
	sick := g.endpoint(0)
	if sick.Addr != server.Listener.Addr().String() {
		sick = g.endpoint(1)
	}
	eventually(t, "it is unhealthy", sick.Unhealthy)
	before := called.Load()
	calls(100)
	if n := called.Load() - before; n > 0 {
		t.Errorf("%d calls went to an unhealthy endpoint", n)
	}
	unwell.Store(0)
	eventually(t, "it is healthy", func() bool { return !sick.Unhealthy() })
	eventually(t, "it is called", func() bool { calls(1); return called.Load() > before })
	if well, failed := g.keeper.Table().Functions["f"].HealthChecks(); well < 3 || failed < 2 {
		t.Errorf("%d passed, %d failed", well, failed)
	}
}

// Where nobody is well, everybody is called: checks must not bring down what
// they are for.
func TestNobodyIsWell(t *testing.T) {
	t.Parallel()
	g := start(t, under("health_check: { path: /, interval: 10ms, unhealthy_threshold: 1 }", says(t, says5(500, "")), says(t, says5(500, ""))), parts{})
	eventually(t, "all are unhealthy", func() bool { return g.endpoint(0).Unhealthy() && g.endpoint(1).Unhealthy() })
	c := g.dial()
	c.send(get)
	c.want("GET", 500)
}

// A change that has nothing to do with it does not make an endpoint well.
func TestUnhealthyOverAReload(t *testing.T) {
	t.Parallel()
	addr := says(t, says5(500, ""))
	const check = "health_check: { path: /, interval: 2s, unhealthy_threshold: 1 }"
	g := start(t, under(check, addr), parts{})
	eventually(t, "it is unhealthy", func() bool { return g.endpoint(0).Unhealthy() })
	g.reload(under(check, addr, says(t, ok)))
	eventually(t, "there are two", func() bool { return len(g.keeper.Table().Functions["f"].Set().Endpoints) == 2 })
	for i := range 2 {
		if ep := g.endpoint(i); ep.Addr == addr && !ep.Unhealthy() {
			t.Error("it was well in between")
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	f := func(name, answer string, want int, wantErr string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			got := make(chan string, 1)
			pool := http1.NewPool(rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
				h, _ := head(br)
				got <- h
				if answer == "" {
					awaitGone(nc)
					return
				}
				_, _ = io.WriteString(nc, answer)
			}))
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			if answer == "" {
				ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
			}
			defer cancel()
			status, err := pool.Check(ctx, "/healthz")
			if status != want || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
				t.Errorf("%d, %v", status, err)
			}
			if h := <-got; !strings.HasPrefix(h, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:") {
				t.Error(h)
			}
		})
	}
	f("well", ok, 200, "")
	f("unwell", says5(503, ""), 503, "")
	f("a long head", "HTTP/1.1 204 No Content\r\nA: "+strings.Repeat("a", 50_000)+"\r\n\r\n", 204, "")
	f("too long a head", "HTTP/1.1 200 OK\r\nA: "+strings.Repeat("a", 70_000), 0, "too large")
	f("not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", 0, "malformed")
	f("half a head", "HTTP/1.1 200 OK\r\n", 0, "EOF")
	f("interim", "HTTP/1.1 103 Early Hints\r\n\r\n", 103, "interim")
	f("no answer", "", 0, "timeout")

	ctx := context.Background()
	if _, err := http1.NewPool(says(t, ok)).Check(ctx, ""); err != nil {
		t.Error(err)
	}
	if _, err := http1.NewPool(refuses(t)).Check(ctx, ""); err == nil {
		t.Error("nobody listens, and all is well")
	}
}
