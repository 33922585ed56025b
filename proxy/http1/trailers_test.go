package http1_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// trailing is a function that lets two trailers pass.
func trailing(addr string) string {
	return strings.Replace(one(addr), "endpoints:", "trailers: [X-Sum, Grpc-Status], endpoints:", 1)
}

const chunkedPost = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"

func TestRequestTrailers(t *testing.T) {
	seen := make(chan string, 1)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			for line := ""; line != "0\r\n"; {
				if line, err = br.ReadString('\n'); err != nil {
					return
				}
			}
			trailers, err := head(br)
			if err != nil {
				return
			}
			announced := ""
			if _, after, ok := strings.Cut(h, "\r\nTrailer: "); ok {
				announced, _, _ = strings.Cut(after, "\r\n")
			}
			seen <- announced + "|" + trailers
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	with, without := start(t, trailing(addr), parts{}), start(t, one(addr), parts{})
	f := func(g *gateway, name, announce, trailers, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			for _, pieces := range []bool{false, true} {
				c := g.dial()
				c.send(chunkedPost + announce + "\r\n")
				if pieces { // the upload goes beside the answer
					c.send("3\r\nabc\r\n")
					g.inFlight(1)
					c.send("0\r\n" + trailers + "\r\n")
				} else {
					c.send("3\r\nabc\r\n0\r\n" + trailers + "\r\n")
				}
				if got := <-seen; got != want {
					t.Errorf("the endpoint got %q, want %q", got, want)
				}
				c.want("POST", 200)
			}
		})
	}
	f(with, "allowed", "", "x-sum: 1\r\nX-Other: 2\r\nGrpc-Status: 0\r\n", "|x-sum: 1\r\nGrpc-Status: 0\r\n\r\n")
	f(with, "announced", "Trailer: X-Sum\r\n", "X-Sum: 1\r\n", "X-Sum|X-Sum: 1\r\n\r\n")
	f(with, "announced with others", "Trailer: X-Sum, X-Other\r\n", "X-Sum: 1\r\n", "|X-Sum: 1\r\n\r\n")
	f(with, "none that passes", "", "Host: evil\r\nContent-Length: 5\r\nX-Request-Id: x\r\nTransfer_Encoding: chunked\r\n", "|\r\n")
	f(with, "none", "", "", "|\r\n")
	f(without, "not allowed", "Trailer: X-Sum\r\n", "X-Sum: 1\r\n", "|\r\n")
}

func TestResponseTrailers(t *testing.T) {
	addr := says(t, "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Length: 7\r\nX-Other: 2\r\n\r\n")
	f := func(name, doc, request string, want http.Header) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			g := start(t, doc, parts{})
			for range 2 {
				c := g.dial()
				c.send(request)
				r, body, err := c.answer("GET")
				if err != nil || body != "abc" || len(r.Trailer) != len(want) || r.Trailer.Get("X-Sum") != want.Get("X-Sum") {
					t.Errorf("%q with %v, %v; want %v", body, r.Trailer, err, want)
				}
			}
		})
	}
	takes := "GET / HTTP/1.1\r\nHost: h\r\nTE: gzip;q=0, Trailers\r\n\r\n"
	f("allowed", trailing(addr), takes, http.Header{"X-Sum": {"1"}})
	f("the client takes none", trailing(addr), get, nil)
	f("not allowed", one(addr), takes, nil)
	f("HTTP/1.0", trailing(addr), "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTE: trailers\r\n\r\n", nil)
}

// What the client says of trailers goes to an endpoint whose trailers pass.
func TestTEOnTheWay(t *testing.T) {
	seen := make(chan string, 1)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, _ := head(br)
		seen <- h
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	f := func(doc string, want bool) {
		t.Helper()
		c := start(t, doc, parts{}).dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
		c.want("GET", 200)
		if got := <-seen; strings.Contains(got, "TE: trailers\r\nConnection: TE\r\n") != want || strings.Count(got, "TE") > 2 {
			t.Errorf("the endpoint got %q", got)
		}
	}
	f(trailing(addr), true)
	f(one(addr), false)
}

func TestTrailersAreBounded(t *testing.T) {
	g := start(t, trailing(says(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")), parts{})
	c := g.dial()
	c.send(chunkedPost + "\r\n0\r\n" + strings.Repeat("A:\r\n", 33) + "\r\n")
	c.want("POST", 400)
	c.wantClosed()
}
