package testkit

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A Front stands before what listens on a Unix socket, and can be taken away and put
// back.
type Front struct {
	behind, path string

	mu    sync.Mutex // guards all below
	away  bool
	came  int
	conns []net.Conn
	work  sync.WaitGroup
}

// NewFront opens a front before a socket. It closes with the test.
func NewFront(t testing.TB, socket string) *Front {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir") // a name that leaves room for the socket's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := &Front{behind: socket, path: filepath.Join(dir, "engine.sock")}
	ln, err := net.Listen("unix", f.path)
	if err != nil {
		t.Fatal(err)
	}
	f.work.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			f.pass(in)
		}
	})
	t.Cleanup(func() {
		ln.Close()
		f.Take(true)
		f.work.Wait()
	})
	return f
}

// Host is where it is: unix:///path.
func (f *Front) Host() string { return "unix://" + f.path }

// Came tells how many connections came through.
func (f *Front) Came() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.came
}

func (f *Front) pass(in net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out, err := net.Dial("unix", f.behind)
	if err != nil || f.away {
		in.Close()
		return
	}
	f.came++
	f.conns = append(f.conns, in, out)
	pipe := func(to, from net.Conn) { _, _ = io.Copy(to, from); to.Close(); from.Close() }
	f.work.Go(func() { pipe(in, out) })
	f.work.Go(func() { pipe(out, in) })
}

// Take ends what is open, and lets nothing through while it is away.
func (f *Front) Take(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
	for _, c := range f.conns {
		c.Close()
	}
	f.conns = nil
}
