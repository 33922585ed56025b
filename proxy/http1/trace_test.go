package http1_test

import (
	"bufio"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy"
)

// ratio has a share of the traces recorded.
func ratio(r float64) func(*proxy.Proxy) { return func(p *proxy.Proxy) { p.Trace(r) } }

const (
	trace     = "0af7651916cd43dd8448eb211c80319c"
	caller    = "b7ad6b7169203331"
	sampled   = "traceparent: 00-" + trace + "-" + caller + "-01\r\n"
	unsampled = "traceparent: 00-" + trace + "-" + caller + "-00\r\n"
	state     = "tracestate: a=1,b=2\r\n"
)

// told is what an endpoint was told of a trace.
type told struct{ trace, span, flags, state string }

func tellsTraces(t *testing.T) (doc string, seen chan http.Header) {
	seen = make(chan http.Header, 8)
	return backend(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }), seen
}

func readTold(t *testing.T, h http.Header) (was told) {
	t.Helper()
	if len(h["Traceparent"]) != 1 || len(h["Traceparent"][0]) != 55 {
		t.Fatalf("the endpoint was told %q", h["Traceparent"])
	}
	v := h.Get("Traceparent")
	return told{v[3:35], v[36:52], v[53:], h.Get("Tracestate")}
}

func TestWhichTrace(t *testing.T) {
	doc, seen := tellsTraces(t)
	untrusted := func(*config.Config) {}
	for _, c := range []struct {
		name    string
		ratio   float64
		caller  func(*config.Config)
		fields  string
		own     bool // weir begins a trace
		sampled bool
		state   string
	}{
		{"nobody traces", 0, untrusted, "", true, false, ""},
		{"one begins here", 1, untrusted, "", true, true, ""},
		{"a stranger cannot have it recorded", 0, untrusted, sampled + state, false, false, "a=1,b=2"},
		{"and cannot prevent it", 1, untrusted, unsampled + state, false, true, "a=1,b=2"},
		{"a trusted caller can", 0, trustLoopback, sampled + state, false, true, "a=1,b=2"},
		{"both", 1, trustLoopback, unsampled, false, false, ""},
		{"a trusted caller who says nothing", 1, trustLoopback, "", true, true, ""},
		{"a later version", 0, trustLoopback, "Traceparent: 01-" + trace + "-" + caller + "-01-x\r\n", false, true, ""},
		{"malformed", 0, trustLoopback, "traceparent: 00-" + trace + "-01\r\n" + state, true, false, ""},
		{"twice", 0, trustLoopback, sampled + sampled + state, true, false, ""},
		{"a state alone", 0, trustLoopback, state, true, false, ""},
		{"named by Connection", 0, trustLoopback, "Connection: traceparent\r\n" + sampled, false, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := start(t, doc, parts{prepare: c.caller, traced: ratio(c.ratio)})
			client := g.dial()
			client.send("GET / HTTP/1.1\r\nHost: h\r\n" + c.fields + "\r\n")
			client.want("GET", 200)
			got := readTold(t, <-seen)
			if own := got.trace != trace; own != c.own {
				t.Errorf("the trace is %s", got.trace)
			}
			if got.span == caller || got.span == "0000000000000000" {
				t.Errorf("weir's part is called %s", got.span)
			}
			if (got.flags == "01") != c.sampled || got.state != c.state {
				t.Errorf("told %+v, want sampled %v, state %q", got, c.sampled, c.state)
			}
		})
	}
}

// Weir takes no part: everything passes as it is.
func TestTraceContextPasses(t *testing.T) {
	doc, seen := tellsTraces(t)
	c := start(t, doc, parts{}).dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n" + sampled + state + "\r\nGET / HTTP/1.1\r\nHost: h\r\ntraceparent: odd\r\n\r\n")
	c.want("GET", 200)
	c.want("GET", 200)
	if got := readTold(t, <-seen); got != (told{trace, caller, "01", "a=1,b=2"}) {
		t.Errorf("%+v", got)
	}
	if h := <-seen; h.Get("Traceparent") != "odd" {
		t.Errorf("%q", h["Traceparent"])
	}
}

// All calls of a trace are recorded, or none is, whoever they come from.
func TestATraceIsRecordedAsAWhole(t *testing.T) {
	doc, seen := tellsTraces(t)
	g := start(t, doc, parts{traced: ratio(0.5)})
	c := g.dial()
	flags := map[string]map[string]int{}
	for i := range 128 {
		id := [16]byte{15: byte(i/2 + 1)}
		c.send("GET / HTTP/1.1\r\nHost: h\r\ntraceparent: 00-" + hex.EncodeToString(id[:]) + "-" + caller + "-01\r\n\r\n")
		c.want("GET", 200)
		was := readTold(t, <-seen)
		if flags[was.flags] == nil {
			flags[was.flags] = map[string]int{}
		}
		flags[was.flags][was.trace]++
	}
	for _, traces := range flags {
		for id, calls := range traces {
			if calls != 2 {
				t.Errorf("%d calls of %s were treated alike, want 2", calls, id)
			}
		}
	}
	// 64 coins: fewer than 12 of one side come up once in ten million runs.
	if on := len(flags["01"]); on < 12 || on > 52 {
		t.Errorf("%d of 64 traces are recorded, want about half", on)
	}
}

// Each try is a part of its own, and the endpoint is told which one it is.
func TestEachTryIsToldItsSpan(t *testing.T) {
	seen := make(chan string, 4)
	gone := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, _ := head(br)
		seen <- h
	})
	recorded := make(chan *proxy.Recording, 1)
	g := start(t, one(gone), parts{traced: ratio(1)})
	g.peek = func(c *proxy.Call) { recorded <- c.Recording() }
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	c.want("GET", 502)
	got := <-recorded
	tries := 0
	for ; len(seen) > 0; tries++ {
		want := "-" + hex.EncodeToString(got.Tries[tries].Span[:]) + "-01\r\n"
		if h := <-seen; !strings.Contains(h, want) {
			t.Errorf("try %d was told %q, want %q", tries, h, want)
		}
	}
	if tries == 0 || tries != len(got.Tries) {
		t.Errorf("%d tries arrived, %d are remembered", tries, len(got.Tries))
	}
	for i, try := range got.Tries {
		if try.Err == nil || try.Ended < try.Began || i > 0 && try.Span == got.Tries[i-1].Span {
			t.Errorf("try %d: %+v", i, try)
		}
	}
}
