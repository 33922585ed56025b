package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
)

// A call without a byte of body has nothing that could be lost: it is tried
// again like one without a body.
func TestEmptyBodyIsTriedAgain(t *testing.T) {
	dying := rawEndpoint(t, func(_ net.Conn, br *bufio.Reader) { _, _ = head(br) })
	for _, empty := range []string{"Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"} {
		g := start(t, one(dying, says(t, ok)), parts{})
		c := g.dial()
		for range 10 {
			c.send("PUT / HTTP/1.1\r\nHost: h\r\n" + empty)
			c.want("PUT", 200)
		}
	}
}

// A breaker is an endpoint that breaks its first connections, at some point of
// their exchange, and echoes what comes on the others. It has two addresses, so
// that there is somewhere else to go.
type breaker struct {
	point   string // where it breaks
	bluntly bool   // with a reset
	answers int64  // how many calls it answers on a connection before
	breaks  int64  // how many connections it breaks

	broken, heads, whole atomic.Int64
}

func (b *breaker) addrs(t *testing.T) []string {
	return []string{rawEndpoint(t, b.serve), rawEndpoint(t, b.serve)}
}

func (b *breaker) serve(nc net.Conn, br *bufio.Reader) {
	for n := int64(0); ; n++ {
		breaks := n == b.answers && b.broken.Load() < b.breaks
		breakIf := func(point string) bool {
			if !breaks || point != b.point {
				return false
			}
			b.broken.Add(1)
			if b.bluntly {
				_ = nc.(*net.TCPConn).SetLinger(0)
			}
			return true
		}
		if breakIf("before reading") {
			return
		}
		h, err := head(br)
		if err != nil {
			return
		}
		b.heads.Add(1)
		if breakIf("after the head") {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(h)))
		if err != nil {
			return
		}
		if r.Header.Get("Expect") != "" {
			_, _ = io.WriteString(nc, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		from := io.LimitReader(br, r.ContentLength)
		if len(r.TransferEncoding) > 0 {
			from = httputil.NewChunkedReader(br)
		}
		var body strings.Builder
		if _, err := io.CopyN(&body, from, 2); err == nil {
			if breakIf("in the body") {
				return
			}
			_, err = io.Copy(&body, from)
			if err == nil && len(r.TransferEncoding) > 0 {
				_, err = br.Discard(2) // the empty line behind the last chunk
			}
			if err != nil {
				return
			}
		}
		b.whole.Add(1)
		if breakIf("after all") {
			return
		}
		fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", body.Len(), body.String())
	}
}

// A call whose endpoint breaks is made again if that is safe, with all of its
// body, and otherwise never: what is not idempotent is not sent twice.
func TestAgain(t *testing.T) {
	t.Parallel()
	const small, medium, large = 5, 20_000, 1 << 20
	f := func(method, fields string, size int, chunked, apart bool, b *breaker, wantAgain bool) {
		name := fmt.Sprintf("%s %s %d chunked=%v apart=%v, %s bluntly=%v", method, strings.TrimSpace(fields), size, chunked, apart, b.point, b.bluntly)
		t.Run(name, func(t *testing.T) {
			b.breaks = 1
			g := start(t, one(b.addrs(t)...), parts{})
			c := g.dial()
			body := strings.Repeat("0123456789", size/10+1)[:size]
			head := method + " / HTTP/1.1\r\nHost: h\r\n" + fields
			rest := body
			if chunked {
				head += "Transfer-Encoding: chunked\r\n\r\n"
				half := size / 2
				rest = fmt.Sprintf("%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", half, body[:half], size-half, body[half:])
			} else {
				head += fmt.Sprintf("Content-Length: %d\r\n\r\n", size)
			}
			if apart {
				c.send(head)
				time.Sleep(5 * time.Millisecond)
				c.send(rest[:1])
				time.Sleep(5 * time.Millisecond)
				rest = rest[1:]
				head = ""
			}
			go func() { _, _ = io.WriteString(c, head+rest) }()
			r, got, err := c.answer(method)
			for err == nil && r.StatusCode == 100 {
				r, got, err = c.answer(method)
			}
			if err != nil {
				t.Fatal(err)
			}
			record := g.record(1)
			switch {
			case r.StatusCode == 200 && (got != body || record.tries != 2 || record.in != int64(size)):
				t.Errorf("%d bytes of %d came back, recorded %+v", len(got), size, record)
			case r.StatusCode == 502 && record.cause != "UC":
				t.Errorf("recorded %+v", record)
			case size == large && r.StatusCode == 502: // more of it was read than is kept
			case b.point == "before reading" && r.StatusCode == 200: // it was closed before anything was sent
			case wantAgain != (r.StatusCode == 200):
				t.Errorf("status %d, sent again want %v; recorded %+v", r.StatusCode, wantAgain, record)
			}
			if n := b.heads.Load(); !wantAgain && n > 1 {
				t.Errorf("sent again: %d heads, %d whole, %d tries", n, b.whole.Load(), record.tries)
			}
		})
	}
	for _, bluntly := range []bool{false, true} {
		for _, point := range []string{"before reading", "after the head", "in the body", "after all"} {
			at := func() *breaker { return &breaker{point: point, bluntly: bluntly} }
			for _, chunked := range []bool{false, true} {
				for _, apart := range []bool{false, true} {
					f("POST", "", small, chunked, apart, at(), false)
					f("PATCH", "", medium, chunked, apart, at(), false)
					f("PUT", "", small, chunked, apart, at(), true)
					f("PUT", "", medium, chunked, apart, at(), true)
					f("POST", "Idempotency-Key: k\r\n", small, chunked, apart, at(), true)
				}
				f("PUT", "", large, chunked, false, at(), true)
				f("PUT", "Expect: 100-continue\r\n", small, chunked, true, at(), true)
				f("POST", "Expect: 100-continue\r\n", small, chunked, true, at(), false)
			}
		}
	}
}

// A kept connection that the endpoint has closed is no news, whatever the call:
// nothing was sent on it. And a kept connection that breaks under a call is the
// same as a new one.
func TestAgainOnKeptConnections(t *testing.T) {
	for _, method := range []string{"POST", "PUT"} {
		for _, point := range []string{"before reading", "after the head", "in the body", "after all"} {
			b := &breaker{point: point, answers: 1, breaks: 1}
			g := start(t, one(rawEndpoint(t, b.serve)), parts{})
			c := g.dial()
			request := method + " / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
			c.send(request)
			c.want(method, 200)
			for began := time.Now(); point == "before reading" && b.broken.Load() == 0; time.Sleep(time.Millisecond) {
				if time.Since(began) > 5*time.Second {
					t.Fatal("it does not close")
				}
			}
			time.Sleep(5 * time.Millisecond) // the end has come
			c.send(request)
			r, body, err := c.answer(method)
			if err != nil {
				t.Fatal(err)
			}
			want := 200
			if method == "POST" && point != "before reading" {
				want = 502
			}
			if r.StatusCode != want || want == 200 && body != "hello" {
				t.Errorf("%s, broken %s: %d %q, want %d", method, point, r.StatusCode, body, want)
			}
			if n := b.whole.Load(); want == 502 && n > 2 || method == "POST" && point == "after all" && n != 2 {
				t.Errorf("%s, broken %s: it came %d times", method, point, n)
			}
			if g.endpoint(0).Outlier.Ejected(moment.Now()) {
				t.Errorf("%s, broken %s: the endpoint pays for a connection that it had kept", method, point)
			}
		}
	}
}
