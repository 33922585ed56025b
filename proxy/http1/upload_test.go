package http1_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// The client has its answer although the endpoint does not want its body.
func TestAnswerBeforeTheBody(t *testing.T) {
	for _, framing := range []string{"Content-Length: 1000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nf4240\r\n"} {
		for _, after := range []int{0, 10, 100_000} {
			ended := make(chan error, 1)
			addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
				_, _ = head(br)
				_, _ = io.CopyN(io.Discard, br, int64(after))
				_, _ = io.WriteString(nc, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
				_, err := io.Copy(io.Discard, br) // a clean end is the end of the connection, too
				ended <- err
			})
			g := start(t, one(addr), parts{})
			c := g.dial()
			c.send("POST / HTTP/1.1\r\nHost: h\r\n" + framing + strings.Repeat("a", max(after, 1)+100))
			if got := c.want("POST", 403); got != "no" {
				t.Errorf("%q", got)
			}
			c.wantClosed()
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Error("the endpoint's connection is still open")
			}
		}
	}
}

// A request that is cut at any byte, in any way, after the endpoint has seen
// what there was of it, never looks whole to the endpoint.
func TestTruncatedUploads(t *testing.T) {
	const end = "\r\n\r\n"
	for _, whole := range []string{
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
	} {
		heads, bodies := make(chan struct{}, 1), make(chan string, 1)
		addr := rawEndpoint(t, func(_ net.Conn, br *bufio.Reader) {
			if _, err := head(br); err != nil {
				return
			}
			heads <- struct{}{}
			body, _ := io.ReadAll(br)
			bodies <- string(body)
		})
		g := start(t, one(addr), parts{})
		for cut := strings.Index(whole, end) + len(end); cut < len(whole); cut++ {
			for _, bluntly := range []bool{false, true} {
				c := g.dial()
				c.send(whole[:cut])
				<-heads
				if bluntly {
					_ = c.Conn.(*net.TCPConn).SetLinger(0)
				}
				_ = c.Close()
				if body := <-bodies; body == "hello" || strings.HasSuffix(body, "0\r\n\r\n") {
					t.Errorf("cut at %d of %q, bluntly %v: the endpoint got %q", cut, whole, bluntly, body)
				}
			}
		}
	}
}
