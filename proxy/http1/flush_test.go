package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What has come of an answer goes on to the client, even if the begin of the
// next chunk has come as well.
func TestChunksAreNotHeldBack(t *testing.T) {
	for _, begun := range []string{"5", "5\r", "5\r\n", "0\r\n", "0\r\n\r", "0\r\nA: b\r\n"} {
		rest := map[string]string{"5": "\r\nworld", "5\r": "\nworld", "5\r\n": "world"}[begun]
		if rest != "" {
			rest += "\r\n0\r\n\r\n"
		} else {
			rest = strings.TrimPrefix("0\r\n\r\n", begun)
			if begun == "0\r\nA: b\r\n" {
				rest = "\r\n"
			}
		}
		goOn := make(chan struct{})
		addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
			if _, err := head(br); err == nil {
				_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"+begun)
				<-goOn
				_, _ = io.WriteString(nc, rest)
			}
		})
		g := start(t, one(addr), parts{})
		c := g.dial()
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		c.send(get)
		r, err := http.ReadResponse(c.br, nil)
		if err != nil {
			t.Errorf("%q: the head was held back: %v", begun, err)
			close(goOn)
			continue
		}
		b := make([]byte, 5)
		if _, err := io.ReadFull(r.Body, b); err != nil {
			t.Errorf("%q: the first chunk was held back: %v", begun, err)
		}
		close(goOn)
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Errorf("%q: %v", begun, err)
		}
	}
}

// An answer that needs no body does not wait for the rest of one.
func TestAnswerDoesNotWaitForAChunk(t *testing.T) {
	g := start(t, strings.Replace(one("127.0.0.1:1"), "path_prefix: /,", "path_prefix: /f,", 1), parts{})
	for _, begun := range []string{"", "5", "5\r\n", "5\r\nhel", "5\r\nhello\r\n5\r\n", "0\r\n", "0\r\nA: b\r\n", "\r", "x"} {
		c := g.dial()
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + begun)
		c.want("POST", 404)
		c.wantClosed()
	}
}

// The head of a request does not wait for the begin of its body.
func TestHeadGoesAheadOfAChunk(t *testing.T) {
	heads := make(chan string, 1)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, _ := head(br)
		heads <- h
		_, _ = io.CopyN(io.Discard, br, int64(len("5\r\nhello\r\n0\r\n\r\n")))
		_, _ = io.WriteString(nc, ok)
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n")
	select {
	case <-heads:
	case <-time.After(2 * time.Second):
		t.Error("the endpoint has not heard of it")
	}
	c.send("hello\r\n0\r\n\r\n")
	c.want("POST", 200)
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
