package http1_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

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
