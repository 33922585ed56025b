package http1_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// eachCut calls f with every length from 0 to n, several at once.
func eachCut(n int, f func(cut int)) {
	cuts := make(chan int)
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for cut := range cuts {
				f(cut)
			}
		})
	}
	for cut := range n + 1 {
		cuts <- cut
	}
	close(cuts)
	work.Wait()
}

// Requests as they are sent, one or more; #### is in every target, and says
// where the bytes were cut.
var cutRequests = [][]string{
	{"GET /####a HTTP/1.1\r\nHost: h\r\n\r\n"},
	{"HEAD /####a HTTP/1.0\r\n\r\n"},
	{"POST /####a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"},
	{"POST /####a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n"},
	{"PUT http://h/####a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "GET /####b HTTP/1.1\r\nHost: h\r\n\r\n"},
	{"POST /####a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "POST /####b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "\r\nGET /####c HTTP/1.1\r\nHost: h\r\n\r\n"},
}

// A request that is cut at any byte never arrives whole, whether its client
// closes both ways or one.
func TestRequestsCutAnywhere(t *testing.T) {
	t.Parallel()
	target := regexp.MustCompile(`/(\d{4})([abc])( "hello"| HTTP/1.0|$)`)
	for _, requests := range cutRequests {
		for _, half := range []bool{false, true} {
			rec := newRecorder(t)
			g := start(t, one(rec.addr), parts{})
			whole, ends := strings.Join(requests, ""), []int{}
			for i := range requests {
				ends = append(ends, len(strings.Join(requests[:i+1], "")))
			}
			eachCut(len(whole), func(cut int) {
				nc, err := net.Dial("tcp", g.addr)
				if err != nil {
					t.Error(err)
					return
				}
				defer nc.Close()
				_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
				_, _ = io.WriteString(nc, strings.ReplaceAll(whole, "####", fmt.Sprintf("%04d", cut))[:cut])
				switch {
				case cut == len(whole):
					br := bufio.NewReader(nc)
					for _, request := range requests {
						method, _, _ := strings.Cut(strings.TrimSpace(request), " ")
						if m, err := strictResponse(br, method); err != nil || m.start[1] != "200" {
							t.Errorf("the whole of %q is answered %v, %v", whole, m, err)
						}
					}
				case half:
					_ = nc.(*net.TCPConn).CloseWrite()
					_, _ = io.Copy(io.Discard, nc)
				}
			})
			for began := time.Now(); g.proxy.InFlight() > 0 && time.Since(began) < patience; {
				time.Sleep(time.Millisecond)
			}
			arrived := 0
			for _, call := range rec.seen() {
				m := target.FindStringSubmatch(call)
				if m == nil {
					t.Errorf("of %q arrived %s", whole, call)
					continue
				}
				cut, _ := strconv.Atoi(m[1])
				if cut < ends[m[2][0]-'a'] {
					t.Errorf("%q, cut at %d, arrived as %s", whole, cut, call)
				}
				arrived++
			}
			if arrived < 1 {
				t.Errorf("nothing of %q arrived", whole)
			}
		}
	}
}

var cutResponses = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n",
	"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 204 No Content\r\n\r\n",
}

// cutEndpoint answers with the first so many bytes as the path says, and ends
// the connection, by a reset if the path says that.
func cutEndpoint(t *testing.T, whole string) string {
	return rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, err := head(br)
		if err != nil {
			return
		}
		var cut int
		var how string
		_, _ = fmt.Sscanf(h, "GET /%04d/%s", &cut, &how)
		_, _ = io.WriteString(nc, whole[:cut])
		if how == "reset" {
			_ = nc.(*net.TCPConn).SetLinger(0)
		}
	})
}

// A response that is cut at any byte never looks whole to the client, of
// whatever version, whether the endpoint closes or resets.
func TestResponsesCutAnywhere(t *testing.T) {
	t.Parallel()
	for _, whole := range cutResponses {
		g := start(t, one(cutEndpoint(t, whole)), parts{})
		for _, version := range []string{"1.1", "1.0"} {
			for _, how := range []string{"close", "reset"} {
				eachCut(len(whole), func(cut int) {
					nc, err := net.Dial("tcp", g.addr)
					if err != nil {
						t.Error(err)
						return
					}
					defer nc.Close()
					_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
					fmt.Fprintf(nc, "GET /%04d/%s HTTP/%s\r\nHost: h\r\nConnection: close\r\n\r\n", cut, how, version)
					m, err := finalResponse(bufio.NewReader(nc))
					switch {
					case cut == len(whole) && how == "close":
						if err != nil || m.start[1][0] != '2' || len(m.body) != 5*strings.Count(whole, "200 OK") {
							t.Errorf("the whole of %q is %v, %v", whole, m, err)
						}
					case cut == len(whole): // a reset may overtake what was sent before it
					case err == nil && m.start[1] != "502":
						t.Errorf("%q, cut at %d by a %s, is a clean %s %q to HTTP/%s", whole, cut, how, m.start[1], m.body, version)
					case errors.As(err, new(errStrict)):
						t.Errorf("%q, cut at %d by a %s, is no HTTP to HTTP/%s: %v", whole, cut, how, version, err)
					}
				})
			}
		}
	}
}

// finalResponse reads past interim responses.
func finalResponse(br *bufio.Reader) (*wireMessage, error) {
	for {
		m, err := strictResponse(br, "GET")
		if err != nil || m.start[1][0] != '1' {
			return m, err
		}
	}
}

// One byte at a time, in both directions, is the same as all at once.
func TestByteByByte(t *testing.T) {
	dribble := func(w io.Writer, s string) {
		for i := range len(s) {
			if _, err := io.WriteString(w, s[i:i+1]); err != nil {
				return
			}
		}
	}
	for _, answer := range cutResponses {
		seen := make(chan string, 10)
		addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
			for {
				m, err := strictRequest(br, nil)
				if err != nil {
					return
				}
				seen <- m.start[0] + " " + m.body
				dribble(nc, answer)
			}
		})
		g := start(t, strings.Replace(one(addr), "endpoints:", "trailers: [x-sum], endpoints:", 1), parts{})
		for _, requests := range cutRequests[2:] {
			c := g.dial()
			go dribble(c, strings.ReplaceAll(strings.Join(requests, ""), "####", ""))
			for _, request := range requests {
				m, err := finalResponse(c.br)
				if err != nil || m.start[1][0] != '2' || m.body != "hello" && m.start[1] != "204" {
					t.Errorf("%q in bytes: %v, %v", request, m, err)
					break
				}
				want := "hello"
				if strings.Contains(request, "GET") {
					want = ""
				}
				if got := <-seen; !strings.HasSuffix(got, " "+want) {
					t.Errorf("%q arrived as %q", request, got)
				}
			}
		}
	}
}
