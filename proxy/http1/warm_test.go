package http1_test

import (
	"bytes"
	"net"
	"runtime"
	"testing"
)

// silentEndpoint answers every request head with a fixed response and
// allocates nothing while it does.
func silentEndpoint(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nContent-Length: 13\r\n\r\nhello, world\n")
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				buf, have := make([]byte, 8192), 0
				for {
					n, err := nc.Read(buf[have:])
					if err != nil {
						return
					}
					have += n
					if bytes.Contains(buf[:have], []byte("\r\n\r\n")) {
						have = 0
						if _, err := nc.Write(answer); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func TestWarmCallAllocs(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	g := start(t, one(silentEndpoint(t)), parts{})
	g.quiet = true
	for name, request := range map[string]string{
		"get":  "GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test/1\r\nAccept: */*\r\nX-Other: 1\r\n\r\n",
		"post": "POST /a HTTP/1.1\r\nHost: example.com\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
	} {
		c := g.dial()
		buf, send := make([]byte, 4096), []byte(request)
		call := func() {
			if _, err := c.Write(send); err != nil {
				t.Fatal(err)
			}
			for have := 0; !bytes.HasSuffix(buf[:have], []byte("world\n")); {
				n, err := c.Conn.Read(buf[have:])
				if err != nil {
					t.Fatal(err)
				}
				have += n
			}
		}
		for range 200 {
			call()
		}
		const n = 2000
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range n {
			call()
		}
		runtime.ReadMemStats(&after)
		// The client, the endpoint and whatever else runs in this process are
		// counted too: a call that allocates shows as 1 and more.
		if per := float64(after.Mallocs-before.Mallocs) / n; per > 0.2 {
			t.Errorf("%s: a warm call allocates %.2f times", name, per)
		}
	}
}
