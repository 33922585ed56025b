package http1_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// An empty line before a request may end wherever a read ends.
func TestEmptyLineAtTheEndOfTheBuffer(t *testing.T) {
	g := start(t, one(says(t, ok)), parts{})
	const first, size = "GET / HTTP/1.1\r\nHost: h\r\nA: ", 4 << 10 // of the buffer
	for spare := range 4 {
		c := g.dial()
		c.send(first + strings.Repeat("a", size-len(first)-4-spare) + "\r\n\r\n\r\n" + get)
		c.want("GET", 200)
		c.want("GET", 200)
	}
}

// A client that says close and sends on all the same reads its whole answer: a
// close with unread bytes would be a reset, and might overtake it.
func TestCloseDoesNotOvertakeTheAnswer(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	g := start(t, backend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, long) }), parts{})
	for range 20 {
		c := g.dial()
		c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 500))
		if body := c.want("GET", 200); body != long {
			t.Fatalf("%d bytes of %d", len(body), len(long))
		}
		c.wantClosed()
	}
}

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

func TestExchanges(t *testing.T) {
	g := start(t, backend(t, echo), parts{})
	f := func(name, request, method string, status int, body string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			c := g.dial()
			c.send(request)
			if got := c.want(method, status); got != body {
				t.Errorf("body %q, want %q", got, body)
			}
		})
	}
	f("get", "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n", "GET", 200, `GET /a?b=c ""`)
	f("head", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "HEAD", 200, "")
	f("sized body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "POST", 200, `POST / "hello"`)
	f("empty body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "POST", 200, `POST / ""`)
	f("chunked body", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: x\r\n\r\n", "POST", 200, `POST / "hello"`)
	f("get with body", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", "GET", 200, `GET / "hi"`)
	f("http/1.0", "GET / HTTP/1.0\r\n\r\n", "GET", 200, `GET / ""`)
	f("empty line first", "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET", 200, `GET / ""`)
	f("normalized", "GET /a//b/./c/../%64 HTTP/1.1\r\nHost: h\r\n\r\n", "GET", 200, `GET /a/b/d ""`)
	f("absolute form", "GET http://x/y HTTP/1.1\r\nHost: h\r\n\r\n", "GET", 200, `GET /y ""`)
	f("expect", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello", "POST", 100, "")
}

func TestKeepAliveAndPipelining(t *testing.T) {
	g := start(t, backend(t, echo), parts{})
	c := g.dial()
	var all strings.Builder
	for i := range 20 {
		fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", i)
	}
	c.send(all.String())
	for i := range 20 {
		if got, want := c.want("POST", 200), fmt.Sprintf(`POST /%d "abc"`, i); got != want {
			t.Fatalf("answer %d: %q, want %q", i, got, want)
		}
	}
	c.send("GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	c.want("GET", 200)
	c.wantClosed()
}

func TestLargeBodies(t *testing.T) {
	g := start(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // or net/http eats the body when it answers
		if _, err := io.Copy(w, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	}), parts{})
	big := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	for _, chunked := range []bool{false, true} {
		var body io.Reader = bytes.NewReader(big)
		if chunked {
			body = io.MultiReader(body)
		}
		r, err := http.Post("http://"+g.addr+"/", "application/octet-stream", body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || !bytes.Equal(got, big) {
			t.Fatalf("chunked %v: %d bytes back of %d, %v", chunked, len(got), len(big), err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
