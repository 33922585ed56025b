package table

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/shaping"
)

// A step is what Ramp says, rounded down to a twentieth, and lasts until the next one.
func TestStepOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := config.SlowStart{
			Window:           time.Duration(rapid.Int64Range(int64(100*time.Millisecond), int64(time.Hour)).Draw(t, "window")),
			MinWeightPercent: rapid.IntRange(1, 100).Draw(t, "least"),
			Aggression:       rapid.Float64Range(.1, 10).Draw(t, "aggression"),
		}
		at := time.Duration(rapid.Int64Range(0, int64(2*s.Window)).Draw(t, "t"))
		step, until := stepOf(at, s)
		ramp := shaping.Ramp(at, s.Window, float64(s.MinWeightPercent)/100, s.Aggression)
		if float64(step) > ramp*steps+1e-6 && step > 1 || float64(step) < ramp*steps-1-1e-6 {
			t.Fatalf("step %d, Ramp says %v", step, ramp)
		}
		if step == steps {
			return
		}
		if until <= at && at >= time.Second {
			t.Fatalf("step %d at %v until %v", step, at, until)
		}
		if later, _ := stepOf(until+time.Microsecond, s); later <= step {
			t.Fatalf("step %d until %v, then %d", step, until, later)
		}
	})
}

// pulls are what the endpoints weigh, in twentieths: "a0 20 a1 2".
func (k *keeping) pulls(function string) string {
	var words []string
	for _, ep := range k.function(function).Set().Endpoints {
		words = append(words, fmt.Sprint(ep.ID, " ", ep.Pull()))
	}
	return strings.Join(words, " ")
}

const rising = "functions: { f: { load_balancing: { slow_start: { window: 20s } } } }\n"

// Who comes to others, or back to them, has its calls by and by; who is there at the
// start, or alone, has all of them at once.
func TestSlowStartOfEndpoints(t *testing.T) {
	want := func(t *testing.T, k *keeping, pulls string) {
		t.Helper()
		synctest.Wait()
		if got := k.pulls("f"); got != pulls {
			t.Fatalf("%s, want %s", got, pulls)
		}
	}
	for name, doc := range map[string]string{"one region": rising, "two regions": twoRegions + rising} {
		t.Run(name, func(t *testing.T) {
			keep(t, doc, func(t *testing.T, k *keeping) {
				k.source.say("f", in("a", 2)...)
				want(t, k, "a0 20 a1 20")
				time.Sleep(10 * time.Second)
				k.source.say("f", in("a", 3)...)
				want(t, k, "a0 20 a1 20 a2 2") // a tenth is the least
				set := k.function("f").Set()
				if got := set.StateOf(set.Endpoints[2], time.Now()); got != Rising {
					t.Errorf("its state is %s", got)
				}
				time.Sleep(10*time.Second + time.Millisecond)
				want(t, k, "a0 20 a1 20 a2 10")
				if n := drawsOf(k.function("f").Set(), "a2"); n < 17_000 || n > 23_000 {
					t.Errorf("%d of 100,000 draws, want 20,000", n)
				}
				time.Sleep(10 * time.Second)
				want(t, k, "a0 20 a1 20 a2 20")

				k.ail("f", "a", 1) // and is well again
				want(t, k, "a0 20 a1 20 a2 20")
				k.ail("f", "a", 0)
				want(t, k, "a0 2 a1 20 a2 20")
				time.Sleep(25 * time.Second)
				want(t, k, "a0 20 a1 20 a2 20")

				fn := k.function("f")
				fn.Broke(fn.Set().Endpoints[1], moment.Now()) // for a second
				want(t, k, "a0 20 a1 20 a2 20")
				time.Sleep(time.Second + time.Millisecond)
				want(t, k, "a0 20 a1 2 a2 20")

				k.ail("f", "a", 3) // all come back together
				k.ail("f", "a", 0)
				want(t, k, "a0 20 a1 20 a2 20")
				k.source.say("f", in("a", 1)...)
				want(t, k, "a0 20")
			})
		})
	}
}

// drawsOf is how many of 100,000 draws one endpoint has.
func drawsOf(set *Set, id string) (n int) {
	if set.Split != nil {
		set = set.Split.Best[0].Set
	}
	at := slices.IndexFunc(set.Endpoints, func(ep *Endpoint) bool { return ep.ID == id })
	r := uint64(1)
	for range 100_000 {
		r = mix(r)
		if set.Draw(r) == set.Endpoints[at] {
			n++
		}
	}
	return n
}
