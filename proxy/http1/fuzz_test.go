package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/weir-gateway/weir/proxy/message"
)

// What weir accepts, net/http must read in the same way; weir may refuse more.
// And what weir then writes must read back, strictly, as the same request.
func FuzzRequestHead(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /a?b HTTP/1.1\r\nHost: h:80\r\nContent-Length: 3\r\n\r\n",
		"POST http://x/y HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close, X-A\r\nX-A: b\r\n\r\n",
		"OPTIONS * HTTP/1.0\r\nA:\t b \r\n\r\n",
		"GET /?%zz HTTP/1.1\r\nHost: h_h.\r\nTrailer: Content-Length\r\nContent-Length: 5\r\nA: \xff\r\n\r\n",
		"PUT http://u_x?a=/b HTTP/1.0\r\nHost: a:\r\nConnection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Type: a\r\nContent-Type: b\r\nUser-Agent:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::1]:8080\r\nExpect: 100-continue\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n, _, err := headEnd(in, 0)
		if err != nil || n == 0 {
			return
		}
		var r message.Request
		if parseRequest(in[:n:n], &r, 8192, 100) != nil {
			return
		}
		oracle, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in[:n])))
		if err != nil {
			if looser(r, err) {
				return
			}
			t.Fatalf("net/http refuses %q: %v", in[:n], err)
		}
		if oracle.Method != string(r.Method) || !strings.EqualFold(oracle.Host, string(r.Authority)) {
			t.Fatalf("%q: %s %s, net/http has %s %s", in[:n], r.Method, r.Authority, oracle.Method, oracle.Host)
		}
		chunked := len(oracle.TransferEncoding) == 1 && oracle.TransferEncoding[0] == "chunked"
		if chunked != (r.Framing == message.Chunked) || r.Framing == message.Sized && oracle.ContentLength != r.Length {
			t.Fatalf("%q: framing %d %d, net/http has %v %d", in[:n], r.Framing, r.Length, oracle.TransferEncoding, oracle.ContentLength)
		}
		agreesWithFasthttp(t, in[:n], &r)
		roundTrip(t, &r)
	})
}

// agreesWithFasthttp holds a second opinion against what weir accepts. fasthttp
// may refuse it, and is looser than weir elsewhere; what it accepts it has to
// read alike.
func agreesWithFasthttp(t *testing.T, in []byte, r *message.Request) {
	t.Helper()
	var h fasthttp.RequestHeader
	if err := h.Read(bufio.NewReaderSize(bytes.NewReader(in), len(in)+1)); err != nil {
		if fasthttpIsStricter(err) {
			return
		}
		t.Fatalf("fasthttp refuses %q: %v", in, err)
	}
	length := -2 // what it has for none
	switch r.Framing {
	case message.Sized:
		length = int(r.Length)
	case message.Chunked:
		length = -1
	}
	// It does not say 0 and none apart where there is no body by rule.
	if got := h.ContentLength(); got != length && !(length <= 0 && got <= 0 && (length == -1) == (got == -1)) {
		t.Fatalf("%q: length %d, fasthttp has %d", in, length, got)
	}
	if string(h.Method()) != string(r.Method) {
		t.Fatalf("%q: %s, fasthttp has %s", in, r.Method, h.Method())
	}
	// The host of an absolute target is not in its Host field.
	if target := h.RequestURI(); target[0] == '/' && !strings.EqualFold(string(h.Host()), string(r.Authority)) {
		t.Fatalf("%q: for %s, fasthttp has %s", in, r.Authority, h.Host())
	}
	if h.ConnectionClose() && !r.Close {
		t.Fatalf("%q: fasthttp wants to close", in)
	}
}

// fasthttpIsStricter are the requests that weir accepts and fasthttp does not,
// and why that is right.
func fasthttpIsStricter(err error) bool {
	return strings.Contains(err.Error(), "forbidden trailer") // weir drops trailers, whatever a Trailer field says
}

// looser are the requests that weir accepts and net/http does not, and why that
// is right.
func looser(r message.Request, err error) bool {
	// net/http wants a target that url.Parse likes; weir has checked the path
	// and passes the query on as it is.
	return strings.Contains(err.Error(), "parse ") || strings.Contains(err.Error(), "invalid URL") ||
		// A Trailer field that names what it may not; weir drops trailers.
		strings.Contains(err.Error(), "trailer")
}

// roundTrip writes a request as it goes to the endpoint and reads it back.
func roundTrip(t *testing.T, r *message.Request) {
	t.Helper()
	for i := range r.Fields {
		switch r.Fields[i].ID {
		case message.Host, message.ContentLength, message.TransferEncoding, message.Connection, message.Expect:
			r.Fields[i].Drop = true
		}
	}
	out := appendRequest(nil, r, "stand-in", nil)
	n, _, err := headEnd(out, 0)
	if err != nil || n != len(out) {
		t.Fatalf("%q has an end at %d, %v", out, n, err)
	}
	var back message.Request
	if err := parseRequest(out, &back, len(out), 200); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	if !bytes.Equal(back.Method, r.Method) || !bytes.Equal(back.Path, r.Path) || !bytes.Equal(back.Query, r.Query) ||
		back.Framing != r.Framing || back.Length != r.Length || len(r.Host) > 0 && !bytes.Equal(back.Host, r.Host) {
		t.Fatalf("%q reads back as %s %s?%s %s", out, back.Method, back.Path, back.Query, back.Host)
	}
}

func FuzzResponseHead(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
		"HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\n\r\n",
		"HTTP/1.1 204 \r\n\r\n",
		"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, head bool) {
		n, _, err := headEnd(in, 0)
		if err != nil || n == 0 {
			return
		}
		var r message.Response
		if _, err := parseResponse(in[:n:n], &r, head, 100); err != nil {
			return
		}
		request := &http.Request{Method: "GET"}
		if head {
			request.Method = "HEAD"
		}
		oracle, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(in[:n])), request)
		if err != nil {
			if strings.Contains(err.Error(), "trailer") {
				return // weir drops trailers
			}
			t.Fatalf("net/http refuses %q: %v", in[:n], err)
		}
		if oracle.StatusCode != r.Status {
			t.Fatalf("%q: status %d, net/http has %d", in[:n], r.Status, oracle.StatusCode)
		}
		if r.Framing == message.Sized && oracle.ContentLength != r.Length {
			t.Fatalf("%q: length %d, net/http has %d", in[:n], r.Length, oracle.ContentLength)
		}
	})
}

// chunksOf reads a chunked body that comes in pieces, and tells how it ended
// and what was left over.
func chunksOf(in []byte, piece int) (body []byte, rest int, err error) {
	w := &wire{}
	b := body0(w, func() error {
		if len(in) == 0 {
			return io.EOF
		}
		if w.buf == nil {
			w.buf = getBuffer(smallBuffer)
		}
		n := copy(w.buf[w.w:], in[:min(piece, len(in))])
		in = in[n:]
		w.w += n
		return nil
	})
	for {
		p, err := b.Next()
		body = append(body, p...)
		if err != nil {
			rest = len(in) + w.w - w.r
			w.drop()
			return body, rest, err
		}
	}
}

func body0(w *wire, fill func() error) *body {
	b := &body{wire: w, fillOne: fill}
	b.begin(message.Chunked, -1, false)
	return b
}

func FuzzChunked(f *testing.F) {
	f.Add([]byte("3\r\nabc\r\n0\r\n\r\n"), 1)
	f.Add([]byte("3;a=b\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\nGET"), 7)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		piece = max(1, min(piece, 4096))
		whole, restWhole, errWhole := chunksOf(in, 1<<20)
		parts, restParts, errParts := chunksOf(in, piece)
		if errWhole != errParts {
			t.Fatalf("%q: %v at once, %v in pieces of %d", in, errWhole, errParts, piece)
		}
		if errWhole != io.EOF {
			return
		}
		if !bytes.Equal(whole, parts) || restWhole != restParts {
			t.Fatalf("%q: %q at once, %q in pieces of %d", in, whole, parts, piece)
		}
		// What weir takes for whole, net/http does too.
		r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(
			strings.NewReader("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"), bytes.NewReader(in))))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		if err != nil && !strings.Contains(err.Error(), "trailer") && !strings.Contains(err.Error(), "malformed MIME") || !bytes.Equal(got, whole) {
			t.Fatalf("%q: %q, net/http has %q, %v", in, whole, got, err)
		}
	})
}
