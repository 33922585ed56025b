package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/table"
)

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// An endpoint whose every connection is served by f, byte by byte.
func rawEndpoint(t testing.TB, f func(nc net.Conn, br *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
				f(nc, bufio.NewReader(nc))
			}()
		}
	}()
	return ln.Addr().String()
}

// head reads one request's head and returns it.
func head(br *bufio.Reader) (string, error) {
	var all strings.Builder
	for {
		line, err := br.ReadString('\n')
		all.WriteString(line)
		if err != nil || line == "\r\n" {
			return all.String(), err
		}
	}
}

// says is an endpoint that answers every request with the same bytes.
func says(t testing.TB, answer string) string {
	return rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			if _, err := head(br); err != nil {
				return
			}
			if _, err := io.WriteString(nc, answer); err != nil {
				return
			}
		}
	})
}

const get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "%s %s %q", r.Method, r.RequestURI, body)
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// eventually waits for what comes true without further ado.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("never came true: %s", what)
		}
	}
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// listener returns a preparation of the one listener.
func listener(prepare func(l *config.Listener)) parts {
	return parts{prepare: func(cfg *config.Config) { prepare(&cfg.Listeners[0]) }}
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func nothing(*config.Listener) {}

// trustLoopback makes the test's own client a trusted proxy.
func trustLoopback(cfg *config.Config) {
	cfg.Listeners[0].TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// endpoint is the function's n-th.
func (g *gateway) endpoint(n int) *table.Endpoint {
	return g.keeper.Table().Functions["f"].Set().Endpoints[n]
}

// reload puts another configuration in the place of the present one.
func (g *gateway) reload(doc string) {
	g.t.Helper()
	cfg, err := config.Parse("test.yaml", []byte("listeners: [{ address: '127.0.0.1:1' }]\n"+doc))
	if err != nil {
		g.t.Fatal(err)
	}
	version := g.keeper.Table().Version
	g.keeper.Propose(cfg)
	eventually(g.t, "it is in force", func() bool { return g.keeper.Table().Version != version })
}

// inFlight waits until n calls are on the function's first endpoint.
func (g *gateway) inFlight(n int) {
	g.t.Helper()
	for began := time.Now(); g.endpoint(0).Link.Slots.InFlight() != n; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			g.t.Fatalf("%d calls in flight, want %d", g.endpoint(0).Link.Slots.InFlight(), n)
		}
	}
}

func post(size int) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", size)
}

// closedAs waits until n connections to the function's endpoints have been
// closed for that reason.
func (g *gateway) closedAs(why table.End, n int64) {
	g.t.Helper()
	a := &g.keeper.Table().Functions["f"].Account
	for began := time.Now(); a.Closed(why) != n; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			g.t.Fatalf("%d connections closed as %s, want %d", a.Closed(why), why, n)
		}
	}
}

// refuses is an address that refuses every connection, until the test ends. It is
// bound, or another test might come to listen there.
func refuses(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port)
}
