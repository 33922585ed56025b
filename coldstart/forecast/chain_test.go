package forecast

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestChains(t *testing.T) {
	one, two := Trace{1}, Trace{2}
	for _, c := range []struct {
		what  string
		n     int
		visit func(c *Chains, i int, at time.Time)
		want  []string
	}{
		{"every time", 21, func(c *Chains, _ int, at time.Time) {
			c.Visit("a", at, Trace{})
			c.Visit("b", at.Add(5*time.Second), Trace{})
		}, []string{"b"}},
		{"too few", 19, func(c *Chains, _ int, at time.Time) {
			c.Visit("a", at, Trace{})
			c.Visit("b", at.Add(time.Second), Trace{})
		}, nil},
		{"too late", 50, func(c *Chains, _ int, at time.Time) {
			c.Visit("a", at, Trace{})
			c.Visit("b", at.Add(5*time.Second+1), Trace{})
		}, nil},
		{"two times of three", 150, func(c *Chains, i int, at time.Time) {
			c.Visit("a", at, Trace{})
			if i%3 > 0 {
				c.Visit("b", at.Add(time.Second), Trace{})
			}
		}, []string{"b"}},
		{"one time of two", 150, func(c *Chains, i int, at time.Time) {
			c.Visit("a", at, Trace{})
			if i%2 > 0 {
				c.Visit("b", at.Add(time.Second), Trace{})
			}
		}, nil},
		{"twice for one is once", 150, func(c *Chains, i int, at time.Time) {
			c.Visit("a", at, Trace{})
			if i%2 > 0 {
				c.Visit("b", at.Add(time.Second), Trace{})
				c.Visit("b", at.Add(2*time.Second), Trace{})
			}
		}, nil},
		{"several", 50, func(c *Chains, _ int, at time.Time) {
			c.Visit("a", at, one)
			c.Visit("c", at.Add(time.Second), one)
			c.Visit("b", at.Add(2*time.Second), one)
		}, []string{"b", "c"}},
		{"by chance, and the traces say so", 50, func(c *Chains, _ int, at time.Time) {
			c.Visit("a", at, one)
			c.Visit("b", at.Add(time.Second), two)
			c.Visit("c", at.Add(time.Second), one)
		}, []string{"c"}},
		{"of one the trace is not known", 50, func(c *Chains, _ int, at time.Time) {
			c.Visit("a", at, one)
			c.Visit("b", at.Add(time.Second), Trace{})
		}, []string{"b"}},
		{"of old, and no more", 450, func(c *Chains, i int, at time.Time) {
			c.Visit("a", at, Trace{})
			if i < 200 {
				c.Visit("b", at.Add(time.Second), Trace{})
			}
		}, nil},
	} {
		chains, at := NewChains(), time.Unix(0, 0)
		for i := range c.n {
			c.visit(chains, i, at)
			at = at.Add(time.Minute)
		}
		chains.Visit("a", at, Trace{})
		if got := chains.After("a"); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// Whoever comes in whatever order, memory and shares are bounded.
func TestChainsAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, at := NewChains(), time.Unix(0, 0)
		names := rapid.IntRange(2, 60).Draw(t, "names")
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 1<<30), 0, 2000).Draw(t, "visits") {
			c.Visit(fmt.Sprint(n%names), at, Trace{})
			at = at.Add(time.Duration(n % 9000 * int(time.Millisecond)))
		}
		for name, f := range c.firsts {
			if f.visits >= 2*recentVisits || len(f.followers) > maxFollowers {
				t.Fatalf("%s: %d visits, %d followers", name, f.visits, len(f.followers))
			}
			for follower, n := range f.followers {
				if n > f.visits || follower == name {
					t.Fatalf("%s was followed by %s on %d of %d visits", name, follower, n, f.visits)
				}
			}
		}
	})
	c, at := NewChains(), time.Unix(0, 0)
	for i := range 3 * maxFirsts {
		c.Visit(fmt.Sprint(i), at, Trace{})
	}
	if len(c.firsts) > maxFirsts || len(c.lately) > maxLately {
		t.Errorf("%d functions and %d visits are remembered", len(c.firsts), len(c.lately))
	}
	c.Forget(func(name string) bool { return name == "1" })
	if len(c.firsts) != 1 {
		t.Errorf("%d functions are remembered that are no more", len(c.firsts)-1)
	}
}
