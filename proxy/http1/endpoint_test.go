package http1_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/http1"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

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

func TestMalformedResponses(t *testing.T) {
	f := func(name, answer, cause string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			g := start(t, one(says(t, answer)), parts{})
			c := g.dial()
			c.send(get)
			if body := c.want("GET", 502); !strings.Contains(body, `"cause":"`+cause+`"`) {
				t.Errorf("%s, want cause %s", body, cause)
			}
			c.send(get) // the client's connection goes on
			c.want("GET", 502)
		})
	}
	f("no HTTP", "hello\r\n\r\n", "UPE")
	f("HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", "UPE")
	f("status of two digits", "HTTP/1.1 20 OK\r\n\r\n", "UPE")
	f("status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", "UPE")
	f("status 999", "HTTP/1.1 999 No\r\n\r\n", "UPE")
	f("status 000", "HTTP/1.1 000 No\r\n\r\n", "UPE")
	f("bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "UPE")
	f("folded field", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", "UPE")
	f("space in a name", "HTTP/1.1 200 OK\r\nA B: c\r\nContent-Length: 0\r\n\r\n", "UPE")
	f("both lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "UPE")
	f("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "UPE")
	f("another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "UPE")
	f("coding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "UPE")
	f("101 that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "UPE")
	f("endless interim", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 40), "UPE")
	f("large head", "HTTP/1.1 200 OK\r\nA: "+strings.Repeat("a", 70<<10)+"\r\n\r\n", "UPE")
}

func TestResponses(t *testing.T) {
	f := func(name, answer, request, method string, status int, body string, closes bool) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			var conns atomic.Int64
			addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
				conns.Add(1)
				for {
					if _, err := head(br); err != nil {
						return
					}
					if _, err := io.WriteString(nc, answer); err != nil || closes {
						return
					}
				}
			})
			g := start(t, one(addr), parts{})
			c := g.dial()
			for range 2 {
				c.send(request)
				if got := c.want(method, status); got != body {
					t.Fatalf("%q, want %q", got, body)
				}
				if strings.Contains(request, "HTTP/1.0") {
					c.wantClosed()
					c = g.dial()
				}
			}
			if n := conns.Load(); (n == 1) == closes {
				t.Errorf("%d connections to the endpoint, closes: %v", n, closes)
			}
		})
	}
	f("sized", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", get, "GET", 200, "ok", false)
	f("chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x\r\nk\r\n0\r\nA: b\r\n\r\n", get, "GET", 200, "ok", false)
	f("no reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", get, "GET", 200, "ok", false)
	f("to the close", "HTTP/1.1 200 OK\r\n\r\nok", get, "GET", 200, "ok", true)
	f("HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", get, "GET", 200, "ok", true)
	f("says close", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", get, "GET", 200, "ok", true)
	f("204", "HTTP/1.1 204 No Content\r\n\r\n", get, "GET", 204, "", false)
	f("304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", get, "GET", 304, "", false)
	f("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "HEAD", 200, "", false)
	f("HEAD, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "HEAD", 200, "", false)
	f("chunked to HTTP/1.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "GET / HTTP/1.0\r\nHost: h\r\n\r\n", "GET", 200, "ok", false)
	f("100 that nobody awaits", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", get, "GET", 200, "ok", false)
	f("103 to HTTP/1.0", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "GET / HTTP/1.0\r\nHost: h\r\n\r\n", "GET", 200, "ok", false)
	f("its own 500", "HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno", get, "GET", 500, "no", false)
	f("bytes behind a body", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", get, "GET", 200, "ok", true)
	f("body of a 204", "HTTP/1.1 204 No Content\r\n\r\nsurprise", get, "GET", 204, "", true)
}

func TestEarlyHintsArePassedOn(t *testing.T) {
	g := start(t, one(says(t, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")), parts{})
	c := g.dial()
	c.send(get)
	r, _, err := c.answer("GET")
	if err != nil || r.StatusCode != 103 || r.Header.Get("Link") != "x" {
		t.Fatalf("%+v, %v", r, err)
	}
	c.want("GET", 200)
}

func TestStaleConnections(t *testing.T) {
	var asked atomic.Int64
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) { // closes after each answer, and does not say so
		if _, err := head(br); err == nil {
			asked.Add(1)
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	g := start(t, one(addr, says(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")), parts{})
	c := g.dial()
	for range 20 {
		c.send(get)
		c.want("GET", 200)
	}
}

func TestPostIsNeverSentTwice(t *testing.T) {
	var asked atomic.Int64
	addr := rawEndpoint(t, func(_ net.Conn, br *bufio.Reader) {
		if _, err := head(br); err == nil {
			asked.Add(1)
		}
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
	c.want("POST", 502)
	if n := asked.Load(); n != 1 {
		t.Errorf("sent %d times", n)
	}
	c.send(get)
	c.want("GET", 502)
	if r := g.record(2); r.cause != "UC" || asked.Load() != 2 {
		t.Errorf("%+v; asked %d times: there is only one endpoint", r, asked.Load())
	}
}

func TestRefusedConnectionGoesElsewhere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := ln.Addr().String()
	_ = ln.Close()
	g := start(t, one(dead, says(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")), parts{})
	c := g.dial()
	for range 20 {
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
		c.want("POST", 200)
	}
	g = start(t, one(dead), parts{})
	c = g.dial()
	c.send(get)
	if body := c.want("GET", 502); !strings.Contains(body, "connect_failed") {
		t.Error(body)
	}
}

func TestFieldsOnTheWay(t *testing.T) {
	seen := make(chan string, 1)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			seen <- h
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Own: 2\r\nX-Request-Id: theirs\r\nContent-Length: 0\r\n\r\n")
		}
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	c.send("GET /p HTTP/1.1\r\nHost: Example.COM:81\r\nConnection: keep-alive, X-Hop, Host, X-Forwarded-For\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n" +
		"Proxy-Connection: x\r\nTE: trailers\r\nUpgrade: h2c\r\nX-Forwarded-For: 9.9.9.9\r\nX-Request-Id: mine\r\nForwarded: for=x\r\n" +
		"x-Own:   kept  as it is \r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nVia: 1.1 other\r\n\r\n")
	r, _, err := c.answer("GET")
	if err != nil {
		t.Fatal(err)
	}
	up := <-seen
	for _, want := range []string{
		"GET /p HTTP/1.1\r\nHost: Example.COM:81\r\n", "\r\nx-Own: kept  as it is\r\n", "\r\nX-Forwarded-For: 127.0.0.1\r\n",
		"\r\nX-Forwarded-Proto: http\r\n", "\r\nX-Forwarded-Host: Example.COM:81\r\n", "\r\nVia: 1.1 other\r\n", "\r\nVia: 1.1 weir\r\n",
		"\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n", "\r\nX-Request-Id: " + r.Header.Get("X-Request-Id") + "\r\n",
	} {
		if !strings.Contains(up, want) {
			t.Errorf("the endpoint did not get %q in %q", want, up)
		}
	}
	for _, not := range []string{"X-Hop", "Keep-Alive", "Proxy-Connection", "TE:", "Upgrade", "9.9.9.9", "mine", "Forwarded: for", "Connection:"} {
		if strings.Contains(up, not) {
			t.Errorf("the endpoint got %s in %q", not, up)
		}
	}
	if h := r.Header; h.Get("X-Hop") != "" || h.Get("Keep-Alive") != "" || h.Get("X-Own") != "2" || h.Get("Via") != "1.1 weir" ||
		len(h.Get("X-Request-Id")) != 36 || h.Get("Date") == "" {
		t.Errorf("the client got %v", h)
	}
}

func TestTrustedProxyIsBelieved(t *testing.T) {
	seen := make(chan string, 1)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, _ := head(br)
		seen <- h
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	g := start(t, one(addr), parts{prepare: trustLoopback})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 8.8.8.8\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine.1\r\nForwarded: for=x\r\n\r\n")
	c.want("GET", 200)
	up := <-seen
	for _, want := range []string{"X-Forwarded-For: 9.9.9.9, 8.8.8.8, 127.0.0.1\r\n", "X-Forwarded-Proto: https\r\n", "X-Request-Id: mine.1\r\n", "Forwarded: for=x\r\n"} {
		if !strings.Contains(up, want) {
			t.Errorf("the endpoint did not get %q in %q", want, up)
		}
	}
}

func TestLoopIsFoundOut(t *testing.T) {
	g := start(t, one(says(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")), parts{})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nVia: " + strings.Repeat("1.1 weir, ", 8) + "1.0 x\r\n\r\n")
	c.want("GET", 200)
	c.send("GET / HTTP/1.1\r\nHost: h\r\nVia: " + strings.Repeat("1.1 weir, ", 8) + "1.1 weir\r\n\r\n")
	c.want("GET", 508)
}

func TestExpect(t *testing.T) {
	ask := "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
	t.Run("the endpoint refuses", func(t *testing.T) {
		g := start(t, one(says(t, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")), parts{})
		c := g.dial()
		c.send(ask)
		c.want("POST", 413)
		c.wantClosed()
	})
	t.Run("the endpoint says nothing", func(t *testing.T) {
		addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
			if _, err := head(br); err != nil {
				return
			}
			body := make([]byte, 2)
			if _, err := io.ReadFull(br, body); err == nil {
				fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%s", body)
			}
		})
		g := start(t, one(addr), parts{})
		c := g.dial()
		c.send(ask)
		c.want("POST", 100)
		c.send("hi")
		if got := c.want("POST", 200); got != "hi" {
			t.Errorf("%q", got)
		}
	})
}

func TestDeadline(t *testing.T) {
	ended := make(chan error, 1)
	addr := rawEndpoint(t, func(_ net.Conn, br *bufio.Reader) {
		if _, err := head(br); err == nil {
			_, err = br.ReadByte() // thinks until the connection ends
			ended <- err
		}
	})
	g := start(t, strings.Replace(one(addr), "endpoints", "timeouts: { request: 50ms }, endpoints", 1), parts{})
	c := g.dial()
	c.send(get)
	c.want("GET", 504)
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("the endpoint's connection ended with %v", err)
	}
	if r := g.record(1); r.cause != "UT" {
		t.Errorf("recorded %+v", r)
	}
}

// A transport that panics.
type bomb struct{ table.Transport }

func (bomb) Try(*message.Exchange) error { panic("boom") }

func TestPanicCostsOneCall(t *testing.T) {
	var armed atomic.Bool
	armed.Store(true)
	g := start(t, one(says(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")), parts{transport: func(addr string) table.Transport {
		return switching{bomb{http1.NewPool(addr)}, http1.NewPool(addr), &armed}
	}})
	c := g.dial()
	c.send(get)
	c.want("GET", 500)
	c.wantClosed()
	armed.Store(false)
	c = g.dial()
	c.send(get)
	c.want("GET", 200)
	g.record(2) // a call leaves the gate after its answer
	f := g.keeper.Table().Functions["f"]
	if n, _ := f.Gate.Inside(); n != 0 || f.Set().Endpoints[0].Link.Slots.InFlight() != 0 {
		t.Errorf("%d inside, %d in flight", n, f.Set().Endpoints[0].Link.Slots.InFlight())
	}
	if r := g.record(1); r.cause != "INT" || r.status != 500 {
		t.Errorf("recorded %+v", r)
	}
}

// switching is the bomb while armed.
type switching struct {
	bomb
	real  table.Transport
	armed *atomic.Bool
}

func (s switching) Try(x *message.Exchange) error {
	if s.armed.Load() {
		return s.bomb.Try(x)
	}
	return s.real.Try(x)
}

func (s switching) CloseIdle() { s.real.CloseIdle() }

func TestUnixSocket(t *testing.T) {
	path := t.TempDir() + "/f.sock"
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(echo)}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	g := start(t, one("unix:"+path), parts{})
	c := g.dial()
	for range 3 {
		c.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
		if got := c.want("POST", 200); got != `POST /a "hi"` {
			t.Errorf("%q", got)
		}
	}
}

func TestFaultsInPlainText(t *testing.T) {
	g := start(t, strings.Replace(one("127.0.0.1:1"), "path_prefix: /,", "path_prefix: /f,", 1), parts{})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nAccept: text/html, text/plain\r\n\r\n")
	r, body, err := c.answer("GET")
	if err != nil || r.StatusCode != 404 || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" ||
		body != "Not Found: No route matches this host and path.\n" {
		t.Errorf("%+v %q, %v", r, body, err)
	}
	c.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
	r, body, err = c.answer("HEAD")
	if err != nil || r.StatusCode != 404 || r.Header.Get("Content-Type") != "application/problem+json" || body != "" || r.ContentLength < 100 {
		t.Errorf("%+v %q, %v", r, body, err)
	}
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n") // nothing of the answer to HEAD stands before this one
	c.want("GET", 404)
	if got := r.Header.Get("Proxy-Status"); got != "weir; error=destination_not_found" {
		t.Errorf("Proxy-Status: %s", got)
	}
}

func TestRequestIDsOnTheWay(t *testing.T) {
	ours := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := make(chan string, 1)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			_, id, _ := strings.Cut(h, "\r\nX-Request-Id: ")
			id, _, _ = strings.Cut(id, "\r\n")
			seen <- id
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	f := func(prepare func(*config.Config), said string, kept bool) {
		t.Helper()
		g := start(t, one(addr), parts{prepare: prepare})
		c := g.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: " + said + "\r\n\r\n")
		r, _, err := c.answer("GET")
		if err != nil {
			t.Fatal(err)
		}
		id, answered := <-seen, r.Header.Get("X-Request-Id")
		if id != answered || kept != (id == said) || !kept && !ours.MatchString(id) {
			t.Errorf("said %q, the endpoint got %q and the client %q", said, id, answered)
		}
	}
	f(nil, "mine", false)
	f(trustLoopback, "mine", true)
	f(trustLoopback, "not mine", false)
	f(trustLoopback, "", false)
	f(trustLoopback, strings.Repeat("a", 128), true)
	f(trustLoopback, strings.Repeat("a", 129), false)
}
