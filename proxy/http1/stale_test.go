package http1_test

import (
	"bufio"
	"io"
	"net"
	"testing"
)

// After a connection that turned out to be closed, a call goes to another
// endpoint, if there is one: whose process was killed may have left as many such
// connections as a call has tries.
func TestAnotherEndpointAfterAStaleConnection(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
	once := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) { // answers one call of each connection
		if _, err := head(br); err == nil {
			_, _ = io.WriteString(nc, answer+"it")
			_, _ = head(br)
		}
	})
	g := start(t, one(once, says(t, answer+"me")), parts{})
	c := g.dial()
	twice := 0
	for n := range 300 {
		c.send(get)
		who := c.want("GET", 200)
		if r := g.record(n + 1); r.tries > 1 {
			twice++
			if r.tries > 2 || who != "me" {
				t.Fatalf("call %d took %d tries, the last at %q", n, r.tries, who)
			}
		}
	}
	if twice == 0 {
		t.Error("no call met a connection that was closed")
	}
}
