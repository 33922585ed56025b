package http1_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/proxy/table"
)

// A body that ends with its connection is not whole if that ends badly.
func TestBodyToTheCloseThatBreaks(t *testing.T) {
	sent := make(chan struct{})
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		_, _ = head(br)
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\n\r\nhello")
		<-sent
		_ = nc.(*net.TCPConn).SetLinger(0)
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	c.send(get)
	r, err := http.ReadResponse(c.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(r.Body, b); err != nil {
		t.Fatal(err)
	}
	close(sent)
	if rest, err := io.ReadAll(r.Body); err == nil {
		t.Errorf("a clean end after %q", rest)
	}
	if r := g.record(1); r.cause != "UC" || r.status != 200 {
		t.Errorf("recorded %+v", r)
	}
}

// An answer that is found malformed before a byte of it has gone out is a 502 with
// its cause, and the client's connection goes on.
func TestMalformedResponses(t *testing.T) {
	f := func(name, answer, cause string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			g := start(t, one(says(t, answer)), parts{})
			c := g.dial()
			c.send(get)
			if strings.Contains(answer, " 103 ") {
				c.want("GET", 103)
			}
			if body := c.want("GET", 502); !strings.Contains(body, `"cause":"`+cause+`"`) {
				t.Errorf("%s, want cause %s", body, cause)
			}
			if r := g.record(1); r.status != 502 || r.cause != cause || r.tries != 1 {
				t.Errorf("recorded %+v", r)
			}
			c.send("HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n") // the client's connection goes on
			if strings.Contains(answer, " 103 ") {
				c.want("HEAD", 103)
			}
			if _, err := http.ReadResponse(c.br, &http.Request{Method: "HEAD"}); err != nil {
				t.Error(err)
			}
			c.wantClosed()
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
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	f("no chunks at all", chunked+`{"error":"it forgot them"}`, "UPE")
	f("no chunk size", chunked+"xx\r\n", "UPE")
	f("a second chunk without a size", chunked+"5\r\nhello\r\nxx\r\n", "UPE")
	f("a chunk longer than it says", chunked+"5\r\nhelloworld\r\n0\r\n\r\n", "UPE")
	f("a chunk that ends with LF", chunked+"5\nhello\n0\n\n", "UPE")
	f("an endless chunk size", chunked+strings.Repeat("0", 20), "UPE")
	f("an endless extension", chunked+"5;"+strings.Repeat("a", 1<<10), "UPE")
	f("a malformed trailer", chunked+"5\r\nhello\r\n0\r\nA b\r\n\r\n", "UPE")
	f("no chunks behind early hints", "HTTP/1.1 103 Early Hints\r\n\r\n"+chunked+"xx", "UPE")
	f("large head", "HTTP/1.1 200 OK\r\nA: "+strings.Repeat("a", 70<<10)+"\r\n\r\n", "UPE")
}

// Once a byte of the answer has gone out no other answer follows it: the client
// sees it cut off, whatever came after.
func TestAnswersThatTurnMalformed(t *testing.T) {
	f := func(name, first, then, request string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			out := make(chan struct{})
			addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
				_, _ = head(br)
				_, _ = io.WriteString(nc, first)
				<-out
				_, _ = io.WriteString(nc, then)
				_, _ = io.Copy(io.Discard, br) // until weir closes
			})
			g := start(t, one(addr), parts{})
			c := g.dial()
			c.send(request)
			if got, err := head(c.br); err != nil || !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
				t.Fatalf("%q, %v", got, err)
			}
			close(out)
			rest, err := io.ReadAll(c.br)
			if strings.Contains(string(rest), "HTTP/1.1") || strings.HasSuffix(string(rest), "0\r\n\r\n") {
				t.Errorf("behind the head came %q", rest)
			}
			if err == nil {
				t.Error("a clean end, and no reset")
			}
			if r := g.record(1); r.status != 200 || r.cause != "UPE" {
				t.Errorf("recorded %+v", r)
			}
			if n := g.keeper.Table().Functions["f"].Account.Closed(table.Broken); n != 1 {
				t.Errorf("%d connections closed as broken", n)
			}
		})
	}
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	const old = "GET / HTTP/1.0\r\nHost: h\r\n\r\n"
	f("no chunks behind the head", chunked, "xx\r\n", get)
	f("no size behind a chunk", chunked+"5\r\nhello\r\n", "xx\r\n", get)
	f("a chunk longer than it says", chunked+"5\r\nhello", "world\r\n", get)
	f("a malformed trailer", chunked+"5\r\nhello\r\n0\r\n", "A b\r\n\r\n", get)
	f("no size behind a chunk, to HTTP/1.0", chunked+"5\r\nhello\r\n", "xx\r\n", old)
}
