package http1_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/config"
)

// A name that an endpoint may take for one of weir's, because CGI and its heirs
// write both alike, does not pass.
func TestNamesThatLookAlike(t *testing.T) {
	seen := make(chan string, 1)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, _ := head(br)
		seen <- h
		_, _ = io.WriteString(nc, ok)
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nX_Forwarded_For: 9.9.9.9\r\nx_forwarded-proto: https\r\nTransfer_Encoding: chunked\r\n" +
		"Content_Length: 3\r\nX_Request_ID: x\r\nmy_own: 1\r\nContent_Type: text/plain\r\n\r\n")
	c.want("GET", 200)
	up := <-seen
	for _, not := range []string{"X_F", "x_f", "Transfer_", "Content_L", "X_R"} {
		if strings.Contains(up, not) {
			t.Errorf("the endpoint got %s in %q", not, up)
		}
	}
	if !strings.Contains(up, "my_own: 1\r\n") {
		t.Errorf("an innocent name was lost: %q", up)
	}
}

// The authority of an absolute target is the host, RFC 9112 section 3.2.2.
func TestAuthorityOfTheTargetWins(t *testing.T) {
	seen := make(chan string, 1)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, _ := head(br)
		seen <- h
		_, _ = io.WriteString(nc, ok)
	})
	g := start(t, "functions: { f: { endpoints: ['"+addr+"'] } }\nroutes: [{ hosts: [real.example], path_prefix: /, function: f }]\n", parts{})
	c := g.dial()
	c.send("GET http://Real.Example:80/a?b HTTP/1.1\r\nHost: other\r\n\r\n")
	c.want("GET", 200)
	up := <-seen
	if !strings.HasPrefix(up, "GET /a?b HTTP/1.1\r\nHost: Real.Example:80\r\n") || strings.Contains(up, "other") {
		t.Errorf("%q", up)
	}
	c.send("GET http://other/a HTTP/1.1\r\nHost: real.example\r\n\r\n")
	c.want("GET", 404)
}

func TestFieldsOnTheWay(t *testing.T) {
	seen := make(chan string, 1)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			seen <- h
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Own: 2\r\nX-Request-Id: theirs\r\nContent-Length: 0\r\n\r\n")
		}
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	c.send("GET /p HTTP/1.1\r\nHost: Example.COM:81\r\nConnection: keep-alive, X-Hop, Host, X-Forwarded-For\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n" +
		"Proxy-Connection: x\r\nTE: trailers\r\nUpgrade: h2c\r\nX-Forwarded-For: 9.9.9.9\r\nX-Request-Id: mine\r\nForwarded: for=x\r\n" +
		"x-Own:   kept  as it is \r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nVia: 1.1 other\r\n\r\n")
	r, _, err := c.answer("GET")
	if err != nil {
		t.Fatal(err)
	}
	up := <-seen
	for _, want := range []string{
		"GET /p HTTP/1.1\r\nHost: Example.COM:81\r\n", "\r\nx-Own: kept  as it is\r\n", "\r\nX-Forwarded-For: 127.0.0.1\r\n",
		"\r\nX-Forwarded-Proto: http\r\n", "\r\nX-Forwarded-Host: Example.COM:81\r\n", "\r\nVia: 1.1 other\r\n", "\r\nVia: 1.1 weir\r\n",
		"\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n", "\r\nX-Request-Id: " + r.Header.Get("X-Request-Id") + "\r\n",
	} {
		if !strings.Contains(up, want) {
			t.Errorf("the endpoint did not get %q in %q", want, up)
		}
	}
	for _, not := range []string{"X-Hop", "Keep-Alive", "Proxy-Connection", "TE:", "Upgrade", "9.9.9.9", "mine", "Forwarded: for", "Connection:"} {
		if strings.Contains(up, not) {
			t.Errorf("the endpoint got %s in %q", not, up)
		}
	}
	if h := r.Header; h.Get("X-Hop") != "" || h.Get("Keep-Alive") != "" || h.Get("X-Own") != "2" || h.Get("Via") != "1.1 weir" ||
		len(h.Get("X-Request-Id")) != 36 || h.Get("Date") == "" {
		t.Errorf("the client got %v", h)
	}
}

func TestTrustedProxyIsBelieved(t *testing.T) {
	seen := make(chan string, 1)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, _ := head(br)
		seen <- h
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	g := start(t, one(addr), parts{prepare: trustLoopback})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 8.8.8.8\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine.1\r\nForwarded: for=x\r\n\r\n")
	c.want("GET", 200)
	up := <-seen
	for _, want := range []string{"X-Forwarded-For: 9.9.9.9, 8.8.8.8, 127.0.0.1\r\n", "X-Forwarded-Proto: https\r\n", "X-Request-Id: mine.1\r\n"} {
		if !strings.Contains(up, want) {
			t.Errorf("the endpoint did not get %q in %q", want, up)
		}
	}
	if strings.Contains(up, "\nForwarded:") {
		t.Errorf("the endpoint got Forwarded, of which weir's hop is no part: %q", up)
	}
}

// Forwarded is off, or ends with weir's own element.
func TestForwarded(t *testing.T) {
	f := func(name, setting string, trusted bool, said, want string) {
		t.Run(name, func(t *testing.T) {
			g := start(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, strings.Join(r.Header.Values("Forwarded"), "|"))
			}), parts{prepare: func(cfg *config.Config) {
				cfg.Listeners[0].Forwarded = setting
				if trusted {
					trustLoopback(cfg)
				}
			}})
			c := g.dial()
			for range 2 {
				c.send("GET / HTTP/1.1\r\nHost: h:80\r\n" + said + "\r\n")
				if got := c.want("GET", 200); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
		})
	}
	const own = `for=127.0.0.1;host="h:80";proto=http`
	f("off", "off", false, "Forwarded: for=x\r\n", "")
	f("off, trusted", "off", true, "Forwarded: for=x\r\n", "")
	f("append", "append", false, "", own)
	f("append, a stranger", "append", false, "Forwarded: for=x\r\n", own)
	f("append, trusted", "append", true, "Forwarded: for=x\r\nX-Forwarded-For: 9.9.9.9\r\nForwarded: for=y;proto=https\r\n", "for=x, for=y;proto=https, "+own)
	f("append, trusted with a list that does not end", "append", true, "Forwarded: for=\"x\r\n", own)
}

func TestLoopIsFoundOut(t *testing.T) {
	g := start(t, one(says(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")), parts{})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nVia: " + strings.Repeat("1.1 weir, ", 8) + "1.0 x\r\n\r\n")
	c.want("GET", 200)
	c.send("GET / HTTP/1.1\r\nHost: h\r\nVia: " + strings.Repeat("1.1 weir, ", 8) + "1.1 weir\r\n\r\n")
	c.want("GET", 508)
}

func TestRequestIDsOnTheWay(t *testing.T) {
	ours := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := make(chan string, 1)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			_, id, _ := strings.Cut(h, "\r\nX-Request-Id: ")
			id, _, _ = strings.Cut(id, "\r\n")
			seen <- id
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	f := func(prepare func(*config.Config), said string, kept bool) {
		t.Helper()
		g := start(t, one(addr), parts{prepare: prepare})
		c := g.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: " + said + "\r\n\r\n")
		r, _, err := c.answer("GET")
		if err != nil {
			t.Fatal(err)
		}
		id, answered := <-seen, r.Header.Get("X-Request-Id")
		if id != answered || kept != (id == said) || !kept && !ours.MatchString(id) {
			t.Errorf("said %q, the endpoint got %q and the client %q", said, id, answered)
		}
	}
	f(nil, "mine", false)
	f(trustLoopback, "mine", true)
	f(trustLoopback, "not mine", false)
	f(trustLoopback, "", false)
	f(trustLoopback, strings.Repeat("a", 128), true)
	f(trustLoopback, strings.Repeat("a", 129), false)
}
