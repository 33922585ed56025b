package http1

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/message"
)

// A core that has a bug of its own for every path.
type buggy struct {
	yes
	canceled chan struct{}
}

type badCanceler struct{ canceled chan struct{} }

func (b badCanceler) Cancel(uint64) {
	b.canceled <- struct{}{}
	panic("in a cancel")
}

// badBody is a client whose body cannot be had.
type badBody struct{ message.Downstream }

func (badBody) Next() ([]byte, error)          { panic("in an upload") }
func (badBody) Ready() bool                    { return false }
func (badBody) CutBody()                       {}
func (badBody) Watch(message.Canceler, uint64) {}
func (badBody) Unwatch() bool                  { return false }

func (b buggy) Serve(c *proxy.Call) {
	switch string(c.Request.Path) {
	case "/serve":
		panic("in a call")
	case "/watch":
		c.Down.Watch(badCanceler{b.canceled}, 1)
		<-b.canceled // the client has gone
		c.Down.Unwatch()
	case "/watched": // and panics before it unwatches
		c.Down.Watch(badCanceler{b.canceled}, 1)
		panic("in a watched call")
	}
	b.yes.Serve(c)
}

type safeBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *safeBuffer) has(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.String(), text)
}

// A bug costs the call that it is in, on whichever goroutine.
func TestPanicsOnEveryGoroutine(t *testing.T) {
	var log safeBuffer
	watcher, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Listener{Limits: config.Limits{HeadBytes: 16 << 10, Fields: 100}}
	core := buggy{canceled: make(chan struct{})}
	s := NewServer(cfg, time.Minute, core, watcher, slog.New(slog.NewTextHandler(&log, nil)))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = s.Serve(ln) })
	work.Go(func() { _ = watcher.Run(ctx) })
	defer work.Wait()
	defer stop()
	defer func() { _ = s.Drain(context.Background()) }()

	f := func(path, told string) {
		t.Helper()
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(nc, "GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n")
		if path == "/watch" {
			_ = nc.(*net.TCPConn).CloseWrite()
		}
		r, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if path == "/" && (err != nil || r.StatusCode != 204) {
			t.Fatalf("a good call: %v, %v", r, err)
		}
		for began := time.Now(); told != "" && !log.has(told); time.Sleep(time.Millisecond) {
			if time.Since(began) > 10*time.Second {
				t.Fatalf("%s is not in the log:\n%s", told, log.String())
			}
		}
	}
	for range 2 {
		f("/serve", "in a call")
		f("/", "")
		f("/watch", "in a cancel")
		f("/", "")
		f("/watched", "in a watched call")
		f("/", "")
	}
	for began := time.Now(); s.Open() > 6; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%d connections are left open", s.Open())
		}
	}
	watcher.thinking.mu.Lock()
	defer watcher.thinking.mu.Unlock()
	if n := len(watcher.thinking.entries); n != 0 {
		t.Errorf("%d are watched still", n)
	}
}

// The goroutine that sends a body, too: its call ends, the next one does not.
func TestPanicInAnUpload(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, nc)
			_ = nc.Close()
		}
	}()
	pool := NewPool(ln.Addr().String())
	defer pool.CloseIdle()
	if err := pool.Probe(t.Context()); err != nil { // the call finds a connection, and need not wait for one
		t.Fatal(err)
	}
	x := &message.Exchange{Started: time.Now(), Sent: moment.Now(), Deadline: moment.Now().Add(5 * time.Second), Down: badBody{}}
	x.Request = message.Request{Method: []byte("POST"), Path: []byte("/"), Authority: []byte("h"), Framing: message.Sized, Length: 5, Minor: 1}
	began := time.Now()
	err = pool.Try(x)
	if err == nil || !strings.Contains(err.Error(), "an upload panicked: in an upload") || time.Since(began) > 4*time.Second {
		t.Fatalf("after %v: %v", time.Since(began), err)
	}
}
