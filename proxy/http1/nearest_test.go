package http1_test

import (
	"strings"
	"testing"
)

const twoPlaces = `regions: { a: { location: [39.04, -77.49] }, b: { location: [53.35, -6.26] } }
geography: { places: [{ cidr: %s, location: [48.86, 2.35] }], header: x-client-location }
`

// Calls go to the region that is nearest to the client; a trusted proxy may say
// where that is, and a stranger may not.
func TestNearestRegion(t *testing.T) {
	t.Parallel()
	f := func(name, client string, p parts, field, want string) {
		t.Helper()
		a, b := newPlace(t, ok), newPlace(t, ok)
		g := start(t, placed(strings.Replace(twoPlaces, "%s", client, 1), "load_balancing: { regions: nearest },", "a="+a.addr, "b="+b.addr), p)
		c := g.dial()
		const n = 40
		for range n {
			c.send("GET / HTTP/1.1\r\nHost: h\r\n" + field + "\r\n")
			c.want("GET", 200)
		}
		got := "both"
		if a.came.Load() == n {
			got = "a"
		} else if b.came.Load() == n {
			got = "b"
		}
		if got != want {
			t.Errorf("%s: %s is called (%d, %d), want %s", name, got, a.came.Load(), b.came.Load(), want)
		}
	}
	const here, elsewhere = "127.0.0.0/8", "192.0.2.0/24"
	us := "X-Client-Location: 40.7, -74\r\n"
	trusted := parts{prepare: trustLoopback}
	f("a listed address", here, parts{}, "", "b")
	f("nobody knows", elsewhere, parts{}, "", "both")
	f("a stranger says so", here, parts{}, us, "b")
	f("a stranger says so, and nobody knows", elsewhere, parts{}, us, "both")
	f("a trusted proxy says so", here, trusted, us, "a")
	f("a trusted proxy talks nonsense", here, trusted, "X-Client-Location: 91, 0\r\n", "b")
	f("a trusted proxy says nothing", here, trusted, "", "b")
	f("of another client", "198.51.100.7/32", trusted, "X-Forwarded-For: 198.51.100.7\r\n", "b")
}

// The next one takes what the nearest cannot, and a retry goes on to it.
func TestNearestRegionIsAway(t *testing.T) {
	t.Parallel()
	doc := strings.Replace(twoPlaces, "%s", "127.0.0.0/8", 1)
	b := newPlace(t, ok)
	g := start(t, placed(doc, "load_balancing: { regions: nearest },", "b="+refuses(t), "a="+b.addr), parts{})
	for range 5 {
		c := g.dial()
		c.send(get)
		c.want("GET", 200)
	}
	if n := b.came.Load(); n != 5 {
		t.Errorf("%d calls came", n)
	}
}

// Where the regions together suffice for a client, health counts, though for clients
// of which nobody knows where they are there is a panic.
func TestNearestRegionsDoNotPanicTooSoon(t *testing.T) {
	t.Parallel()
	var endpoints []string
	for i := range 10 {
		region, p := []string{"a=", "b="}[i%2], newPlace(t, ok)
		if i >= 4 {
			p = newPlace(t, says5(500, ""))
		}
		endpoints = append(endpoints, region+p.addr)
	}
	g := start(t, placed(strings.Replace(twoPlaces, "%s", "127.0.0.0/8", 1),
		"load_balancing: { regions: nearest }, health_check: { path: /, interval: 10ms, unhealthy_threshold: 1 },", endpoints...), parts{})
	eventually(t, "six are ill", func() bool { s := split(g); return s.Panic && s.Regions[0].Healthy == 2 && s.Regions[1].Healthy == 2 })
	c := g.dial()
	for range 50 {
		c.send(get)
		c.want("GET", 200)
	}
}
