package http1_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
)

// What is not strictly HTTP/1.1 is answered with the fault table's 4xx or 5xx
// on a connection that then closes, and the endpoint never sees it. The clauses
// are those of RFC 9112 if nothing else is said.
func TestMalformedRequests(t *testing.T) {
	var seen atomic.Int64
	g := start(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		echo(w, r)
	}), parts{prepare: func(cfg *config.Config) {
		limits := &cfg.Listeners[0].Limits
		limits.HeadBytes, limits.Fields, limits.TargetBytes, limits.BodyBytes = 2048, 10, 200, 100
	}})
	calls := 0
	f := func(name, request string, status int, slug string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			before := seen.Load()
			c := g.dial()
			c.send(request)
			r, body, err := c.answer("GET")
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			var problem struct{ Type, Cause string }
			if err := json.Unmarshal([]byte(body), &problem); err != nil {
				t.Fatalf("%v in %q", err, body)
			}
			if r.StatusCode != status || problem.Type != "urn:weir:problem:"+slug || problem.Cause != "DPE" {
				t.Errorf("%d %s, want %d %s", r.StatusCode, body, status, slug)
			}
			if r.Header.Get("Connection") != "close" && !r.Close {
				t.Error("the answer does not say that the connection closes")
			}
			c.wantClosed()
			if seen.Load() != before {
				t.Error("the endpoint saw it")
			}
			calls++
			if n := g.record(calls); n.status != status {
				t.Errorf("recorded %+v", n)
			}
		})
	}
	bad := func(name, request string) { t.Helper(); f(name, request, 400, "bad_request") }
	get := "GET / HTTP/1.1\r\nHost: h\r\n"
	post := "POST / HTTP/1.1\r\nHost: h\r\n"

	// Section 2.2: lines end with CRLF.
	bad("bare LF after the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n")
	bad("bare LF after a field", "GET / HTTP/1.1\r\nHost: h\n\r\n")
	bad("bare LF everywhere", "GET / HTTP/1.1\nHost: h\n\n")
	bad("bare LF at the end", get+"\n")
	bad("CR in a value", get+"A: b\rc\r\n\r\n")
	bad("CR CR LF", get+"A: b\r\r\n\r\n")
	bad("NUL in a value", get+"A: b\x00c\r\n\r\n")
	bad("DEL in a value", get+"A: b\x7fc\r\n\r\n")
	bad("control character in a long value", get+"A: 0123456789abcdef\x01\r\n\r\n")
	// Section 3: the request line.
	bad("no version", "GET /\r\nHost: h\r\n\r\n")
	bad("two spaces before the target", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("two spaces after the target", "GET /  HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("tab for a space", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("space before the method", " GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("space after the version", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n")
	bad("method that is no token", "G(T / HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("empty method", " / HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("HTTP in small letters", "GET / http/1.1\r\nHost: h\r\n\r\n")
	bad("version without a dot", "GET / HTTP/11\r\nHost: h\r\n\r\n")
	bad("version of two digits", "GET / HTTP/1.10\r\nHost: h\r\n\r\n")
	f("HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505, "http_version")
	f("HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505, "http_version")
	f("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version")
	bad("garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
	// Section 3.2: the target.
	bad("fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("no leading slash", "GET a HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("star without OPTIONS", "GET * HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("another scheme", "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("user information in the target", "GET http://u:p@h/ HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("no authority in the target", "GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("raw byte in the target", "GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("path above the root", "GET /../a HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("encoded path above the root", "GET /a/%2e%2E/%2e./b HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("backslash", "GET /a\\..\\b HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("encoded backslash", "GET /a%5c..%5Cb HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("encoded NUL", "GET /a%00 HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("broken encoding", "GET /a%2 HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("encoding that is none", "GET /a%zz HTTP/1.1\r\nHost: h\r\n\r\n")
	f("CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 501, "method")
	f("long target", "GET /"+strings.Repeat("a", 200)+" HTTP/1.1\r\nHost: h\r\n\r\n", 414, "target_too_long")
	// Section 3.2 and RFC 9110 section 7.2: Host.
	bad("no Host", "GET / HTTP/1.1\r\nA: b\r\n\r\n")
	bad("two Hosts", get+"Host: h\r\n\r\n")
	bad("empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n")
	bad("Host with a path", "GET / HTTP/1.1\r\nHost: h/a\r\n\r\n")
	bad("Host with a user", "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n")
	bad("list of Hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n")
	bad("Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
	bad("Host with a bad port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n")
	bad("Host with a long port", "GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n")
	bad("Host with half an address", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n")
	// Section 5: fields.
	bad("space before the colon", get+"A : b\r\n\r\n")
	bad("space in a name", get+"A B: c\r\n\r\n")
	bad("no colon", get+"A\r\n\r\n")
	bad("no name", get+": b\r\n\r\n")
	bad("folded field", get+"A: b\r\n c\r\n\r\n")
	bad("folded with a tab", get+"A: b\r\n\tc\r\n\r\n")
	bad("first field folded", "GET / HTTP/1.1\r\n Host: h\r\n\r\n")
	f("many fields", get+strings.Repeat("A: b\r\n", 10)+"\r\n", 431, "head_too_large")
	f("large head", get+"A: "+strings.Repeat("b", 2048)+"\r\n\r\n", 431, "head_too_large")
	f("large head without an end", get+"A: "+strings.Repeat("b", 4096), 431, "head_too_large")
	// Section 6: how long the body is.
	for _, value := range []string{"", "-1", "+3", "0x3", "3 3", "3,3", "3, 3", "3.0", "1e1", "9999999999999999999999", "3;a"} {
		bad("Content-Length "+value, post+"Content-Length: "+value+"\r\n\r\nabc")
	}
	bad("two Content-Lengths", post+"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc")
	bad("both lengths", post+"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	bad("both lengths, the other way", post+"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n")
	bad("chunked twice", post+"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n")
	bad("chunked twice in two fields", post+"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	bad("chunked before the last", post+"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n")
	bad("coding before chunked", post+"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
	bad("identity", post+"Transfer-Encoding: identity\r\n\r\n")
	bad("empty coding", post+"Transfer-Encoding:\r\n\r\n")
	bad("chunked in quotes", post+"Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n")
	bad("chunked with a vertical tab", post+"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n")
	f("another coding", post+"Transfer-Encoding: gzip\r\n\r\n", 501, "transfer_coding")
	f("almost chunked", post+"Transfer-Encoding: xchunked\r\n\r\n", 501, "transfer_coding")
	bad("coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	f("long body", post+"Content-Length: 101\r\n\r\n", 413, "body_too_large")
}

// A body that turns out to be malformed on the way: the endpoint may have seen
// the begin of it, and must not see an end.
func TestMalformedBodies(t *testing.T) {
	whole := make(chan string, 100)
	g := start(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		var all []byte
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			all = append(all, buf[:n]...)
			if err != nil {
				if err.Error() == "EOF" {
					whole <- string(all)
				}
				return
			}
		}
	}), parts{prepare: func(cfg *config.Config) { cfg.Listeners[0].Limits.BodyBytes = 100 }})
	f := func(name, body string, status int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			c := g.dial()
			c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
			c.want("POST", status)
			c.wantClosed()
			select {
			case got := <-whole:
				t.Errorf("the endpoint took %q for whole", got)
			default:
			}
		})
	}
	for _, size := range []string{"", "x", "0x3", "+3", "-3", " 3", "3 3", "1234567890abcdef"} {
		f("size "+size, size+"\r\nabc\r\n0\r\n\r\n", 400)
	}
	f("size ends with LF", "3\nabc\r\n0\r\n\r\n", 400)
	f("no CRLF behind the data", "3\r\nabcd\r\n0\r\n\r\n", 400)
	f("LF behind the data", "3\r\nabc\n0\r\n\r\n", 400)
	f("long extension", "3;"+strings.Repeat("a", 2000)+"\r\nabc\r\n0\r\n\r\n", 400)
	f("control character in an extension", "3;a\x01\r\nabc\r\n0\r\n\r\n", 400)
	f("trailer that is none", "3\r\nabc\r\n0\r\nabc\r\n\r\n", 400)
	f("long trailers", "0\r\n"+strings.Repeat("A: "+strings.Repeat("b", 100)+"\r\n", 20)+"\r\n", 400)
	f("long body", "50\r\n"+strings.Repeat("a", 80)+"\r\n50\r\n"+strings.Repeat("a", 80)+"\r\n0\r\n\r\n", 413)
}

func TestSlowHeads(t *testing.T) {
	g := start(t, backend(t, echo), parts{prepare: func(cfg *config.Config) {
		cfg.Listeners[0].Limits.HeadTimeout = 50 * time.Millisecond
	}})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHos")
	c.want("GET", 408)
	c.wantClosed()
	// One byte at a time, but in time, is a call like any other.
	g = start(t, backend(t, echo), parts{})
	c = g.dial()
	for _, b := range []byte("GET /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi") {
		c.send(string(b))
	}
	if got := c.want("GET", 200); got != `GET /slow "hi"` {
		t.Errorf("%q", got)
	}
}

func TestSlowBodies(t *testing.T) {
	g := start(t, backend(t, echo), parts{prepare: func(cfg *config.Config) {
		cfg.Listeners[0].Limits.BodyProgress = 50 * time.Millisecond
	}})
	c := g.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
	c.want("POST", 408)
	c.wantClosed()
}

// A call after a good one on the same connection is held to the same rules.
func TestMalformedBehindAGoodOne(t *testing.T) {
	g := start(t, backend(t, echo), parts{})
	c := g.dial()
	c.send("GET /good HTTP/1.1\r\nHost: h\r\n\r\nGET /bad HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\nGET /never HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := c.want("GET", 200); got != `GET /good ""` {
		t.Errorf("%q", got)
	}
	c.want("GET", 400)
	c.wantClosed()
	if r := g.record(2); r.status != 400 || r.function != "_other" {
		t.Errorf("recorded %+v", r)
	}
}
