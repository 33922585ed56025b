package http1

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/message"
)

// A core that answers everything with 204.
type yes struct{}

func (yes) Serve(c *proxy.Call) {
	_ = c.Down.WriteHead(&message.Response{Status: 204, Length: -1})
	_ = c.Down.Finish()
}

func (y yes) Refuse(c *proxy.Call, _ error) { y.Serve(c) }

// A connection that idles holds no buffer, whatever went over it.
func TestIdleConnectionsHoldNoBuffer(t *testing.T) {
	watcher, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Listener{Limits: config.Limits{HeadBytes: 64 << 10, Fields: 100}}
	s := NewServer(cfg, time.Minute, yes{}, watcher, slog.New(slog.DiscardHandler))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(ln) }()
	watching, stop := context.WithCancel(context.Background())
	watched := make(chan error)
	go func() { watched <- watcher.Run(watching) }()
	defer func() {
		_ = s.Drain(context.Background())
		<-served
		stop()
		if err := <-watched; err != nil {
			t.Error(err)
		}
	}()
	requests := []string{
		"", // nothing yet
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("a", 20_000) + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("a", 50_000) + "\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	}
	for _, request := range requests {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_, _ = io.WriteString(nc, request)
		if request != "" {
			if r, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || r.StatusCode != 204 || r.Close {
				t.Fatalf("%q: %+v, %v", request[:20], r, err)
			}
		}
	}
	for _, state := range []struct {
		name string
		is   func(c *conn) bool
	}{
		{"idle", func(c *conn) bool { return c.state.Load() == waiting || c.rests.Load() != 0 }},
		{"at rest", func(c *conn) bool { return c.rests.Load() != 0 }},
	} {
		for began := time.Now(); ; time.Sleep(time.Millisecond) {
			n := 0
			s.mu.Lock()
			for c := range s.conns {
				if state.is(c) {
					n++
				}
			}
			s.mu.Unlock()
			if n == len(requests) {
				break
			}
			if time.Since(began) > 10*time.Second {
				t.Fatalf("%d of %d connections %s", n, len(requests), state.name)
			}
		}
		s.mu.Lock()
		for c := range s.conns {
			if c.buf != nil || c.pinned != nil || c.out != nil {
				t.Errorf("%s: %d unread bytes in %d, %d pinned, %d to be sent", state.name, c.w-c.r, cap(c.buf), cap(c.pinned), cap(c.out))
			}
		}
		s.mu.Unlock()
	}
}
