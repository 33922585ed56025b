package http1_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

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

	// One of each kind, and the limits; TestWire has all the ways to be malformed.
	bad("bare LF", "GET / HTTP/1.1\nHost: h\r\n\r\n")
	bad("fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("path above the root", "GET /../a HTTP/1.1\r\nHost: h\r\n\r\n")
	bad("two Hosts", get+"Host: h\r\n\r\n")
	bad("folded field", get+"A: b\r\n c\r\n\r\n")
	bad("control character in a long value", get+"A: 0123456789abcdef\x01\r\n\r\n")
	bad("both lengths", post+"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	bad("too many empty lines", strings.Repeat("\r\n", 5)+get+"\r\n")
	f("HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505, "http_version")
	f("CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 501, "method")
	f("another coding", post+"Transfer-Encoding: gzip\r\n\r\n", 501, "transfer_coding")
	f("long target", "GET /"+strings.Repeat("a", 200)+" HTTP/1.1\r\nHost: h\r\n\r\n", 414, "target_too_long")
	f("many fields", get+strings.Repeat("A: b\r\n", 10)+"\r\n", 431, "head_too_large")
	f("large head", get+"A: "+strings.Repeat("b", 2048)+"\r\n\r\n", 431, "head_too_large")
	f("large head without an end", get+"A: "+strings.Repeat("b", 4096), 431, "head_too_large")
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
