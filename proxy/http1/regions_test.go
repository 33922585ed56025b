package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/table"
)

// A place is an endpoint that counts its connections and its calls.
type place struct {
	addr         string
	dialed, came atomic.Int64
}

func newPlace(t testing.TB, answer string) *place {
	p := &place{}
	p.addr = rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		p.dialed.Add(1)
		for {
			if _, err := head(br); err != nil {
				return
			}
			p.came.Add(1)
			if answer == "" {
				return
			}
			if _, err := io.WriteString(nc, answer); err != nil {
				return
			}
		}
	})
	return p
}

// placed is the document of a function with endpoints, each written as region=address.
func placed(regions, settings string, endpoints ...string) string {
	var list []string
	for _, word := range endpoints {
		region, addr, _ := strings.Cut(word, "=")
		list = append(list, fmt.Sprintf("{ region: %s, address: '%s' }", region, addr))
	}
	return fmt.Sprintf("%s\nfunctions: { f: { %s endpoints: [%s] } }\nroutes: [{ path_prefix: /, function: f }]\n", regions, settings, strings.Join(list, ", "))
}

// Calls go where the shares say: 20,000 of them, within 1.2 points.
func TestRegionShares(t *testing.T) {
	t.Parallel()
	a, b := newPlace(t, ok), newPlace(t, ok)
	g := start(t, placed("regions: { a: { weight: 80 }, b: { weight: 20 } }", "", "a="+a.addr, "b="+b.addr), parts{})
	c := g.dial()
	_ = c.SetDeadline(time.Now().Add(time.Minute)) // beside others' work they take a while
	const n = 20_000
	for range n {
		c.send(get)
		c.want("GET", 200)
	}
	if got := float64(a.came.Load()) / n; math.Abs(got-0.8) > 0.012 {
		t.Errorf("a has %.4f of the calls, want 0.8", got)
	}
}

// What is drained, or has weight 0, is never called, whatever becomes of the rest.
func TestRegionsThatAreNotAsked(t *testing.T) {
	t.Parallel()
	for _, other := range []string{"drain: true", "disabled: true", "weight: 0"} {
		b := newPlace(t, ok)
		g := start(t, placed("regions: { a: {}, b: { "+other+" } }", "", "a="+refuses(t), "b="+b.addr), parts{})
		for range 5 {
			c := g.dial()
			c.send(get)
			if _, p := c.problem(502); p["cause"] != "UF" {
				t.Errorf("%s: %v", other, p)
			}
		}
		if b.dialed.Load() > 0 {
			t.Errorf("%s: it is called", other)
		}
	}
}

func TestRegionsAreAllDrained(t *testing.T) {
	t.Parallel()
	a, b := newPlace(t, ok), newPlace(t, ok)
	f := func(name string, cause, slug string, by func(*config.Config)) {
		t.Helper()
		g := start(t, placed("regions: { a: {}, b: {} }\nfailover: { panic_threshold: 0 }", "", "a="+a.addr, "b="+b.addr), parts{prepare: by})
		c := g.dial()
		c.send(get)
		r, p := c.problem(503)
		if p["cause"] != cause || p["type"] != "urn:weir:problem:"+slug || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %v %v", name, p, r.Header)
		}
	}
	set := func(a, b config.Region) func(*config.Config) { // as an override may say
		return func(cfg *config.Config) { cfg.Regions["a"], cfg.Regions["b"] = a, b }
	}
	f("both drained", "DRN", "drained", set(config.Region{Weight: 1, Drain: true}, config.Region{Weight: 1, Drain: true}))
	f("one drained, one without weight", "DRN", "drained", set(config.Region{Weight: 1, Drain: true}, config.Region{}))
	f("one drained, one disabled", "DRN", "drained", set(config.Region{Weight: 1, Drain: true}, config.Region{Weight: 1, Disabled: true}))
	f("both disabled", "DRN", "drained", set(config.Region{Weight: 1, Disabled: true}, config.Region{Weight: 1, Disabled: true}))
	f("both without weight", "UH", "no_healthy_upstream", set(config.Region{}, config.Region{}))
	if a.dialed.Load()+b.dialed.Load() > 0 {
		t.Error("somebody is called")
	}
}

// Without a panic nobody calls endpoints that are all ill.
func TestRegionsAllDown(t *testing.T) {
	t.Parallel()
	f := func(threshold, status int) {
		t.Helper()
		a, b := newPlace(t, ok), newPlace(t, ok)
		g := start(t, placed(fmt.Sprintf("regions: { a: {}, b: { weight: 0 } }\nfailover: { panic_threshold: %d }", threshold),
			"health_check: { path: /, interval: 10ms, unhealthy_threshold: 1 },", "a="+a.addr, "b="+b.addr), parts{})
		eventually(t, "it is well", func() bool { return split(g).Regions[0].Healthy == 1 })
		c := g.dial()
		c.send(get)
		c.want("GET", 200)
		bad := newPlace(t, says5(500, ""))
		doc := placed(fmt.Sprintf("regions: { a: {}, b: { weight: 0 } }\nfailover: { panic_threshold: %d }", threshold),
			"health_check: { path: /, interval: 10ms, unhealthy_threshold: 1 },", "a="+bad.addr, "b="+b.addr)
		g = start(t, doc, parts{})
		eventually(t, "it is ill", func() bool { return split(g).Regions[0].Healthy == 0 })
		c = g.dial()
		c.send(get)
		if status == 500 {
			c.want("GET", 500) // the endpoint's own
			if !split(g).Panic {
				t.Error("no panic")
			}
		} else if _, p := c.problem(status); p["cause"] != "UH" {
			t.Errorf("%v", p)
		}
	}
	f(0, 503)
	f(50, 500)
}

func split(g *gateway) *table.Split { return g.keeper.Table().Functions["f"].Set().Split }

// No call fails when a whole region goes, however many endpoints it had, and its
// share is with the other one at once.
func TestRegionDies(t *testing.T) {
	t.Parallel()
	b := newPlace(t, ok)
	endpoints := []string{"b=" + b.addr}
	for range 8 {
		endpoints = append(endpoints, "a="+refuses(t))
	}
	g := start(t, placed("regions: { a: { weight: 80 }, b: { weight: 20 } }", "", endpoints...), parts{})
	c := g.dial()
	for range 200 {
		c.send(get)
		c.want("GET", 200)
	}
	if s := split(g); s.Panic || s.Regions[1].Share <= s.Regions[0].Share {
		t.Errorf("%+v", s.Regions)
	}
}

// A second try is at another endpoint of the same region, a third in another one.
func TestTriesAndRegions(t *testing.T) {
	t.Parallel()
	bad, good := says5(503, ""), newPlace(t, ok)
	a1, a2 := newPlace(t, bad), newPlace(t, bad)
	g := start(t, placed("regions: { a: { weight: 1000000 }, b: { weight: 1 } }", "retries: { attempts: 2, retry_on: [503], "+quick+" },",
		"a="+a1.addr, "a="+a2.addr, "b="+good.addr), parts{})
	c := g.dial()
	for i := range int64(10) {
		c.send(get)
		c.want("GET", 200)
		if a1.came.Load() != i+1 || a2.came.Load() != i+1 || good.came.Load() != i+1 {
			t.Fatalf("after %d calls %d, %d and %d", i+1, a1.came.Load(), a2.came.Load(), good.came.Load())
		}
	}
}

// A region that is full gives calls to the other.
func TestRegionIsFull(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	a := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		if _, err := head(br); err == nil {
			<-held
			_, _ = io.WriteString(nc, ok)
		}
	})
	b := newPlace(t, ok)
	doc := strings.Replace(placed("regions: { a: { weight: 1000000 }, b: { weight: 1 } }", "", "a="+a, "b="+b.addr), "region: a,", "region: a, slots: 1,", 1)
	g := start(t, doc, parts{})
	first := g.dial()
	first.send(get)
	eventually(t, "it is full", func() bool { return g.endpoint(0).Link.Slots.InFlight() == 1 })
	c := g.dial()
	c.send(get)
	c.want("GET", 200)
	if b.came.Load() != 1 {
		t.Error("the call waited")
	}
	close(held)
	first.want("GET", 200)
}

// A key is in one region, and clients with a cookie stay while theirs drains.
func TestKeysAndCookiesInRegions(t *testing.T) {
	t.Parallel()
	addrs := numbered(t, 4)
	var endpoints []string
	for i, addr := range addrs {
		endpoints = append(endpoints, []string{"a=", "b="}[i%2]+addr)
	}
	g := start(t, placed("regions: { a: {}, b: {} }", "load_balancing: { policy: consistent_hash, hash_key: 'header:x-user' },", endpoints...), parts{})
	c := g.dial()
	had := map[string]bool{}
	for i := range 40 {
		at := c.asks(5, fmt.Sprintf("X-User: u%d\r\n", i))
		if len(at) != 1 {
			t.Fatalf("key %d was at %v", i, at)
		}
		for n := range at {
			had[n] = true
		}
	}
	if len(had) != 4 {
		t.Errorf("40 keys are at %v", had)
	}

	doc := func(a string) string {
		return placed("regions: { a: { "+a+" }, b: { weight: 1 } }", "load_balancing: { sticky: { cookie: at } },", endpoints[:2]...)
	}
	g = start(t, doc("weight: 1000000"), parts{})
	c = g.dial()
	c.send(get)
	r, at, err := c.answer("GET")
	if err != nil || at != "0" {
		t.Fatal(at, err)
	}
	cookie, _, _ := strings.Cut(r.Header.Get("Set-Cookie"), ";")
	drained, err := config.Parse("test.yaml", []byte("listeners: [{ address: '127.0.0.1:1' }]\n"+doc("drain: true")))
	if err != nil {
		t.Fatal(err)
	}
	g.keeper.Propose(drained)
	eventually(t, "it is drained", func() bool { return split(g).Regions[0].Drain })
	if had := c.asks(20, "Cookie: "+cookie+"\r\n"); had["0"] != 20 {
		t.Errorf("with a cookie: %v", had)
	}
	if had := c.asks(20, ""); had["1"] != 20 {
		t.Errorf("without: %v", had)
	}
	disabled, err := config.Parse("test.yaml", []byte("listeners: [{ address: '127.0.0.1:1' }]\n"+doc("disabled: true")))
	if err != nil {
		t.Fatal(err)
	}
	g.keeper.Propose(disabled)
	eventually(t, "it is disabled", func() bool { return split(g).Regions[0].Disabled })
	if had := c.asks(20, "Cookie: "+cookie+"\r\n"); had["1"] != 20 {
		t.Errorf("with a cookie of a disabled region: %v", had)
	}
}
