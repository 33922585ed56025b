package http1_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weir-gateway/weir/proxy/table"
)

// A shadow is a function that gets copies.
type shadow struct {
	addr   string
	answer http.HandlerFunc // after it was noted; nil: 200

	mu   sync.Mutex // guards seen
	seen []string
}

func newShadow(t *testing.T, answer http.HandlerFunc) *shadow {
	t.Helper()
	s := &shadow{answer: answer}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		s.mu.Lock()
		s.seen = append(s.seen, fmt.Sprintf("%s %s %s %q %v, X-A %q, for %s, mirror %s", r.Method, r.Host, r.RequestURI, body, err,
			r.Header.Get("X-A"), r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Weir-Mirror")))
		s.mu.Unlock()
		if s.answer != nil {
			s.answer(w, r)
		}
	}))
	t.Cleanup(server.Close)
	s.addr = strings.TrimPrefix(server.URL, "http://")
	return s
}

func (s *shadow) calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.seen...)
}

// mirrored waits until n copies have ended so.
func (g *gateway) mirrored(result table.Mirrored, n int) {
	g.t.Helper()
	m := &g.keeper.Table().Functions["m"].Mirrors
	eventually(g.t, fmt.Sprintf("%d copies are %s", n, result), func() bool { return m.Ended(result) == n && m.InFlight() == 0 })
}

// mirroring is a gateway whose route has copies sent to m.
func mirroring(t *testing.T, function, mirror, settings string, m string) *gateway {
	t.Helper()
	return start(t, fmt.Sprintf(`functions: { f: { endpoints: [%q] }, m: { endpoints: [%q], %s } }
routes: [{ path_prefix: /, function: f, rewrite: { prefix: /new }, request_headers: { set: { X-A: ours } }, mirror: { function: m%s } }]
`, function, mirror, settings, m), parts{})
}

func TestMirror(t *testing.T) {
	original := newShadow(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "mine") })
	copies := newShadow(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/ill") {
			w.WriteHeader(500)
		}
		_, _ = io.WriteString(w, "nobody sees this")
	})
	g := mirroring(t, original.addr, copies.addr, "", "")
	c := g.dial()
	ask := func(request string) {
		t.Helper()
		c.send(request)
		method, _, _ := strings.Cut(request, " ")
		if body := c.want(method, 200); body != "mine" {
			t.Errorf("answered with %q", body)
		}
	}
	long := strings.Repeat("x", 5000)
	ask("GET /a?b HTTP/1.1\r\nHost: h\r\nX-A: theirs\r\n\r\n")
	g.mirrored(table.MirrorAnswered, 1)
	ask("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
	ask("POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1388\r\n" + long + "\r\n0\r\n\r\n")
	g.mirrored(table.MirrorAnswered, 3)
	ask("DELETE /ill HTTP/1.1\r\nHost: h\r\n\r\n")
	g.mirrored(table.MirrorAnswered5xx, 1)
	want := []string{
		`GET h /new/a?b "" <nil>, X-A "ours", for 127.0.0.1, mirror 1`,
		`POST h /new/p "hello" <nil>, X-A "ours", for 127.0.0.1, mirror 1`,
		`POST h /new/c "hello` + long + `" <nil>, X-A "ours", for 127.0.0.1, mirror 1`,
		`DELETE h /new/ill "" <nil>, X-A "ours", for 127.0.0.1, mirror 1`,
	}
	if got := copies.calls(); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("copied are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i, seen := range original.calls() {
		if unmarked := strings.Replace(want[i], "mirror 1", "mirror ", 1); seen != unmarked {
			t.Errorf("called was %s, want %s", seen, unmarked)
		}
	}
	for n := range 4 {
		if r := g.record(n + 1); r.function != "f" || r.status != 200 {
			t.Errorf("recorded is %+v", r)
		}
	}
	if g.proxy.InFlight() != 0 {
		t.Error("a copy counts as a call")
	}

	// Copies are not copied, nor what is no call, nor what is too long to be here still.
	c.send("GET / HTTP/1.1\r\nHost: h\r\nx-weir-mirror: 1\r\n\r\n")
	c.want("GET", 200)
	ask(fmt.Sprintf("PUT /long HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n%s", strings.Repeat("x", 100_000)))
	g.mirrored(table.MirrorBody, 1)
	ask("PUT /long HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1388\r\n"+long+"\r\n", 40) + "0\r\n\r\n")
	g.mirrored(table.MirrorBody, 2)
	if got := copies.calls(); len(got) != 4 {
		t.Errorf("copied are %d calls, want 4", len(got))
	}
	most := strings.Repeat("y", 16<<10)
	ask("PUT /most HTTP/1.1\r\nHost: h\r\nContent-Length: 16384\r\n\r\n" + most)
	g.mirrored(table.MirrorAnswered, 4)
	if got := copies.calls(); len(got) != 5 || !strings.Contains(got[4], most) {
		t.Error("16 KiB are too long for a copy")
	}
}

// Whatever becomes of copies, calls do not notice: neither of a function that hangs,
// nor of one that is not there, nor of too many.
func TestMirrorNeverHurts(t *testing.T) {
	original := newShadow(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "mine") })
	release := make(chan struct{})
	hangs := newShadow(t, func(http.ResponseWriter, *http.Request) { <-release })
	g := mirroring(t, original.addr, hangs.addr, "", ", max_in_flight: 2")
	c := g.dial()
	calls := func(n int) {
		t.Helper()
		for range n {
			c.send(get)
			if body := c.want("GET", 200); body != "mine" {
				t.Errorf("answered with %q", body)
			}
		}
	}
	calls(10)
	m := &g.keeper.Table().Functions["m"].Mirrors
	if full, under := m.Ended(table.MirrorFull), m.InFlight(); full != 8 || under != 2 {
		t.Errorf("%d found no room, %d are under way", full, under)
	}
	close(release)
	g.mirrored(table.MirrorAnswered, 2)
	calls(1)
	g.mirrored(table.MirrorAnswered, 3)

	refuses := mirroring(t, original.addr, "127.84.0.9:1", "", "")
	g, c = refuses, refuses.dial()
	calls(3)
	g.mirrored(table.MirrorFailed, 3)

	stops := mirroring(t, original.addr, says(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), "timeouts: { request: 100ms }", "")
	g, c = stops, stops.dial()
	calls(1)
	g.mirrored(table.MirrorFailed, 1)

	// One that is at zero is not started, and one whose limit is reached has no copy.
	cold := start(t, fmt.Sprintf(`functions: { f: { endpoints: [%q] }, m: { endpoints: [] } }
routes: [{ path_prefix: /, function: f, mirror: { function: m } }]
`, original.addr), parts{})
	g, c = cold, cold.dial()
	calls(2)
	g.mirrored(table.MirrorUnavailable, 2)

	// The function of the call itself may be ill.
	ill := mirroring(t, "127.84.0.10:1", original.addr, "", "")
	ill.dial().send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
	ill.mirrored(table.MirrorAnswered, 1)
}

func TestMirrorPercent(t *testing.T) {
	original, copies := newShadow(t, nil), newShadow(t, nil)
	for percent, want := range map[string][2]int{"0": {0, 0}, "0.0000001": {0, 0}, "100": {400, 400}, "50": {120, 280}} {
		g := mirroring(t, original.addr, copies.addr, "", ", max_in_flight: 1000, percent: "+percent)
		c := g.dial()
		for range 400 {
			c.send(get)
			c.want("GET", 200)
		}
		m := &g.keeper.Table().Functions["m"].Mirrors
		eventually(t, "all have ended", func() bool { return m.InFlight() == 0 })
		if n := m.Ended(table.MirrorAnswered); n < want[0] || n > want[1] {
			t.Errorf("of 400 calls %d are copied at %s percent", n, percent)
		}
	}
}

// A client that leaves in the middle of its body leaves no copy of half a call.
func TestMirrorOfHalfACall(t *testing.T) {
	original, copies := newShadow(t, nil), newShadow(t, nil)
	g := mirroring(t, original.addr, copies.addr, "", "")
	c := g.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
	eventually(t, "it is on its way", func() bool { return g.keeper.Table().Functions["m"].Mirrors.InFlight() == 1 })
	_ = c.Conn.(*net.TCPConn).Close()
	g.mirrored(table.MirrorBody, 1)
	if got := copies.calls(); len(got) > 0 {
		t.Errorf("copied is %q", got)
	}
}
