package http1_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/weir-gateway/weir/config"
)

// A witness is an endpoint that keeps the very bytes of every request it
// understood.
type witness struct {
	addr string

	mu    sync.Mutex
	calls []witnessed
	wrong []error
}

type witnessed struct {
	message *wireMessage
	raw     []byte
}

func newWitness(t testing.TB) *witness {
	w := &witness{}
	w.addr = rawEndpoint(t, func(nc net.Conn, _ *bufio.Reader) {
		_ = nc.SetDeadline(time.Time{})
		var raw bytes.Buffer
		br := bufio.NewReader(io.TeeReader(nc, &raw))
		for {
			m, err := strictRequest(br, func(m *wireMessage) {
				if m.get("Expect") != "" {
					_, _ = io.WriteString(nc, "HTTP/1.1 100 Continue\r\n\r\n")
				}
			})
			w.mu.Lock()
			if errors.As(err, new(errStrict)) {
				w.wrong = append(w.wrong, err)
			} else if err == nil {
				n := raw.Len() - br.Buffered()
				w.calls = append(w.calls, witnessed{m, bytes.Clone(raw.Next(n))})
			}
			w.mu.Unlock()
			if err != nil {
				return
			}
			answer := okAnswer
			if m.start[0] == "HEAD" {
				answer = strings.TrimSuffix(answer, "ok")
			}
			if _, err := io.WriteString(nc, answer); err != nil {
				return
			}
		}
	})
	return w
}

// took returns what came since it was last asked.
func (w *witness) took() (calls []witnessed, wrong []error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls, wrong = w.calls, w.wrong
	w.calls, w.wrong = nil, nil
	return calls, wrong
}

// took returns the records since it was last asked, once no call is inside.
func (g *gateway) took() []record {
	for g.proxy.InFlight() > 0 {
		time.Sleep(20 * time.Microsecond)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	records := g.records
	g.records = nil
	return records
}

// impatient is a listener that gives up soon on who does not go on. Answers have
// to be written within body_progress, too, which a busy machine may need.
func impatient(cfg *config.Config) {
	limits := &cfg.Listeners[0].Limits
	limits.HeadTimeout, limits.BodyProgress = 40*time.Millisecond, 200*time.Millisecond
	cfg.Defaults.Timeouts.Idle = 500 * time.Millisecond // what was to be the last call may become a trailer
}

const lastCall = "GET /last HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n"

// Whatever a client sends: what reaches the endpoint is strictly HTTP/1.1, is
// exactly the calls that weir counted as forwarded, in their order, and reads
// the same to others; and what the client gets back is one strict answer for
// each call.
func FuzzWholeLoop(f *testing.F) {
	for _, requests := range cutRequests {
		f.Add([]byte(strings.Join(requests, "")))
	}
	for _, g := range readWire(f) {
		for _, c := range g.cases {
			if s, err := bytesOf(append(c.send, c.then...)); err == nil && len(c.answer) == 0 && len(s) < 2000 {
				f.Add([]byte(s))
			}
		}
	}
	w := newWitness(f)
	g := start(f, strings.Replace(one(w.addr), "endpoints:", "trailers: [x-sum], endpoints:", 1), parts{prepare: impatient})
	f.Fuzz(func(t *testing.T, in []byte) {
		got := throw(t, g.addr, append(bytes.Clone(in), lastCall...))
		records := g.took()
		calls, wrong := w.took()
		for _, err := range wrong {
			t.Fatalf("%q reached the endpoint as what is no HTTP/1.1: %v", in, err)
		}
		br := bufio.NewReader(bytes.NewReader(got))
		n := 0
		for _, r := range records {
			if r.call != "" {
				if n == len(calls) {
					t.Fatalf("%q: weir counts %+v, which the endpoint never saw", in, r)
				}
				call := calls[n]
				n++
				agree(t, in, r, call)
			}
			if r.status == 499 {
				continue // there is no answer
			}
			m, err := interimsAndFinal(br, r.method)
			if err != nil || m.start[1] != fmt.Sprint(r.status) {
				t.Fatalf("%q: recorded as %+v, and the client got %v, %v of %q", in, r, m, err, got)
			}
		}
		if n != len(calls) {
			t.Fatalf("%q: the endpoint saw %d calls, weir counts %d", in, len(calls), n)
		}
		if rest, _ := io.ReadAll(br); len(rest) > 0 {
			t.Fatalf("%q: behind its answers the client got %q", in, rest)
		}
	})
}

// throw sends bytes on a connection of their own and returns what comes back
// until its end.
func throw(t *testing.T, addr string, in []byte) []byte {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Skip(err) // the machine has run out of something
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = nc.Write(in)
	got, err := io.ReadAll(nc)
	if err != nil && timedOut(err) {
		t.Fatalf("%q: no end, %q", in, got)
	}
	return got
}

// interimsAndFinal reads past interim answers to the one that counts.
func interimsAndFinal(br *bufio.Reader, method string) (*wireMessage, error) {
	for {
		m, err := strictResponse(br, method)
		if err != nil || m.start[1][0] != '1' {
			return m, err
		}
	}
}

// agree holds what weir says of a call, what the endpoint read of it, and what
// net/http and fasthttp read of the same bytes against each other.
func agree(t *testing.T, in []byte, r record, call witnessed) {
	t.Helper()
	m := call.message
	seen := m.start[0] + " " + m.get("Host") + " " + m.start[1]
	if strings.Contains(r.call, "  ") { // without a host of its own
		seen = m.start[0] + "  " + m.start[1]
	}
	if seen != r.call || int64(len(m.body)) != r.in || m.start[2] != "HTTP/1.1" {
		t.Fatalf("%q: weir counts %q with %d bytes, the endpoint saw %q with %d", in, r.call, r.in, seen, len(m.body))
	}
	other, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(call.raw)))
	if err != nil {
		if strings.Contains(err.Error(), "parse ") || strings.Contains(err.Error(), "invalid URL") {
			return // a query that url.Parse does not like
		}
		t.Fatalf("%q: net/http refuses what weir forwards, %q: %v", in, call.raw, err)
	}
	body, err := io.ReadAll(other.Body)
	if err != nil || string(body) != m.body || other.Method != m.start[0] || !strings.EqualFold(other.Host, m.get("Host")) || other.RequestURI != m.start[1] {
		t.Fatalf("%q: net/http reads %s %s %s %q of %q, %v", in, other.Method, other.Host, other.RequestURI, body, call.raw, err)
	}
	var fast fasthttp.Request
	br := bufio.NewReaderSize(bytes.NewReader(call.raw), len(call.raw)+1)
	err = fast.Read(br)
	if err == nil && fast.MayContinue() {
		err = fast.ContinueReadBody(br, 0)
	}
	if err != nil && !strings.Contains(err.Error(), "trailer") {
		t.Fatalf("%q: fasthttp refuses what weir forwards, %q: %v", in, call.raw, err)
	} else if err == nil && (string(fast.Body()) != m.body || string(fast.Header.Method()) != m.start[0] || string(fast.Header.RequestURI()) != m.start[1]) {
		t.Fatalf("%q: fasthttp reads %s %s %q of %q", in, fast.Header.Method(), fast.Header.RequestURI(), fast.Body(), call.raw)
	}
}

// Whatever an endpoint answers: the client gets one strict answer, which is
// what weir says it relayed and what net/http reads of the endpoint's bytes, or
// sees that something is missing.
func FuzzWholeLoopBack(f *testing.F) {
	for i, answer := range cutResponses {
		f.Add([]byte(answer), byte(i))
	}
	for _, g := range readWire(f) {
		for i, c := range g.cases {
			if s, err := bytesOf(c.answer); err == nil && s != "" && len(s) < 2000 {
				f.Add([]byte(s), byte(i))
			}
		}
	}
	var answer atomic.Pointer[[]byte]
	addr := rawEndpoint(f, func(nc net.Conn, br *bufio.Reader) {
		if _, err := head(br); err == nil {
			_, _ = nc.Write(*answer.Load())
		}
	})
	g := start(f, strings.Replace(one(addr), "endpoints:", "trailers: [x-sum], endpoints:", 1), parts{prepare: impatient})
	f.Fuzz(func(t *testing.T, in []byte, how byte) {
		answer.Store(&in)
		method, version := "GET", "1.1"
		if how&1 != 0 {
			method = "HEAD"
		}
		if how&2 != 0 {
			version = "1.0"
		}
		nc, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Skip(err)
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(nc, "%s / HTTP/%s\r\nHost: h\r\nTE: trailers\r\nConnection: close\r\n\r\n", method, version)
		br := bufio.NewReader(nc)
		m, err := interimsAndFinal(br, method)
		var rest []byte
		if err == nil {
			rest, err = io.ReadAll(br)
		}
		records := g.took()
		if len(records) != 1 {
			t.Fatalf("%q: %d records", in, len(records))
		}
		r := records[0]
		if errors.As(err, new(errStrict)) || timedOut(err) || len(rest) > 0 {
			t.Fatalf("%q: the client got what is no HTTP/1.1, %v, and %q", in, err, rest)
		}
		if r.call != "" && r.err != nil { // it broke off
			if err == nil {
				t.Fatalf("%q: recorded as %+v, and the client took %s %q for whole", in, r, m.start[1], m.body)
			}
			return
		}
		if err != nil || m.start[1] != fmt.Sprint(r.status) || method == "GET" && int64(len(m.body)) != r.out {
			t.Fatalf("%q: recorded as %+v, and the client got %v, %v", in, r, m, err)
		}
		if r.call != "" {
			sameToOthers(t, in, method, m)
		}
	})
}

var spaceBeforeExtension = regexp.MustCompile(`(?m)^[0-9A-Fa-f]+[ \t]+;`)

// sameToOthers holds what the client got against what net/http makes of the
// endpoint's bytes.
func sameToOthers(t *testing.T, in []byte, method string, m *wireMessage) {
	t.Helper()
	br := bufio.NewReader(bytes.NewReader(in))
	for {
		other, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			if strings.Contains(err.Error(), "trailer") {
				return // a Trailer field that names what it may not; weir drops it
			}
			t.Fatalf("net/http refuses %q: %v", in, err)
		}
		if other.StatusCode < 200 {
			continue
		}
		body, err := io.ReadAll(other.Body)
		if err != nil && strings.Contains(err.Error(), "trailer") || err != nil && strings.Contains(err.Error(), "malformed MIME") {
			return
		}
		if err != nil && strings.Contains(err.Error(), "invalid byte in chunk length") && spaceBeforeExtension.Match(in) {
			return // RFC 9112 section 7.1.1 has a recipient take it
		}
		if err != nil || fmt.Sprint(other.StatusCode) != m.start[1] || string(body) != m.body {
			t.Fatalf("net/http reads %d %q, %v of %q, the client got %s %q", other.StatusCode, body, err, in, m.start[1], m.body)
		}
		return
	}
}
