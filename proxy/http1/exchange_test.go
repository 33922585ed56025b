package http1_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "%s %s %q", r.Method, r.RequestURI, body)
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

func TestServerSentEventsAreFlushed(t *testing.T) {
	next := make(chan string)
	g := start(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for s := range next {
			fmt.Fprintf(w, "data: %s\n\n", s)
			w.(http.Flusher).Flush()
		}
	}), parts{})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	r, err := http.ReadResponse(c.br, nil) // the head comes before any event
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"one", "two", "three"} {
		next <- s
		buf := make([]byte, 64)
		n, err := r.Body.Read(buf)
		if err != nil || string(buf[:n]) != "data: "+s+"\n\n" {
			t.Fatalf("%q, %v", buf[:n], err)
		}
	}
	close(next)
	if rest, err := io.ReadAll(r.Body); len(rest) > 0 || err != nil {
		t.Fatalf("%q, %v", rest, err)
	}
}

func TestClientThatLeavesWhileTheEndpointThinks(t *testing.T) {
	canceled := make(chan time.Time, 1)
	g := start(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		canceled <- time.Now()
	}), parts{})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	time.Sleep(60 * time.Millisecond)
	_ = c.Close()
	left := time.Now()
	if took := (<-canceled).Sub(left); took > time.Second {
		t.Errorf("the endpoint was told %v later", took)
	}
	if r := g.record(1); r.status != 499 || r.cause != "DC" {
		t.Errorf("recorded %+v", r)
	}
}
