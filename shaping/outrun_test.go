package shaping

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/internal/moment"
)

// Three calls in a row that were lost make it last, for 1 s, then for twice as long
// with the first that is lost after that; one that was won ends all of it.
func TestOutrun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o Outrun
		now := moment.Of(time.Unix(1e9, 0))
		lost, aside := 0, time.Duration(0)
		until := now
		t.Repeat(map[string]func(*rapid.T){
			"lost": func(t *rapid.T) {
				lost++
				want := lost >= 3 && now >= until
				if want {
					aside = min(max(2*aside, time.Second), 30*time.Second)
					until = now.Add(aside)
				}
				if got := o.Lost(now); got != want {
					t.Fatalf("%d lost in a row: told %v, want %v", lost, got, want)
				}
			},
			"won": func(*rapid.T) {
				o.Won()
				lost, aside, until = 0, 0, now
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 40_000).Draw(t, "ms")) * time.Millisecond)
			},
			"": func(t *rapid.T) {
				if got, want := o.Last(now), now < until; got != want {
					t.Fatalf("last %v, want %v", got, want)
				}
			},
		})
	})
}
