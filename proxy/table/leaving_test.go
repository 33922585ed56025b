package table

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"
)

// An endpoint that left is counted as long as a call is on it, and not if it is back.
func TestLeavingEndpointsAreCounted(t *testing.T) {
	keep(t, "functions: { f: {} }\n", func(t *testing.T, k *keeping) {
		want := func(what string, counts map[string]int) {
			t.Helper()
			synctest.Wait()
			if got := k.function("f").Leaving(); !maps.Equal(got, counts) {
				t.Errorf("%s: %v, want %v", what, got, counts)
			}
		}
		k.source.say("f", append(in("a", 2), in("b", 2)...)...)
		want("all are here", nil)
		links := k.function("f").Set().Endpoints
		links[0].Link.Slots.Take()
		links[3].Link.Slots.Take()
		k.source.say("f", in("a", 1)...) // a1 leaves without a call, b1 with one
		want("two have left", map[string]int{"b": 1})
		k.source.say("f", append(in("a", 1), in("b", 2)...)...)
		want("they are back", nil)
		k.source.say("f")
		want("all have left", map[string]int{"a": 1, "b": 1})
		links[0].Link.Slots.GiveBack()
		time.Sleep(sweepEvery)
		want("one call has ended", map[string]int{"b": 1})
		links[3].Link.Slots.GiveBack()
		time.Sleep(sweepEvery)
		want("all have", nil)
	})
}
