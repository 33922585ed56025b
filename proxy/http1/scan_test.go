package http1

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/proxy/message"
)

// parsed is a request head as weir has it; limits are generous.
func parsed(head string) (message.Request, error) {
	var r message.Request
	n, _, err := headEnd([]byte(head), 0)
	if err != nil {
		return r, err
	}
	if n != len(head) {
		return r, errors.New("no end of the head, or bytes behind it")
	}
	return r, parseRequest([]byte(head), &r, 1000, 100)
}

func TestParseRequest(t *testing.T) {
	f := func(head string, want message.Request) {
		t.Helper()
		got, err := parsed(head)
		if err != nil {
			t.Errorf("%q: %v", head, err)
			return
		}
		same := func(what string, got, want []byte) {
			t.Helper()
			if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
				t.Errorf("%q: %s %q, want %q", head, what, got, want)
			}
		}
		same("method", got.Method, want.Method)
		same("path", got.Path, want.Path)
		same("query", got.Query, want.Query)
		same("authority", got.Authority, want.Authority)
		same("host", got.Host, want.Host)
		if got.Framing != want.Framing || got.Length != want.Length || got.Minor != want.Minor ||
			got.Close != want.Close || got.Expect != want.Expect {
			t.Errorf("%q: %+v, want %+v", head, got, want)
		}
	}
	b := func(s string) []byte { return []byte(s) }
	f("GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		message.Request{Method: b("GET"), Path: b("/"), Authority: b("h"), Host: b("h"), Minor: 1})
	f("get /a HTTP/1.1\r\nHOST:h\r\n\r\n", // a method is case-sensitive, and any token
		message.Request{Method: b("get"), Path: b("/a"), Authority: b("h"), Host: b("h"), Minor: 1})
	f("G%T /? HTTP/1.1\r\nhost:\t h \t\r\n\r\n",
		message.Request{Method: b("G%T"), Path: b("/"), Query: b(""), Authority: b("h"), Host: b("h"), Minor: 1})
	f("GET /a?b?c=/../%zz HTTP/1.1\r\nHost: H.Example:8080\r\n\r\n", // a query is its owner's affair
		message.Request{Method: b("GET"), Path: b("/a"), Query: b("b?c=/../%zz"), Authority: b("H.Example:8080"), Host: b("h.example"), Minor: 1})
	f("GET //evil/x HTTP/1.1\r\nHost: h\r\n\r\n", // an origin form all the same
		message.Request{Method: b("GET"), Path: b("/evil/x"), Authority: b("h"), Host: b("h"), Minor: 1})
	f("GET http://X HTTP/1.1\r\nHost: h\r\n\r\n",
		message.Request{Method: b("GET"), Path: b("/"), Authority: b("X"), Host: b("x"), Minor: 1})
	f("GET HTTPS://x?a HTTP/1.1\r\nHost: h\r\n\r\n",
		message.Request{Method: b("GET"), Path: b("/"), Query: b("a"), Authority: b("x"), Host: b("x"), Minor: 1})
	f("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
		message.Request{Method: b("OPTIONS"), Path: b("*"), Authority: b("h"), Host: b("h"), Minor: 1})
	f("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
		message.Request{Method: b("GET"), Path: b("/"), Authority: b("[::1]:80"), Host: b("[::1]"), Minor: 1})
	f("GET / HTTP/1.1\r\nHost: h:\r\n\r\n",
		message.Request{Method: b("GET"), Path: b("/"), Authority: b("h:"), Host: b("h"), Minor: 1})
	f("GET / HTTP/1.0\r\n\r\n",
		message.Request{Method: b("GET"), Path: b("/"), Close: true})
	f("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
		message.Request{Method: b("GET"), Path: b("/")})
	f("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
		message.Request{Method: b("GET"), Path: b("/"), Close: true})
	f("GET / HTTP/1.1\r\nHost: h\r\nConnection: x,\tCLOSE ,\r\n\r\n",
		message.Request{Method: b("GET"), Path: b("/"), Authority: b("h"), Host: b("h"), Minor: 1, Close: true})
	f("GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n",
		message.Request{Method: b("GET"), Path: b("/"), Authority: b("h"), Host: b("h"), Minor: 1})
	f("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 007\r\n\r\n",
		message.Request{Method: b("POST"), Path: b("/"), Authority: b("h"), Host: b("h"), Minor: 1, Framing: message.Sized, Length: 7})
	f("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999999999999\r\n\r\n",
		message.Request{Method: b("POST"), Path: b("/"), Authority: b("h"), Host: b("h"), Minor: 1, Framing: message.Sized, Length: 999999999999999999})
	f("GET / HTTP/1.1\r\nHost: h\r\nTransfer-encoding: Chunked\r\n\r\n",
		message.Request{Method: b("GET"), Path: b("/"), Authority: b("h"), Host: b("h"), Minor: 1, Framing: message.Chunked, Length: -1})
	f("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n",
		message.Request{Method: b("POST"), Path: b("/"), Authority: b("h"), Host: b("h"), Minor: 1, Framing: message.Sized, Length: 1, Expect: true})
	f("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", // of no meaning there
		message.Request{Method: b("POST"), Path: b("/"), Framing: message.Sized, Length: 1, Close: true})
	f("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: something\r\n\r\n",
		message.Request{Method: b("POST"), Path: b("/"), Authority: b("h"), Host: b("h"), Minor: 1, Framing: message.Sized, Length: 1})
	f("GET / HTTP/1.1\r\nHost: h\r\nA: caf\xc3\xa9 \xff\r\nB:\r\nC: a\tb\r\n\r\n", // obs-text passes, RFC 9110 section 5.5
		message.Request{Method: b("GET"), Path: b("/"), Authority: b("h"), Host: b("h"), Minor: 1})

	// malformed_test.go has what is refused, and how it is answered. Here is what
	// the two tell apart: the reasons.
	refused := func(head string, want error) {
		t.Helper()
		if _, err := parsed(head); err != want {
			t.Errorf("%q: %v, want %v", head, err, want)
		}
	}
	refused("GET / HTTP/1.1\nHost: h\r\n\r\n", errBareLF)
	refused("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", errBareLF)
	refused("GET /"+strings.Repeat("a", 1000)+" HTTP/1.1\r\nHost: h\r\n\r\n", errTargetLong)
	refused("GET / HTTP/1.1\r\nHost: h\r\n"+strings.Repeat("A: b\r\n", 100)+"\r\n", errManyFields)
	refused("GET / HTTP/1.1\r\nHost: h\r\nFoo Bar: b\r\n\r\n", errFieldName)
	refused("GET / HTTP/1.1\r\nHost: h\r\nTransfer Encoding: chunked\r\n\r\n", errFieldName)
	refused("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n", errFieldName)
	refused("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", errFolded)
	refused("GET / HTTP/1.1\r\nHost: h\r\nCont\xc3\xa9: b\r\n\r\n", errFieldName)
	refused("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0000000000000000003\r\n\r\n", errLength)
	refused("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0_3\r\n\r\n", errLength)
	refused("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \xd9\xa3\r\n\r\n", errLength) // an Arabic 3
	refused("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked;a=b\r\n\r\n", errCodedTwice)
	refused("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: deflate\r\n\r\n", errCoding)
	refused("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", errConnect)
	refused("GET / HTTP/3.0\r\nHost: h\r\n\r\n", errVersion)
	refused("GET / HTTP/0.9\r\nHost: h\r\n\r\n", errVersion)
	refused("GET / HTTP/1.x\r\nHost: h\r\n\r\n", errRequestLine)
	refused("\r\n\r\n", errRequestLine)
	refused("GET http://a@h/ HTTP/1.1\r\nHost: h\r\n\r\n", errHost)
	refused("GET http://[::1/ HTTP/1.1\r\nHost: h\r\n\r\n", errHost)
	refused("GET / HTTP/1.1\r\nHost: h\xc3\xa9\r\n\r\n", errHost)
	refused("GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", errHost)
	refused("GET / HTTP/1.1\r\nHost: []\r\n\r\n", errHost)
	refused("GET / HTTP/1.1\r\nHost: :80\r\n\r\n", errHost)
}

func TestParseResponse(t *testing.T) {
	f := func(head string, toHEAD bool, status int, reason string, framing message.Framing, length int64, keep bool) {
		t.Helper()
		r := message.Response{Reason: []byte("of another"), Length: 99}
		got, err := parseResponse([]byte(head), &r, toHEAD, 100)
		if err != nil {
			t.Errorf("%q: %v", head, err)
		} else if r.Status != status || string(r.Reason) != reason || r.Framing != framing || r.Length != length || got != keep {
			t.Errorf("%q: %+v %q, keep %v", head, r, r.Reason, got)
		}
	}
	f("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false, 200, "OK", message.Sized, 3, true)
	f("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, 200, "OK", message.NoBody, 3, true)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, 200, "OK", message.Chunked, -1, true)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, 200, "OK", message.NoBody, -1, true)
	f("HTTP/1.1 200 OK\r\n\r\n", false, 200, "OK", message.UntilClose, -1, false)
	f("HTTP/1.1 200 OK\r\n\r\n", true, 200, "OK", message.NoBody, -1, true)
	f("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false, 200, "", message.Sized, 0, true)
	f("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", false, 200, "", message.Sized, 0, true)
	f("HTTP/1.1 404 Not  Found\r\nContent-Length: 0\r\n\r\n", false, 404, "Not  Found", message.Sized, 0, true)
	f("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n", false, 200, "OK", message.Sized, 3, false)
	f("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", false, 200, "OK", message.Sized, 3, false)
	f("HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n", false, 200, "OK", message.Sized, 3, true)
	f("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", false, 200, "OK", message.UntilClose, -1, false)
	f("HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", false, 204, "No", message.NoBody, 3, true)
	f("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", false, 204, "No", message.NoBody, -1, true)
	f("HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\n", false, 304, "No", message.NoBody, 3, true)
	f("HTTP/1.1 100 Continue\r\n\r\n", false, 100, "Continue", message.NoBody, -1, true)
	f("HTTP/1.1 599 caf\xe9\r\nContent-Length: 0\r\n\r\n", false, 599, "caf\xe9", message.Sized, 0, true)

	refused := func(head string) {
		t.Helper()
		var r message.Response
		if _, err := parseResponse([]byte(head), &r, false, 10); !errors.Is(err, message.ErrProtocol) {
			t.Errorf("%q: %v", head, err)
		}
	}
	for _, line := range []string{
		"", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 2000", "HTTP/1.1 200OK", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", " HTTP/1.1 200 OK",
		"HTTP/1.1 099 OK", "HTTP/1.1 600 OK", "HTTP/1.1 2x0 OK", "HTTP/1.1 -20 OK", "http/1.1 200 OK", "HTTP/1.2 200 OK", "HTTP/2.0 200 OK",
		"HTTP/1.1 200 O\x00K", "HTTP/1.1 200 O\rK", "ICY 200 OK in all its glory",
	} {
		refused(line + "\r\nContent-Length: 0\r\n\r\n")
	}
	for _, fields := range []string{
		"Content-Length: 3\r\nContent-Length: 3", "Content-Length: 3, 3", "Content-Length: -1", "Content-Length:", "Content-Length: 3\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
		"A B: c", "A : b", ": b", "A", " A: b", "A: b\r\n c", "A: \x01", strings.TrimSuffix(strings.Repeat("A: b\r\n", 11), "\r\n"),
	} {
		refused("HTTP/1.1 200 OK\r\n" + fields + "\r\n\r\n")
	}
	refused("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
}

// headEnd finds the same end, or the same fault, however the head comes.
func TestHeadEndInPieces(t *testing.T) {
	for _, in := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\nbody\n", "GET / HTTP/1.1\r\n\r\n", "\r\n\r\n", "a\nb", "a\r\nb\r\r\n\r\n", "a\r\n\n", "a\r\n\r",
	} {
		want, _, wantErr := headEnd([]byte(in), 0)
		got, looked := 0, 0
		var err error
		for end := 1; end <= len(in) && got == 0 && err == nil; end++ {
			got, looked, err = headEnd([]byte(in[:end]), looked)
		}
		if got != want || err != wantErr {
			t.Errorf("%q: %d, %v; want %d, %v", in, got, err, want, wantErr)
		}
	}
}

// Eight bytes at a time or one by one is the same.
func TestIsValue(t *testing.T) {
	for range 200_000 {
		b := make([]byte, rand.IntN(25))
		for i := range b {
			b[i] = byte(rand.IntN(256))
			if rand.IntN(4) > 0 {
				b[i] |= 0x20
			}
		}
		if isValue(b) != isValueSlow(b) {
			t.Fatalf("%q", b)
		}
	}
	for c := range 256 {
		b := []byte("01234567")
		b[c%8] = byte(c)
		if isValue(b) != isValueSlow(b) {
			t.Errorf("%q", b)
		}
	}
}

// Ready keeps its word: when it says yes, Next does not wait; and it says yes
// when there is a byte of data to be had, or a fault in what has come.
func TestReady(t *testing.T) {
	bodies := []string{
		"5\r\nhello\r\n5;a=b\r\nworld\r\n0\r\n\r\n", "005\r\nhello\r\n000;a\r\nA: b\r\nC: d\r\n\r\nGET", "0\r\n\r\n", "5\r\nhello0\r\n\r\n", "x\r\n", "0x5\r\nhello\r\n",
		"5\r\nhello\r\n5\nworld", "0\r\nA\r\n\r\n", "{\"error\":1}", "5 x\r\n", "\r\n5", "1234567890123456\r\n", "0\r\n: b\r\n\r\n", "0\r\nA: \x00",
		"0\r\n" + strings.Repeat("A: b\r\n", maxTrailers+1) + "\r\n",
	}
	for _, whole := range bodies {
		for cut := range len(whole) + 1 {
			w := &wire{buf: []byte(whole[:cut]), w: cut}
			waited := false
			b := body0(w, func() error { waited = true; return io.ErrNoProgress })
			for range 10 {
				ready := b.Ready()
				p, err := b.Next()
				if ready && waited {
					t.Fatalf("%q: ready, and had to wait", whole[:cut])
				}
				if !ready && len(p) > 0 {
					t.Fatalf("%q: %q was there, and it was not ready", whole[:cut], p)
				}
				if !ready && err != nil && !waited {
					t.Fatalf("%q: %v, and it was not ready", whole[:cut], err)
				}
				if err != nil {
					break
				}
			}
		}
	}
}

// The room for more is never none: a read into no room looks like the peer's
// end.
func TestRoom(t *testing.T) {
	for range 50 {
		w := &wire{}
		for range 20 {
			n := []int{1, 100, smallBuffer, smallBuffer + 1, largeBuffer, largeBuffer + 1, 100_000}[rand.IntN(7)]
			pin := rand.IntN(4) == 0 && w.pinned == nil
			kept := bytes.Clone(w.unread())
			n = max(n, len(kept)+1)
			w.room(n, pin)
			if w.buf == nil {
				w.buf = getBuffer(max(w.want, smallBuffer))
			}
			if !bytes.Equal(w.unread(), kept) {
				t.Fatalf("lost %d bytes of %d", len(kept)-len(w.unread()), len(kept))
			}
			if w.w == len(w.buf) {
				t.Fatal("no room")
			}
			for more := rand.IntN(len(w.buf) - w.w); more > 0; more-- {
				w.buf[w.w] = byte(rand.Int())
				w.w++
			}
			w.r += rand.IntN(w.w - w.r + 1)
		}
		w.drop()
		if w.buf != nil || w.pinned != nil {
			t.Fatal("a buffer is left")
		}
	}
}
