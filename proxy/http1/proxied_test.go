package http1_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
)

// echoClient answers with what the endpoint is told of the client.
func echoClient(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-For")+" "+r.Header.Get("X-Forwarded-Port")+" "+string(body))
}

const (
	proxyV1    = "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n"
	proxyV2    = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x11\xc0\x00\x02\x01\xc6\x33\x64\x01\x12\x34\x01\xbb\x04\x00\x02ab"
	proxyLocal = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
)

func proxied(prepare func(l *config.Listener)) parts {
	return listener(func(l *config.Listener) {
		l.ProxyProtocol.From = prefixes("127.0.0.1/32")
		prepare(l)
	})
}

// The header says who the client of every call on the connection is, whole or in
// pieces, and no byte behind it is lost.
func TestProxyHeaders(t *testing.T) {
	g := start(t, backend(t, echoClient), proxied(nothing))
	calls := 0
	f := func(name, header, client, told string) {
		t.Run(name, func(t *testing.T) {
			const post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
			for _, pieces := range [][]string{
				{header + post + post},
				{header, post, post},
				{header[:1], header[1:5], header[5:] + post[:3], post[3:], post},
				strings.Split(header+post+post, ""),
			} {
				c := g.dialFrom("127.0.0.1")
				for _, piece := range pieces {
					c.send(piece)
				}
				for range 2 {
					if body := c.want("POST", 200); body != told+" hello" {
						t.Errorf("the endpoint is told %q", body)
					}
					calls++
					if r := g.record(calls); r.client != client {
						t.Errorf("client %q, want %q", r.client, client)
					}
				}
			}
		})
	}
	port := g.addr[strings.LastIndexByte(g.addr, ':')+1:]
	f("v1", proxyV1, "192.0.2.1", "192.0.2.1 443")
	f("v2", proxyV2, "192.0.2.1", "192.0.2.1 443")
	f("local", proxyLocal, "127.0.0.1", "127.0.0.1 "+port)
	f("unknown", "PROXY UNKNOWN\r\n", "127.0.0.1", "127.0.0.1 "+port)

	t.Run("at rest in between", func(t *testing.T) {
		c := g.dialFrom("127.0.0.1")
		atRest(t)
		c.send(proxyV1)
		atRest(t)
		c.send(get)
		if body := c.want("GET", 200); body != "192.0.2.1 443 " {
			t.Errorf("the endpoint is told %q", body)
		}
	})
}

func TestProxyHeadersThatAreNone(t *testing.T) {
	t.Parallel()
	g := start(t, backend(t, echoClient), proxied(func(l *config.Listener) { l.Limits.HeadTimeout = 300 * time.Millisecond }))
	turned := 0
	closed := func(sent string) {
		t.Helper()
		c := g.dialFrom("127.0.0.1")
		c.send(sent)
		if b, err := c.br.ReadByte(); err == nil || isTimeout(err) {
			t.Errorf("%q: answered %q, %v", sent, b, err)
		}
		turned++
		eventually(t, "it is counted", func() bool { return g.server.Refused()["proxy_header"] == turned })
	}
	closed(get)
	closed("PROXY TCP4 1.2.3.4\r\n" + get)
	closed("\r\n\r\n" + get)
	closed("PROXY TCP4 192.0.2.1") // and then nothing
	closed(proxyV2[:14])
	closed(strings.Replace(proxyV2, "\x00\x11\xc0", "\xff\xff\xc0", 1))
	c := g.dialFrom("127.0.0.1") // a half one, then the end
	c.send("PROXY ")
	_ = c.Close()
	turned++
	eventually(t, "it is counted", func() bool { return g.server.Refused()["proxy_header"] == turned })

	// From anybody else it is a malformed request.
	for _, header := range []string{proxyV1, proxyV2, proxyLocal} {
		c := g.dialFrom("127.0.0.2")
		c.send(header + get)
		c.want("GET", 400)
		c.wantClosed()
	}
	c = g.dialFrom("127.0.0.2")
	c.send(get)
	c.want("GET", 200)
	// One header is all that a connection may have.
	c = g.dialFrom("127.0.0.1")
	c.send(proxyV1 + proxyV1 + get)
	c.want("GET", 400)
}

func TestOptionalProxyHeaders(t *testing.T) {
	g := start(t, backend(t, echoClient), proxied(func(l *config.Listener) { l.ProxyProtocol.Header = "optional" }))
	port := g.addr[strings.LastIndexByte(g.addr, ':')+1:]
	for sent, want := range map[string]string{
		get:                                      "127.0.0.1 " + port + " ",
		"\r\n" + get:                             "127.0.0.1 " + port + " ",
		"PROPFIND / HTTP/1.1\r\nHost: h\r\n\r\n": "127.0.0.1 " + port + " ",
		proxyV1 + get:                            "192.0.2.1 443 ",
		proxyV2 + get:                            "192.0.2.1 443 ",
	} {
		for _, pieces := range [][]string{{sent}, strings.Split(sent, "")} {
			c := g.dialFrom("127.0.0.1")
			for _, piece := range pieces {
				c.send(piece)
			}
			if body := c.want("GET", 200); body != want {
				t.Errorf("%q: %q", sent, body)
			}
		}
	}
}

// Rules and limits are about the client in the header.
func TestAccessOfClientsInProxyHeaders(t *testing.T) {
	g := start(t, backend(t, echoClient), proxied(func(l *config.Listener) {
		l.Access.Deny = prefixes("192.0.2.66/32")
		l.Access.Allow = prefixes("192.0.2.0/24", "198.51.100.0/24")
		l.TrustedProxies = prefixes("192.0.2.9/32")
		l.Limits.ConnectionsPerClient = 1
	}))
	call := func(from, fields string) *client {
		c := g.dialFrom("127.0.0.1")
		c.send("PROXY TCP4 " + from + " 198.51.100.1 4711 443\r\nGET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n")
		return c
	}
	first := call("192.0.2.1", "")
	first.want("GET", 200)
	if b, err := call("192.0.2.1", "").br.ReadByte(); err == nil || isTimeout(err) {
		t.Errorf("a second one was let in: %q %v", b, err)
	}
	if n := g.server.Refused()["connections_per_client"]; n != 1 {
		t.Errorf("%d refused, want 1", n)
	}
	_ = first.Close()
	eventually(t, "it has left", func() bool { return g.server.Open() == 0 })
	call("192.0.2.1", "").want("GET", 200)
	call("192.0.2.66", "").want("GET", 403)
	call("203.0.113.1", "").want("GET", 403)
	call("192.0.2.1:", "").wantClosed()
	// A proxy behind the proxy: X-Forwarded-For goes on from there.
	call("192.0.2.9", "X-Forwarded-For: 198.51.100.7\r\n").want("GET", 200)
	call("192.0.2.9", "X-Forwarded-For: 192.0.2.66\r\n").want("GET", 403)
}
