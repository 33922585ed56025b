package http1_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/internal/testkit"
	"github.com/weir-gateway/weir/proxy/table"
)

// tlsEndpoint is rawEndpoint over TLS. f gets the TLS connection, after the
// handshake.
func tlsEndpoint(t testing.TB, cfg *tls.Config, f func(nc *tls.Conn, br *bufio.Reader)) string {
	t.Helper()
	return rawEndpoint(t, func(nc net.Conn, _ *bufio.Reader) {
		secure := tls.Server(nc, cfg)
		if secure.Handshake() == nil {
			f(secure, bufio.NewReader(secure))
		}
	})
}

// overTLS is a document with one function on an address that speaks TLS.
func overTLS(addr, block string) string {
	return fmt.Sprintf("functions: { f: { endpoints: ['https://%s'], tls: { %s } } }\nroutes: [{ path_prefix: /, function: f }]\n", addr, block)
}

func answering(nc *tls.Conn, br *bufio.Reader) {
	for {
		if _, err := head(br); err != nil {
			return
		}
		if _, err := io.WriteString(nc, ok); err != nil {
			return
		}
	}
}

func TestTLS(t *testing.T) {
	us, them := testkit.NewAuthority(t), testkit.NewAuthority(t)
	_, ownCert, ownKey := us.Sign("weir", time.Hour)
	_, strangeCert, strangeKey := them.Sign("weir", time.Hour)
	named := func(host string, life time.Duration) *tls.Config {
		cert, _, _ := us.Sign(host, life)
		return &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	with := func(cfg *tls.Config, change func(*tls.Config)) *tls.Config {
		change(cfg)
		return cfg
	}
	wantsCert := func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, us.Pool() }
	old := func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }

	f := func(name string, cfg *tls.Config, block, wantError string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			var sent atomic.Int64
			var version, alpn atomic.Value
			addr := tlsEndpoint(t, cfg, func(nc *tls.Conn, br *bufio.Reader) {
				version.Store(nc.ConnectionState().Version)
				alpn.Store(nc.ConnectionState().NegotiatedProtocol)
				for {
					if _, err := head(br); err != nil {
						return
					}
					sent.Add(1)
					_, _ = io.WriteString(nc, ok)
				}
			})
			g := start(t, overTLS(addr, block), parts{})
			c := g.dial()
			c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
			r, body, err := c.answer("POST")
			if err != nil {
				t.Fatal(err)
			}
			if wantError == "" {
				if r.StatusCode != 200 || body != "ok" {
					t.Errorf("%d %q: %v", r.StatusCode, body, g.record(1).err)
				}
				return
			}
			if got := r.Header.Get("Proxy-Status"); r.StatusCode != 502 || got != "weir; error="+wantError || !strings.Contains(body, "connect_failed") {
				t.Errorf("%d, Proxy-Status %q, want %s: %v", r.StatusCode, got, wantError, g.record(1).err)
			}
			if n := sent.Load(); n != 0 {
				t.Errorf("the endpoint got %d requests", n)
			}
			if r := g.record(1); r.cause != "UF" || r.tries != 1 {
				t.Errorf("recorded %+v", r)
			}
			if !g.endpoint(0).Outlier.Ejected(moment.Now()) {
				t.Error("the endpoint keeps its good name")
			}
		})
	}
	ca := "ca_file: " + us.File
	const certificate, protocol = "tls_certificate_error", "tls_protocol_error"
	f("good", us.Server("127.0.0.1"), ca, "")
	f("TLS 1.2", with(us.Server("127.0.0.1"), old), ca, "")
	f("by another name", named("api.internal", time.Hour), ca+", server_name: api.internal", "")
	f("wrong name", named("api.internal", time.Hour), ca, certificate)
	f("another wrong name", us.Server("127.0.0.1"), ca+", server_name: api.internal", certificate)
	f("unknown authority", them.Server("127.0.0.1"), ca, certificate)
	f("the system's authorities", us.Server("127.0.0.1"), "", certificate)
	f("not looked at", them.Server("127.0.0.1"), "insecure_skip_verify: true", "")
	f("expired", named("127.0.0.1", -time.Minute), ca, certificate)
	f("own certificate", with(us.Server("127.0.0.1"), wantsCert), ca+", cert_file: "+ownCert+", key_file: "+ownKey, "")
	f("own certificate, 1.2", with(with(us.Server("127.0.0.1"), wantsCert), old), ca+", cert_file: "+ownCert+", key_file: "+ownKey, "")
	f("no own certificate", with(us.Server("127.0.0.1"), wantsCert), ca, protocol)
	f("no own certificate, 1.2", with(with(us.Server("127.0.0.1"), wantsCert), old), ca, protocol)
	f("own certificate, of strangers", with(us.Server("127.0.0.1"), wantsCert), ca+", cert_file: "+strangeCert+", key_file: "+strangeKey, protocol)
	f("TLS 1.1", with(us.Server("127.0.0.1"), func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), ca, protocol)
	f("TLS 1.0", with(us.Server("127.0.0.1"), func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }), ca, protocol)
	f("1.3 at least", with(us.Server("127.0.0.1"), old), ca+`, min_version: "1.3"`, protocol)
	f("HTTP/1.1 by ALPN", with(us.Server("127.0.0.1"), func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }), ca, "")
	f("another protocol only", with(us.Server("127.0.0.1"), func(c *tls.Config) { c.NextProtos = []string{"h3"} }), ca, protocol)
}

func TestTLSToWhatIsNot(t *testing.T) {
	t.Parallel()
	us := testkit.NewAuthority(t)
	g := start(t, overTLS(says(t, ok), "ca_file: "+us.File), parts{})
	c := g.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
	c.want("POST", 502)
	if r := g.record(1); r.cause != "UF" {
		t.Errorf("recorded %+v", r)
	}

	// One that accepts and says nothing.
	silent := rawEndpoint(t, func(nc net.Conn, _ *bufio.Reader) { _, _ = io.Copy(io.Discard, nc) })
	doc := strings.Replace(overTLS(silent, "ca_file: "+us.File), "endpoints", "timeouts: { connect: 100ms }, endpoints", 1)
	g = start(t, doc, parts{})
	c = g.dial()
	c.send(get)
	r, _, err := c.answer("GET")
	if err != nil || r.StatusCode != 502 || r.Header.Get("Proxy-Status") != "weir; error=connection_timeout" {
		t.Errorf("%+v, %v", r, err)
	}
}

// What the endpoint is told: the name, and that the protocol is HTTP/1.1.
func TestTLSHello(t *testing.T) {
	us := testkit.NewAuthority(t)
	cert, _, _ := us.Sign("localhost", time.Hour)
	hellos := make(chan tls.ClientHelloInfo, 10)
	addr := tlsEndpoint(t, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		hellos <- tls.ClientHelloInfo{ServerName: h.ServerName, SupportedProtos: h.SupportedProtos}
		return &cert, nil
	}}, answering)
	_, port, _ := net.SplitHostPort(addr)
	g := start(t, overTLS("localhost:"+port, "ca_file: "+us.File), parts{})
	c := g.dial()
	c.send(get)
	c.want("GET", 200)
	if h := <-hellos; h.ServerName != "localhost" || len(h.SupportedProtos) != 1 || h.SupportedProtos[0] != "http/1.1" {
		t.Errorf("%q, %q", h.ServerName, h.SupportedProtos)
	}
}

// Connections are used again, and a new one resumes the session.
func TestTLSReuse(t *testing.T) {
	us := testkit.NewAuthority(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		var conns, resumed atomic.Int64
		closed := make(chan struct{})
		cfg := us.Server("127.0.0.1")
		cfg.MaxVersion = version
		addr := tlsEndpoint(t, cfg, func(nc *tls.Conn, br *bufio.Reader) {
			conns.Add(1)
			if nc.ConnectionState().DidResume {
				resumed.Add(1)
			}
			for {
				h, err := head(br)
				if err != nil {
					return
				}
				_, _ = io.WriteString(nc, ok)
				if strings.HasPrefix(h, "GET /last") {
					_ = nc.Close()
					close(closed)
					return
				}
			}
		})
		g := start(t, overTLS(addr, "ca_file: "+us.File), parts{})
		c := g.dial()
		for range 50 {
			c.send(get)
			c.want("GET", 200)
			c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
			c.want("POST", 200)
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("%x: %d connections", version, n)
		}
		c.send("GET /last HTTP/1.1\r\nHost: h\r\n\r\n")
		c.want("GET", 200)
		<-closed
		for range 10 { // a connection that the endpoint has closed is no news
			c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
			c.want("POST", 200)
		}
		if n, again := conns.Load(), resumed.Load(); n != 2 || again != 1 {
			t.Errorf("%x: %d connections, %d resumed", version, n, again)
		}
	}
}

// A connection that was probed, and has the server's tickets waiting on it, is
// as good as new.
func TestTLSProbe(t *testing.T) {
	us := testkit.NewAuthority(t)
	var conns atomic.Int64
	addr := tlsEndpoint(t, us.Server("127.0.0.1"), func(nc *tls.Conn, br *bufio.Reader) {
		conns.Add(1)
		answering(nc, br)
	})
	g := start(t, overTLS(addr, "ca_file: "+us.File), parts{})
	if err := g.endpoint(0).Conns.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	c := g.dial()
	c.send(get)
	c.want("GET", 200)
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if a := &g.keeper.Table().Functions["f"].Account; a.Opened() != 1 || a.Closed(table.Unsolicited) != 0 {
		t.Errorf("%d opened, %d closed as unsolicited", a.Opened(), a.Closed(table.Unsolicited))
	}
}

// The end of TLS that nobody announces is no end of a body: RFC 9112 section
// 9.8. One that is announced is.
func TestTLSTruncation(t *testing.T) {
	us := testkit.NewAuthority(t)
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		for _, announced := range []bool{true, false} {
			addr := tlsEndpoint(t, us.Server("127.0.0.1"), func(nc *tls.Conn, br *bufio.Reader) {
				_, _ = head(br)
				_, _ = io.WriteString(nc, answer)
				if announced {
					_ = nc.CloseWrite()
				} else {
					_ = nc.NetConn().(*net.TCPConn).CloseWrite()
				}
				_, _ = io.Copy(io.Discard, nc.NetConn())
			})
			g := start(t, overTLS(addr, "ca_file: "+us.File), parts{})
			c := g.dial()
			c.send(get)
			r, body, err := c.answer("GET")
			whole := err == nil && r.StatusCode == 200 && body == "hello"
			if want := announced && strings.HasSuffix(answer, "\r\n\r\nhello") && !strings.Contains(answer, "Length"); whole != want {
				t.Errorf("%q, announced %v: whole %v: %q, %v", answer, announced, whole, body, err)
			}
			if r := g.record(1); (r.cause == "") != whole {
				t.Errorf("%q, announced %v: recorded %+v", answer, announced, r)
			}
		}
	}
}

// Bytes behind an answer are noticed even where TLS has read them already.
func TestTLSExtraBytes(t *testing.T) {
	us := testkit.NewAuthority(t)
	var conns atomic.Int64
	addr := tlsEndpoint(t, us.Server("127.0.0.1"), func(nc *tls.Conn, br *bufio.Reader) {
		conns.Add(1)
		for {
			if _, err := head(br); err != nil {
				return
			}
			// One record: an answer that fills weir's buffer, and another one.
			long := "HTTP/1.1 200 OK\r\nContent-Length: 4055\r\n\r\n" + strings.Repeat("x", 4055)
			_, _ = io.WriteString(nc, long+"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		}
	})
	g := start(t, overTLS(addr, "ca_file: "+us.File), parts{})
	c := g.dial()
	for range 3 {
		c.send(get)
		if body := c.want("GET", 200); body != strings.Repeat("x", 4055) {
			t.Fatalf("%.20q", body)
		}
	}
	if n := conns.Load(); n != 3 {
		t.Errorf("%d connections for three calls", n)
	}
	if n := g.keeper.Table().Functions["f"].Account.Closed(table.ExtraBytes); n < 2 {
		t.Errorf("%d connections closed for extra bytes", n)
	}
}

// Large bodies in both directions at once.
func TestTLSLargeBodies(t *testing.T) {
	us := testkit.NewAuthority(t)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", us.Server("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := r.ContentLength; n > 0 {
			w.Header().Set("Content-Length", fmt.Sprint(n))
		}
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	})}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close() })
	g := start(t, overTLS(ln.Addr().String(), "ca_file: "+us.File), parts{})
	body := make([]byte, 8<<20)
	_, _ = rand.Read(body)
	for _, chunked := range []bool{false, true} {
		var from io.Reader = bytes.NewReader(body)
		if chunked {
			from = struct{ io.Reader }{from}
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		r, err := client.Post("http://"+g.addr+"/", "application/octet-stream", from)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("chunked %v: %d bytes of %d, %v", chunked, len(got), len(body), err)
		}
	}
}

// A tunnel through TLS, with its half-closes.
func TestTLSTunnel(t *testing.T) {
	us := testkit.NewAuthority(t)
	addr := tlsEndpoint(t, us.Server("127.0.0.1"), func(nc *tls.Conn, br *bufio.Reader) {
		_, _ = head(br)
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(nc, br) // until the other side has ended
		_, _ = io.WriteString(nc, "bye")
		_ = nc.CloseWrite()
	})
	g := start(t, overTLS(addr, "ca_file: "+us.File), parts{})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ")
	r, err := http.ReadResponse(c.br, nil)
	if err != nil || r.StatusCode != 101 {
		t.Fatal(r, err)
	}
	c.send("world ")
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(c.br); err != nil || string(got) != "hello world bye" {
		t.Errorf("%q, %v", got, err)
	}
}

// A client that leaves ends the try at once, though the endpoint does not read:
// nobody waits to say goodbye.
func TestTLSCancel(t *testing.T) {
	oneThread(t)
	us := testkit.NewAuthority(t)
	began, left, ended := make(chan struct{}), make(chan struct{}), make(chan int)
	addr := tlsEndpoint(t, us.Server("127.0.0.1"), func(nc *tls.Conn, br *bufio.Reader) {
		_, _ = head(br)
		began <- struct{}{}
		<-left
		ended <- awaitGone(nc.NetConn()) // takes nothing
	})
	g := start(t, overTLS(addr, "ca_file: "+us.File), parts{})
	c := g.dial()
	c.send(post(100000000))
	<-began
	untilItTakesNoMore(c)
	waysToLeave["RST"](c)
	left <- struct{}{}
	if spells := <-ended; spells > atOnce {
		t.Errorf("took %d spells of a millisecond", spells)
	}
	if r := g.record(1); r.status != 499 || r.cause != "DC" {
		t.Errorf("recorded %+v", r)
	}
}

// A change of the files takes effect: connections that were made under the old
// ones carry no further call.
func TestTLSReload(t *testing.T) {
	us, them := testkit.NewAuthority(t), testkit.NewAuthority(t)
	var conns atomic.Int64
	addr := tlsEndpoint(t, us.Server("127.0.0.1"), func(nc *tls.Conn, br *bufio.Reader) {
		conns.Add(1)
		answering(nc, br)
	})
	file := filepath.Join(t.TempDir(), "ca.pem")
	trust := func(a *testkit.Authority) {
		content, err := os.ReadFile(a.File)
		if err == nil {
			err = os.WriteFile(file, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	trust(us)
	doc := overTLS(addr, "ca_file: "+file)
	g := start(t, doc, parts{})
	c := g.dial()
	reload := func() {
		t.Helper()
		g.reload(doc)
		time.Sleep(10 * time.Millisecond) // settled
	}
	c.send(get)
	c.want("GET", 200)
	reload()
	c.send(get)
	c.want("GET", 200)
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections, though nothing has changed", n)
	}
	trust(them)
	reload()
	c.send(get)
	c.want("GET", 502)
	if r := g.record(3); r.cause != "UF" {
		t.Errorf("recorded %+v", r)
	}
	trust(us)
	reload()
	c.send(get)
	c.want("GET", 200)
}
