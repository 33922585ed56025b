package http1_test

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// inZones is the document of a function whose weir is in zone x, with places there and
// in y, which take so many calls at once.
func inZones(settings string, slots int, x, y []*place) string {
	list := ""
	for zone, all := range map[string][]*place{"x": x, "y": y} {
		for _, p := range all {
			list += fmt.Sprintf("{ address: '%s', zone: %s, slots: %d }, ", p.addr, zone, slots)
		}
	}
	return fmt.Sprintf("zone: x\nfunctions: { f: { load_balancing: { zones: prefer%s }, endpoints: [%s] } }\nroutes: [{ path_prefix: /, function: f }]\n", settings, list)
}

func places(t *testing.T, n int) (all []*place) {
	for range n {
		all = append(all, newPlace(t, ok))
	}
	return all
}

func came(all []*place) (n int64) {
	for _, p := range all {
		n += p.came.Load()
	}
	return n
}

// 20,000 calls stay in the zone as far as the arithmetic says, within 1.2 points, by
// every policy: of one endpoint here and two elsewhere 2 · 1/3.
func TestZoneShares(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"least_request", "round_robin", "peak_ewma"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			x, y := places(t, 1), places(t, 2)
			g := start(t, inZones(", policy: "+policy, 0, x, y), parts{})
			c := g.dial()
			_ = c.SetDeadline(time.Now().Add(time.Minute)) // beside others' work they take a while
			const n = 20_000
			for range n {
				c.send(get)
				c.want("GET", 200)
			}
			if got := float64(came(x)) / n; math.Abs(got-2./3) > 0.012 {
				t.Errorf("%.4f of the calls stay, want 0.6667", got)
			}
		})
	}
}

// Zones that weigh the same keep all of their calls; who is alone has none of it.
func TestZonesKeepTheirCalls(t *testing.T) {
	t.Parallel()
	x, y := places(t, 2), places(t, 2)
	g := start(t, inZones("", 0, x, y), parts{})
	for range 500 {
		c := g.dial()
		c.send(get)
		c.want("GET", 200)
		c.Close()
	}
	if n := came(y); n > 0 {
		t.Errorf("%d calls have left the zone", n)
	}
	if a, b := x[0].came.Load(), x[1].came.Load(); a < 150 || b < 150 {
		t.Errorf("%d and %d in the zone", a, b)
	}
	alone := places(t, 2)
	g = start(t, inZones("", 0, nil, alone), parts{})
	c := g.dial()
	c.send(get)
	c.want("GET", 200)
}

// A call that finds its zone full, or nobody who answers there, goes to the other one.
func TestZoneIsLeft(t *testing.T) {
	t.Parallel()
	stuck, y := newPlace(t, " "), places(t, 1)
	g := start(t, inZones("", 1, []*place{stuck}, y), parts{})
	waits := g.dial()
	waits.send(get) // and has the only slot here
	eventually(t, "it is there", func() bool { return stuck.came.Load() == 1 })
	c := g.dial()
	for range 3 {
		c.send(get)
		c.want("GET", 200)
	}
	if n := y[0].came.Load(); n != 3 {
		t.Errorf("%d of 3 calls went to the other zone", n)
	}
	gone := &place{addr: refuses(t)}
	g = start(t, inZones("", 0, []*place{gone}, y), parts{})
	c = g.dial()
	for range 3 {
		c.send(get)
		c.want("GET", 200)
	}
	if n := y[0].came.Load(); n != 6 {
		t.Errorf("%d of 6 calls went to the other zone", n)
	}
}
