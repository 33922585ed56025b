package http1_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/discovery"
)

// besideAway starts a gateway in the region home, which is cold, beside an instance
// in the region away.
func besideAway(t *testing.T, regions string, slots int, h http.HandlerFunc) (*gateway, *stage, discovery.Endpoint) {
	t.Helper()
	s := &stage{}
	g := start(t, "region: home\n"+regions+"\nfunctions: { f: { cold_start: { scaler: process, prefer_warm_region: true }, process: { command: [none] } } }\n"+
		"routes: [{ path_prefix: /, function: f }]\n", parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}})
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	away := discovery.Endpoint{ID: "away", Addr: server.Listener.Addr().String(), Weight: 1, Region: "away", Slots: slots}
	s.set(away)
	eventually(t, "away is known", func() bool { return len(g.keeper.Table().Functions["f"].Set().Endpoints) == 1 })
	return g, s, away
}

// wantCold reads an answer and tells what X-Weir-Cold calls it.
func (c *client) wantCold() (cold, body string) {
	c.t.Helper()
	r, body, err := c.answer("GET")
	if err != nil || r.StatusCode != 200 {
		c.t.Fatalf("%v %v %s", err, r, body)
	}
	return r.Header.Get("X-Weir-Cold"), body
}

const standby = "regions: { home: {}, away: { priority: 1 } }"

// hopsTo answers with what an instance is told of the overflow.
func hopsTo(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, name+" "+strings.Join(r.Header["X-Weir-Overflow"], ","))
	}
}

func TestOverflowToAWarmRegion(t *testing.T) {
	t.Parallel()
	g, s, away := besideAway(t, standby, 0, hopsTo("away"))
	c := g.dial()
	for range 3 { // on connections made and kept
		c.send(get)
		if cold, body := c.wantCold(); cold != "overflow" || body != "away home" {
			t.Errorf("%s %q", cold, body)
		}
	}
	eventually(t, "one is started here", func() bool { return s.ups.Load() == 1 })
	server := httptest.NewServer(hopsTo("here"))
	defer server.Close()
	s.set(away, discovery.Endpoint{ID: "here", Addr: server.Listener.Addr().String(), Weight: 1})
	g.inState("warm")
	c.send(get)
	if cold, body := c.wantCold(); cold != "hit" || body != "here " {
		t.Errorf("%s %q", cold, body)
	}
	s.set(away) // it has gone: that is no reason to start one unasked
	g.inState("cold")
	c.send(get)
	if cold, _ := c.wantCold(); cold != "overflow" {
		t.Errorf("%s", cold)
	}
	eventually(t, "one is started again", func() bool { return s.ups.Load() == 2 })
}

// What is beyond the bound is held here, and goes as places come free.
func TestOverflowIsBounded(t *testing.T) {
	t.Parallel()
	var inside, most atomic.Int64
	open := make(chan struct{})
	g, _, _ := besideAway(t, standby, 10, func(w http.ResponseWriter, _ *http.Request) {
		n := inside.Add(1)
		for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
		}
		<-open
		inside.Add(-1)
		_, _ = io.WriteString(w, "away")
	})
	var clients []*client
	for range 7 {
		c := g.dial()
		c.send(get)
		clients = append(clients, c)
	}
	g.held(5)
	eventually(t, "two are away", func() bool { return inside.Load() == 2 })
	close(open)
	for _, c := range clients {
		if cold, body := c.wantCold(); cold != "overflow" || body != "away" {
			t.Errorf("%s %q", cold, body)
		}
	}
	if n := most.Load(); n != 2 {
		t.Errorf("%d at once, want a fifth of 10", n)
	}
}

// What a region has by its weight neither counts nor waits behind calls of the cold
// one.
func TestOverflowLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	g, s, away := besideAway(t, "regions: { home: { weight: 50 }, away: { weight: 50, overflow_percent: 0 } }", 0, hopsTo("away"))
	const n = 60
	answered := make(chan string, n)
	for range n {
		c := g.dial()
		c.send(get)
		go func() {
			_, body, err := c.answer("GET")
			if err != nil {
				body = err.Error()
			}
			answered <- body
		}()
	}
	hold := g.keeper.Table().Functions["f"].Hold
	eventually(t, "some are answered, the others held", func() bool { return len(answered)+hold.Len() == n })
	if held := hold.Len(); held < 10 || held > 50 {
		t.Errorf("%d of %d are held, want about half", held, n)
	}
	for range len(answered) {
		if body := <-answered; body != "away " {
			t.Errorf("%q", body)
		}
	}
	server := httptest.NewServer(hopsTo("here"))
	defer server.Close()
	here := hold.Len()
	s.set(away, discovery.Endpoint{ID: "here", Addr: server.Listener.Addr().String(), Weight: 1})
	for range here {
		<-answered
	}
}

// A call that has been sent here because another region is cold goes no further.
func TestOverflowGoesOneHop(t *testing.T) {
	t.Parallel()
	g, s, away := besideAway(t, standby, 0, hopsTo("away"))
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Weir-Overflow: far\r\n\r\n")
	g.held(1)
	server := httptest.NewServer(hopsTo("here"))
	defer server.Close()
	s.set(away, discovery.Endpoint{ID: "here", Addr: server.Listener.Addr().String(), Weight: 1})
	if cold, body := c.wantCold(); cold != "held" || body != "here far" {
		t.Errorf("%s %q", cold, body)
	}
}

// Instances in another region are not this weir's: they are no reason not to start
// one here, nor put back from here.
func TestInstancesElsewhereAreNotStopped(t *testing.T) {
	t.Parallel()
	s := &stage{}
	g := start(t, "region: home\n"+standby+"\nfunctions: { f: { cold_start: { scaler: process, prefer_warm_region: true, idle_after: 50ms, min_up: 1ms, grace: 1ms }, process: { command: [none] } } }\n"+
		"routes: [{ path_prefix: /, function: f }]\n", parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}})
	server := httptest.NewServer(hopsTo("here"))
	defer server.Close()
	away := discovery.Endpoint{ID: "away", Addr: server.Listener.Addr().String(), Weight: 1, Region: "away"}
	s.set(away)
	eventually(t, "away is known", func() bool { return len(g.keeper.Table().Functions["f"].Set().Endpoints) == 1 })
	g.inState("cold")
	s.set(away, discovery.Endpoint{ID: "here", Addr: server.Listener.Addr().String(), Weight: 1})
	eventually(t, "the one here is put back", func() bool { return s.downs.Load() > 0 }) // which takes out all
	s.set(away)
	eventually(t, "away is back", func() bool { return len(g.keeper.Table().Functions["f"].Set().Endpoints) == 1 })
	g.inState("cold")
	c := g.dial()
	c.send(get)
	if cold, _ := c.wantCold(); cold != "overflow" {
		t.Errorf("%s", cold)
	}
}
