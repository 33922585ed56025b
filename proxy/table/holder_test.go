package table

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

func someRouters(n int) (all []Router) {
	for i := range n {
		all = append(all, Router{Address: fmt.Sprintf("10.0.0.%d:8080", i+1)})
	}
	return all
}

// All routers have the same order, whoever of them asks and in whatever order they are
// listed; without one of them it is the order of the others.
func TestOrderOfRouters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := someRouters(rapid.IntRange(2, 12).Draw(t, "routers"))
		function := rapid.StringMatching(`[a-z0-9-]{1,20}`).Draw(t, "function")
		first := order(function, all)
		self := rapid.IntRange(0, len(all)-1).Draw(t, "self")
		seen := rapid.Permutation(all).Draw(t, "listed")
		for i := range seen {
			seen[i].Self = seen[i] == all[self]
		}
		for i, r := range order(function, seen) {
			if r.Address != first[i].Address {
				t.Fatalf("%v, by another router %v", first, order(function, seen))
			}
		}
		gone := rapid.IntRange(0, len(all)-1).Draw(t, "gone")
		rest := slices.DeleteFunc(slices.Clone(first), func(r Router) bool { return r == all[gone] })
		if got := order(function, slices.Delete(slices.Clone(all), gone, gone+1)); !slices.Equal(got, rest) {
			t.Fatalf("without %v: %v, want %v", all[gone], got, rest)
		}
		unlisted := order(function, append(slices.Clone(all), Router{Self: true}))
		if last := len(all); unlisted[last] != (Router{Self: true}) || !slices.Equal(unlisted[:last], first) {
			t.Fatalf("one that nobody lists: %v", unlisted)
		}
	})
}

// Functions are spread evenly: of 3,000 among three routers each has 1,000, give or take
// 4 standard deviations (26 each).
func TestFunctionsAreSpread(t *testing.T) {
	held := map[Router]int{}
	for i := range 3000 {
		held[order(fmt.Sprintf("function-%d", i), someRouters(3))[0]]++
	}
	for r, n := range held {
		if n < 896 || n > 1104 {
			t.Errorf("%s holds %d of 3000", r.Address, n)
		}
	}
}

// Whatever comes first, the routers or the function, and whatever changes, the function
// is held by whom it should be: min_scale runs where it is held, and nowhere else.
func TestPlacementFollows(t *testing.T) {
	doc := func(placement string) string {
		return "peers: { addresses: [\"10.0.0.1:8080\"] }\nscalers: { p: { type: process } }\n" +
			"functions: { f: { cold_start: { scaler: p, min_scale: 1, placement: " + placement + " }, process: { command: [x] } } }\n"
	}
	keep(t, doc("one_router"), func(t *testing.T, k *keeping) {
		want := func(what, holder, state string) {
			t.Helper()
			synctest.Wait()
			if got := k.function("f").Start.Status().State; got != state {
				t.Errorf("%s: it is %s, want %s", what, got, state)
			}
			got := "this one"
			if before := k.function("f").Holders(); len(before) > 0 {
				got = before[0].Addr
			}
			if got != holder {
				t.Errorf("%s: %s holds it, want %s", what, got, holder)
			}
		}
		first := order("f", someRouters(2))
		self, other := first[1], first[0]
		self.Self = true
		want("nobody has said who there is", "this one", "cold")
		k.Alone()
		want("nobody has for a while", "this one", "starting")
		k.Routers([]Router{self, other})
		k.Alone() // it is known
		want("there are two", other.Address, "starting")
		link := k.function("f").Holders()[0]
		k.Routers([]Router{self})
		want("the other one has gone", "this one", "starting")
		k.Routers(nil)
		want("there are none", "this one", "starting")
		k.Routers([]Router{self, other})
		want("it is back", other.Address, "starting")
		if k.function("f").Holders()[0] == link {
			t.Error("who has gone and come has the connections from before")
		}
		k.propose(t, doc("each_router"))
		want("each for itself", "this one", "starting")
		k.propose(t, doc("one_router"))
		want("and not any more", other.Address, "starting")
	})
}
