package http1_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const weighed = "tenants: { header: X-Tenant, weights: { gold: 2 } }\n"

// What comes free goes to those who wait, by their weights, and not by how many calls
// they have in line.
func TestTenantsShareWhatComesFree(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	g := start(t, withLimit("max_requests: 1, max_pending: 50, queue_timeout: 10s", d.addr)+weighed, parts{prepare: trustLoopback})
	d.asks(t, g.dial(), "/-")
	var clients []*client
	sends := func(tenant, path string, n int) {
		for range n {
			c := g.dial()
			c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\nX-Tenant: " + tenant + "\r\n\r\n")
			clients = append(clients, c)
			g.held(len(clients))
		}
	}
	sends("flood", "/f", 6)
	sends("gold", "/g", 4)
	sends("", "/n", 2)
	close(d.letGo)
	for _, c := range clients {
		c.want("GET", 200)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if order := strings.ReplaceAll(strings.Join(d.paths, ""), "/", ""); order != "-gfgngfgnffff" {
		t.Errorf("in the order %s", order)
	}
}

// A weight that changes counts from the tenant's next call on, and those who wait stay.
func TestWeightsChange(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	doc := withLimit("max_requests: 1, max_pending: 50, queue_timeout: 10s", d.addr)
	g := start(t, doc+weighed, parts{prepare: trustLoopback})
	d.asks(t, g.dial(), "/-")
	var clients []*client
	sends := func(tenant, path string) {
		c := g.dial()
		c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\nX-Tenant: " + tenant + "\r\n\r\n")
		clients = append(clients, c)
		g.held(len(clients))
	}
	for range 3 {
		sends("flood", "/f")
		sends("gold", "/g")
	}
	g.reload(doc + strings.Replace(weighed, "gold: 2", "flood: 4", 1))
	sends("flood", "/f")
	sends("gold", "/g")
	close(d.letGo)
	for _, c := range clients {
		c.want("GET", 200)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if order := strings.ReplaceAll(strings.Join(d.paths, ""), "/", ""); order != "-gfffgfgg" {
		t.Errorf("in the order %s", order)
	}
}

// A flood of one tenant gives up places in the line to another, as long as that has less
// than its share.
func TestAFloodDoesNotFillTheLine(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	g := start(t, withLimit("max_requests: 1, max_pending: 4, queue_timeout: 10s", d.addr)+weighed, parts{prepare: trustLoopback})
	d.asks(t, g.dial(), "/")
	comes := func(tenant string) *client {
		c := g.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Tenant: " + tenant + "\r\n\r\n")
		return c
	}
	var flood []*client
	for i := range 4 {
		flood = append(flood, comes("flood"))
		g.held(i + 1)
	}
	wantOverloaded(t, comes("flood"))
	modest := comes("modest")
	wantOverloaded(t, flood[3])
	second := comes("modest")
	wantOverloaded(t, flood[2])
	wantOverloaded(t, comes("modest"))
	wantOverloaded(t, comes("flood"))
	g.held(4)
	close(d.letGo)
	for _, c := range []*client{flood[0], flood[1], modest, second} {
		c.want("GET", 200)
	}
}

// Two tenants that call as fast as they are answered, one on four times as many
// connections: each has what its weight says.
func TestSharesUnderLoad(t *testing.T) {
	t.Parallel()
	var served [2]atomic.Int64
	const all = 900
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served[0].Load()+served[1].Load() < all {
			served[strings.Count(r.Header.Get("X-Tenant"), "gold")].Add(1)
		}
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(endpoint.Close)
	g := start(t, withLimit("max_requests: 1, max_pending: 100, queue_timeout: 60s", endpoint.Listener.Addr().String())+weighed, parts{prepare: trustLoopback})
	var work sync.WaitGroup
	for i := range 30 {
		tenant := map[bool]string{true: "gold", false: "flood"}[i%5 == 0]
		c := g.dial()
		work.Go(func() {
			for served[0].Load()+served[1].Load() < all {
				c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Tenant: " + tenant + "\r\n\r\n")
				if r, _, err := c.answer("GET"); err != nil || r.StatusCode != 200 {
					t.Errorf("%v %v", r, err)
					return
				}
			}
		})
	}
	work.Wait()
	flood, gold := served[0].Load(), served[1].Load()
	if part := float64(gold) / float64(gold+flood); part < 0.6 || part > 0.72 {
		t.Errorf("gold had %d of %d calls, %.2f of them, want two thirds", gold, gold+flood, part)
	}
}

func TestLimitOfEachTenant(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	g := start(t, withLimit("max_requests: 3, max_pending: 10, queue_timeout: 10s, per_tenant: 2", d.addr)+weighed, parts{prepare: trustLoopback})
	ask := func(c *client, tenant string) {
		c.send(fmt.Sprintf("GET / HTTP/1.1\r\nHost: h\r\nX-Tenant: %s\r\n\r\n", tenant))
	}
	turnedAway := func(tenant string) {
		t.Helper()
		c := g.dial()
		ask(c, tenant)
		r, p := c.problem(429)
		if p["type"] != "urn:weir:problem:concurrency_limited" || p["cause"] != "RL" || r.Header.Get("Retry-After") == "" {
			t.Errorf("%v, Retry-After %q", p, r.Header.Get("Retry-After"))
		}
	}
	var clients []*client
	for i, tenant := range []string{"a", "a", "b", "b", ""} { // the last two wait
		c := g.dial()
		ask(c, tenant)
		clients = append(clients, c)
		eventually(t, "it is inside", func() bool { return int(d.in.Load()) == min(i+1, 3) })
		g.held(max(0, i-2))
	}
	turnedAway("a")
	turnedAway("b") // one of whose waits
	fn := g.keeper.Table().Functions["f"]
	if n := fn.Crowd.Refused(); n != 2 {
		t.Errorf("%d were turned away", n)
	}
	close(d.letGo)
	for _, c := range clients {
		c.want("GET", 200)
	}
	eventually(t, "all have left", func() bool { inside, _ := fn.Gate.Inside(); return inside == 0 })
	again := g.dial()
	for range 5 { // one after the other
		ask(again, "a")
		again.want("GET", 200)
	}
}
