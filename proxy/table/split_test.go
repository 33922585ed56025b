package table

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

func splitOf(weights []int, sticky *config.Sticky) *Route {
	var routes []*Route
	for i := range weights {
		routes = append(routes, &Route{Function: &Function{Function: config.Function{Name: fmt.Sprint("f", i)}}})
	}
	return &Route{split: newSplit(routes, weights, sticky)}
}

// Whatever the weights, after any number of calls nobody is a whole call ahead
// or behind, and a weight of 0 gets none.
func TestTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(0, 100), 1, 16).Draw(t, "weights")
		sum := 0
		for _, w := range weights {
			sum += w
		}
		if sum == 0 {
			t.Skip("the configuration refuses it")
		}
		order := turns(weights)
		had := make([]int, len(weights))
		for k, i := range order {
			had[i]++
			for j, w := range weights {
				if off := float64(had[j]) - float64(w*(k+1))/float64(sum); math.Abs(off) >= 1 {
					t.Fatalf("%v: after %d calls %d has %d, which is %.2f off", weights, k+1, j, had[j], off)
				}
			}
		}
		for j, w := range weights {
			if had[j]*sum != w*len(order) {
				t.Fatalf("%v: %d has %d of %d", weights, j, had[j], len(order))
			}
		}
	})
}

func TestWindowsOfTen(t *testing.T) {
	to := splitOf([]int{80, 20}, nil)
	var last []string
	for range 10_000 {
		last = append(last, to.Pick(&message.Request{}).Name)
		if len(last) < 10 {
			continue
		}
		n := 0
		for _, name := range last[len(last)-10:] {
			if name == "f0" {
				n++
			}
		}
		if n < 7 || n > 9 {
			t.Fatalf("%d of 10 went to the function with 80 %%", n)
		}
	}
}

func keyed(i int) *message.Request {
	return &message.Request{Fields: []message.Field{{Name: []byte("X-User"), Value: fmt.Appendf(nil, "user-%d", i)}}}
}

func TestStickyShares(t *testing.T) {
	const n = 20_000
	to := splitOf([]int{5, 80, 15, 0}, &config.Sticky{Header: "x-user"})
	got := map[string]int{}
	for i := range n {
		name := to.Pick(keyed(i)).Name
		if again := to.Pick(keyed(i)).Name; again != name {
			t.Fatalf("user %d goes to %s, then to %s", i, name, again)
		}
		got[name]++
	}
	for i, share := range []float64{0.05, 0.8, 0.15, 0} {
		// Four standard deviations of a draw.
		if off := math.Abs(float64(got[fmt.Sprint("f", i)])/n - share); off > 4*math.Sqrt(share*(1-share)/n) {
			t.Errorf("f%d has %d of %d, want %.0f %%", i, got[fmt.Sprint("f", i)], n, 100*share)
		}
	}
}

// When a weight grows, calls move to its function only; when a function goes,
// only its own move.
func TestStickyMovesNoMoreThanItMust(t *testing.T) {
	const n = 20_000
	sticky := &config.Sticky{Header: "x-user"}
	before, grown, gone := splitOf([]int{5, 80, 15}, sticky), splitOf([]int{20, 80, 15}, sticky), splitOf([]int{5, 80, 0}, sticky)
	moved := 0
	for i := range n {
		was := before.Pick(keyed(i)).Name
		if now := grown.Pick(keyed(i)).Name; now != was {
			moved++
			if now != "f0" {
				t.Fatalf("user %d moves from %s to %s, and only f0 has grown", i, was, now)
			}
		}
		if now := gone.Pick(keyed(i)).Name; now != was && was != "f2" {
			t.Fatalf("user %d moves from %s to %s, and only f2 has gone", i, was, now)
		}
	}
	want := 20.0/115 - 5.0/100
	if got := float64(moved) / n; math.Abs(got-want) > 0.01 {
		t.Errorf("%.3f of the users move, want %.3f", got, want)
	}
}

func TestStickyCookie(t *testing.T) {
	to := splitOf([]int{50, 50}, &config.Sticky{Cookie: "session"})
	seen := map[string]bool{}
	for i := range 50 {
		r := &message.Request{Fields: []message.Field{{Name: []byte("cookie"), ID: message.Cookie, Value: fmt.Appendf(nil, "a=%d; session=s%d", i, i%10)}}}
		name := to.Pick(r).Name
		seen[fmt.Sprint(i%10, name)] = true
	}
	if len(seen) != 10 {
		t.Errorf("ten sessions are with %v", seen)
	}
}

func TestPickAllocs(t *testing.T) {
	to, r := splitOf([]int{5, 95}, &config.Sticky{Cookie: "session"}), &message.Request{Fields: []message.Field{{Name: []byte("cookie"), ID: message.Cookie, Value: []byte("session=1")}}}
	plain := splitOf([]int{5, 95}, nil)
	if n := testing.AllocsPerRun(100, func() { to.Pick(r); plain.Pick(r) }); n > 0 {
		t.Errorf("a split allocates %.0f times", n)
	}
}

func BenchmarkPick(b *testing.B) {
	r := keyed(1)
	b.Run("turns", func(b *testing.B) {
		to := splitOf([]int{5, 95}, nil)
		for b.Loop() {
			to.Pick(r)
		}
	})
	b.Run("sticky", func(b *testing.B) {
		to := splitOf([]int{5, 95}, &config.Sticky{Header: "x-user"})
		for b.Loop() {
			to.Pick(r)
		}
	})
}

// Of a route that services declare, who has no endpoint leaves its calls to the
// others, however the weights stand.
func TestSplitYields(t *testing.T) {
	state := func(endpoints int) *State {
		s := &State{}
		s.set.Store(&Set{Endpoints: make([]*Endpoint, endpoints)})
		return s
	}
	routes := []*Route{
		{Function: &Function{Function: config.Function{Name: "a"}, State: state(0)}},
		{Function: &Function{Function: config.Function{Name: "b"}, State: state(1)}},
		{Function: &Function{Function: config.Function{Name: "c"}, State: state(2)}},
	}
	to := &Route{split: newSplit(routes, []int{8, 1, 1}, nil)}
	picked := func(n int) map[string]int {
		all := map[string]int{}
		for range n {
			all[to.Pick(&message.Request{}).Name]++
		}
		return all
	}
	if all := picked(100); all["a"] != 80 {
		t.Errorf("of a route of the configuration %v are picked", all)
	}
	to.split.yields = true
	if all := picked(100); all["a"] > 0 || all["b"] < 30 || all["c"] < 30 {
		t.Errorf("%v are picked", all)
	}
	routes[1].set.Store(&Set{})
	routes[2].set.Store(&Set{})
	if all := picked(100); all["a"] != 80 {
		t.Errorf("where nobody serves %v are picked", all)
	}
}

// A cookie is found where it is by a reading of all of them.
func TestCookieValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var fields []message.Field
		for range rapid.IntRange(1, 2).Draw(t, "fields") {
			value := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"ab", "a", "b", "=", ";", "; ", " ", "\t", `"`, "ab=", ";ab=x"}), 0, 12).Draw(t, "value"), "")
			fields = append(fields, message.Field{Name: []byte("cookie"), ID: message.Cookie, Value: []byte(value)})
		}
		var want []byte
		eachCookie(fields, func(name, value []byte) bool {
			if string(name) == "ab" && value != nil {
				want = value
			}
			return want == nil
		})
		if got := CookieValue(fields, []byte("ab")); !bytes.Equal(got, want) || (got == nil) != (want == nil) {
			t.Fatalf("of %v: %q, want %q", fields, got, want)
		}
	})
}
