package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/proxy/table"
)

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// gone tells whether the peer of a connection has closed it, without taking
// anything of what it has sent.
func gone(nc net.Conn) (gone bool) {
	rc, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	err = rc.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		gone = err != nil || info.State != 1 // TCP_ESTABLISHED
	})
	return gone || err != nil
}

// How a client may leave.
var waysToLeave = map[string]func(c *client){
	"FIN": func(c *client) { _ = c.Close() },
	"RST": func(c *client) {
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	},
	// A client that has sent all it has to send and ends its side counts as gone:
	// few wait for an answer then, and those who left look the same.
	"half-close": func(c *client) { _ = c.Conn.(*net.TCPConn).CloseWrite() },
}

// Whenever the client leaves, however it does, the try ends: the endpoint's
// connection is closed, and nobody but the client has a part in it.
func TestClientLeaves(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	type moment struct {
		name, request string
		serve         func(nc net.Conn, at chan<- struct{}) // until weir can do nothing but wait
		client        func(c *client)                       // what else the client does before
		ways          []string
	}
	post := func(size int) string {
		return fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", size)
	}
	silent := func(_ net.Conn, at chan<- struct{}) { at <- struct{}{} }
	says := func(answer string) func(nc net.Conn, at chan<- struct{}) {
		return func(nc net.Conn, at chan<- struct{}) {
			_, _ = io.WriteString(nc, answer)
			at <- struct{}{}
		}
	}
	// The endpoint sends until neither weir nor the client takes more.
	floods := func(head string) func(nc net.Conn, at chan<- struct{}) {
		return func(nc net.Conn, at chan<- struct{}) {
			_, _ = io.WriteString(nc, head)
			piece := make([]byte, 64<<10)
			for {
				_ = nc.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
				if _, err := nc.Write(piece); err != nil {
					break
				}
			}
			at <- struct{}{}
		}
	}
	// The client sends until neither weir nor the endpoint takes more.
	fill := func(c *client) {
		piece := make([]byte, 64<<10)
		for {
			_ = c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
			if _, err := c.Write(piece); err != nil {
				break
			}
		}
	}
	all := []string{"FIN", "RST", "half-close"}
	for _, m := range []moment{
		{"the endpoint thinks", get, silent, nil, all},
		{"the endpoint thinks about a body", post(2) + "hi", silent, nil, all},
		{"the body flows", post(1<<20) + "hi", silent, nil, all},
		{"the body flows in chunks", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", silent, nil, all},
		{"nobody takes the body", post(1 << 30), silent, fill, []string{"RST"}}, // a FIN waits behind the bytes
		{"the endpoint pauses", get, says(chunked + "2\r\nhi\r\n"), nil, all},
		{"the endpoint pauses in a sized body", get, says("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhi"), nil, all},
		{"the endpoint pauses in a body to the close", get, says("HTTP/1.1 200 OK\r\n\r\nhi"), nil, all},
		{"the client does not read", get, floods("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"), nil, []string{"FIN", "RST"}},
		{"the client does not read to the close", get, floods("HTTP/1.1 200 OK\r\n\r\n"), nil, []string{"FIN", "RST"}},
		{"both flow", post(1<<20) + "hi", says(chunked + "2\r\nhi\r\n"), nil, all},
	} {
		for _, way := range m.ways {
			t.Run(m.name+", "+way, func(t *testing.T) {
				at, closed := make(chan struct{}, 1), make(chan time.Time, 1)
				addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
					_, _ = head(br)
					m.serve(nc, at)
					for !gone(nc) {
						time.Sleep(time.Millisecond)
					}
					closed <- time.Now()
				})
				g := start(t, one(addr), parts{})
				c := g.dial()
				c.send(m.request)
				<-at
				if m.client != nil {
					m.client(c)
				}
				left := time.Now()
				waysToLeave[way](c)
				select {
				case when := <-closed:
					t.Logf("after %v", when.Sub(left).Round(time.Millisecond))
				case <-time.After(5 * time.Second):
					t.Fatal("the endpoint's connection stays open")
				}
				if r := g.record(1); r.cause != "DC" || r.status != 499 || r.tries != 1 {
					t.Errorf("recorded %+v", r)
				}
				if g.endpoint(0).Outlier.Ejected(time.Now()) {
					t.Error("the endpoint pays for it")
				}
				a := &g.keeper.Table().Functions["f"].Account
				for began := time.Now(); a.Closed(table.Canceled) != 1; time.Sleep(time.Millisecond) {
					if time.Since(began) > time.Second {
						t.Fatalf("%d connections closed as canceled", a.Closed(table.Canceled))
					}
				}
			})
		}
	}
}

// A deadline ends a try in the same way.
func TestDeadlineEndsATry(t *testing.T) {
	for _, request := range []string{
		get,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
		"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
	} {
		closed := make(chan time.Time, 1)
		addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
			_, _ = head(br)
			for !gone(nc) {
				time.Sleep(time.Millisecond)
			}
			closed <- time.Now()
		})
		g := start(t, strings.Replace(one(addr), "endpoints", "timeouts: { request: 150ms }, endpoints", 1), parts{})
		c := g.dial()
		began := time.Now()
		c.send(request)
		if body := c.want("POST", 504); !strings.Contains(body, `"cause":"UT"`) {
			t.Error(body)
		}
		if took := (<-closed).Sub(began); took > 2*time.Second {
			t.Errorf("closed after %v", took)
		}
		if n := g.keeper.Table().Functions["f"].Account.Closed(table.Canceled); n != 1 {
			t.Errorf("%d connections closed as canceled", n)
		}
	}
}
