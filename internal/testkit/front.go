package testkit

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A Front stands before what listens on a socket, and can be taken away and put back.
type Front struct {
	network, behind, addr string

	mu    sync.Mutex // guards all below
	away  bool
	came  int
	conns []net.Conn
	work  sync.WaitGroup
}

// NewFront opens a front before an address of a network, tcp or unix. It closes with the
// test.
func NewFront(t testing.TB, network, behind string) *Front {
	t.Helper()
	f := &Front{network: network, behind: behind, addr: "127.0.0.1:0"}
	if network == "unix" {
		dir, err := os.MkdirTemp("", "weir") // a name that leaves room for the socket's
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		f.addr = filepath.Join(dir, "engine.sock")
	}
	ln, err := net.Listen(network, f.addr)
	if err != nil {
		t.Fatal(err)
	}
	f.addr = ln.Addr().String()
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

// Addr is where it is: a path, or host:port.
func (f *Front) Addr() string { return f.addr }

// Came tells how many connections came through.
func (f *Front) Came() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.came
}

func (f *Front) pass(in net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out, err := net.Dial(f.network, f.behind)
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
