package http1_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// largeBody is n bytes that are nowhere the same.
func largeBody(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

// pieces is an endpoint that sends a body in pieces and then closes, or waits to
// be left.
func pieces(t *testing.T, announced int, leave bool, body ...[]byte) (doc string, left <-chan struct{}) {
	gone := make(chan struct{}, 16)
	return one(rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		if _, err := head(br); err != nil {
			return
		}
		fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", announced)
		for _, p := range body {
			if _, err := nc.Write(p); err != nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if !leave {
			_, _ = io.Copy(io.Discard, nc)
		}
		gone <- struct{}{}
	})), gone
}

func TestSplicedBodies(t *testing.T) {
	body := largeBody(3 << 20)
	for _, cuts := range [][]int{{len(body)}, {1, 40_000, 40_001, 900_000}, {31 << 10, 32 << 10, 64 << 10, 96<<10 + 1}} {
		var sent [][]byte
		at := 0
		for _, cut := range append(cuts, len(body)) {
			sent = append(sent, body[at:cut])
			at = cut
		}
		doc, _ := pieces(t, len(body), false, sent...)
		g := start(t, doc, parts{})
		c := g.dial()
		c.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
		r, got, err := c.answer("GET")
		if err != nil || r.StatusCode != 200 || sha256.Sum256([]byte(got)) != sha256.Sum256(body) {
			t.Fatalf("%v: %d bytes, %v", cuts, len(got), err)
		}
		if rec := g.record(1); rec.out != int64(len(body)) || rec.cause != "" {
			t.Errorf("%v: recorded as %+v", cuts, rec)
		}
	}
}

// Bodies go through pipes, which these tests would not notice if they did not.
func TestSplicedBodiesUsePipes(t *testing.T) {
	if raced {
		t.Skip("under the race detector they do not")
	}
	TestSplicedBodies(t)
	if descriptors(t, "pipe:") == 0 {
		t.Error("no pipe is kept")
	}
}

func TestSplicedUploads(t *testing.T) {
	body := largeBody(3 << 20)
	g := start(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%d %v %x", n, err, h.Sum(nil))
	}), parts{})
	want := fmt.Sprintf("%d <nil> %x", len(body), sha256.Sum256(body))
	c := g.dial()
	for i, cuts := range [][]int{{0}, {1, 40_000, 40_001, 900_000}, {len(body) - 1}} {
		c.send(fmt.Sprintf("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", len(body)))
		at := 0
		for _, cut := range append(cuts, len(body)) {
			time.Sleep(5 * time.Millisecond)
			c.send(string(body[at:cut]))
			at = cut
		}
		if got := c.want("POST", 200); got != want {
			t.Errorf("%v: %s, want %s", cuts, got, want)
		}
		if rec := g.record(i + 1); rec.in != int64(len(body)) {
			t.Errorf("recorded as %+v", rec)
		}
	}
}

// An upload that its client leaves, and one whose endpoint answers early.
func TestSplicedUploadCutShort(t *testing.T) {
	t.Parallel()
	whole := make(chan error, 4)
	g := start(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/early" {
			w.WriteHeader(413)
			return
		}
		_, err := io.Copy(io.Discard, r.Body)
		whole <- err
	}), parts{})
	c := g.dial()
	c.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n")
	c.send(string(largeBody(300_000)))
	_ = c.Close()
	if err := <-whole; err == nil {
		t.Error("the endpoint saw a whole body")
	}
	if rec := g.record(1); rec.cause != "DC" {
		t.Errorf("recorded as %+v", rec)
	}
	c = g.dial()
	c.send("POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n")
	go func() { _, _ = c.Write(largeBody(10_000_000)) }()
	c.want("POST", 413)
}

// An upload may take longer than a call, as long as it moves; then the endpoint
// has as long as for any call.
func TestUploadOutlastsTheDeadline(t *testing.T) {
	t.Parallel()
	const pieces, pause, deadline = 12, 100 * time.Millisecond, time.Second
	g := start(t, "defaults: { timeouts: { request: 1s } }\n"+backend(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/silent" {
			<-r.Context().Done()
		}
		fmt.Fprint(w, n)
	}), parts{})
	t.Run("uploads", func(t *testing.T) {
		for _, chunked := range []bool{false, true} {
			for path, want := range map[string]int{"/": 200, "/silent": 504} {
				t.Run(fmt.Sprintf("%s, chunked=%v", path, chunked), func(t *testing.T) {
					t.Parallel()
					c := g.dial()
					framing := fmt.Sprintf("Content-Length: %d", pieces*100_000)
					if chunked {
						framing = "Transfer-Encoding: chunked"
					}
					c.send("POST " + path + " HTTP/1.1\r\nHost: h\r\n" + framing + "\r\n\r\n")
					began := time.Now()
					for range pieces {
						time.Sleep(pause)
						if chunked {
							c.send("186a0\r\n" + string(largeBody(100_000)) + "\r\n")
						} else {
							c.send(string(largeBody(100_000)))
						}
					}
					if chunked {
						c.send("0\r\n\r\n")
					}
					c.want("POST", want)
					if took := time.Since(began); want == 504 && took < pieces*pause+deadline*3/4 {
						t.Errorf("gave up after %v", took)
					}
				})
			}
		}
	})
	c := g.dial() // one that stands still is no progress
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 700000\r\n\r\n123")
	c.want("POST", 504)
}

func TestSplicedBodyCutShort(t *testing.T) {
	doc, _ := pieces(t, 1<<20, true, largeBody(700_000))
	g := start(t, doc, parts{})
	c := g.dial()
	c.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
	if _, got, err := c.answer("GET"); err == nil {
		t.Fatalf("%d bytes of 1 MiB look whole", len(got))
	}
	if rec := g.record(1); rec.cause != "UC" {
		t.Errorf("recorded as %+v", rec)
	}
}

// A client that leaves in the middle of a large body, and one that reads slowly.
func TestSplicedBodyNobodyReads(t *testing.T) {
	doc, left := pieces(t, 64<<20, false, bytes.Repeat(largeBody(1<<20), 64))
	g := start(t, doc, parts{})
	before := descriptors(t, "")
	for range 3 {
		c := g.dial()
		c.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
		if _, err := io.CopyN(io.Discard, c.br, 300_000); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		select {
		case <-left:
		case <-time.After(10 * time.Second):
			t.Fatal("the endpoint was not left")
		}
	}
	for i := range 3 {
		if rec := g.record(i + 1); rec.cause != "DC" || rec.status != 499 {
			t.Errorf("recorded as %+v", rec)
		}
	}
	for began := time.Now(); descriptors(t, "") > before+2; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%d descriptors, %d before", descriptors(t, ""), before)
		}
	}
}

// descriptors counts what the process has open of a kind.
func descriptors(t *testing.T, kind string) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	n := 0
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, kind) {
			n++
		}
	}
	return n
}
