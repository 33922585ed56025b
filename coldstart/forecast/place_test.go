package forecast

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPlace(t *testing.T) {
	name := rapid.StringMatching(`[a-z0-9-]{1,20}`)
	rapid.Check(t, func(t *rapid.T) {
		function := name.Draw(t, "function")
		names := rapid.SliceOfNDistinct(name, 1, 20, rapid.ID).Draw(t, "names")
		placed := Place(function, names)
		if got := Place(function, rapid.Permutation(names).Draw(t, "in another order")); !slices.Equal(got, placed) {
			t.Fatalf("%v in another order: %v", placed, got)
		}
		sorted := slices.Sorted(slices.Values(placed))
		if !slices.Equal(sorted, slices.Sorted(slices.Values(names))) {
			t.Fatalf("of %v: %v", names, placed)
		}
		// Who leaves takes along nothing but itself.
		leaver := rapid.SampledFrom(names).Draw(t, "leaver")
		without := func(all []string) []string {
			return slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == leaver })
		}
		if got := Place(function, without(names)); !slices.Equal(got, without(placed)) {
			t.Fatalf("without %s %v became %v", leaver, placed, got)
		}
	})
}

// Everyone gets his share, however alike the names are.
func TestPlaceIsEven(t *testing.T) {
	routers := []string{"weir-1", "weir-2", "weir-3", "weir-4", "weir-5"}
	first, second := map[string]int{}, map[string]int{}
	const functions = 10_000
	for i := range functions {
		placed := Place(fmt.Sprintf("function-%d", i), routers)
		first[placed[0]]++
		second[placed[1]]++
	}
	for _, r := range routers {
		for _, n := range []int{first[r], second[r]} {
			if share := functions / len(routers); n < share*9/10 || n > share*11/10 {
				t.Errorf("%s has %d of %d, a fair share is %d", r, n, functions, share)
			}
		}
	}
}
