package table

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
)

// some makes a set with these weights.
func some(policy string, weights ...int) *Set {
	s := &Set{}
	for i, w := range weights {
		s.Endpoints = append(s.Endpoints, &Endpoint{Endpoint: discovery.Endpoint{ID: fmt.Sprint("10.0.", i>>8, ".", i&255, ":80"), Weight: w}, Link: &Link{}})
	}
	s.arrange(config.LoadBalancing{Policy: policy, Sticky: &config.StickyEndpoint{Cookie: "weir"}})
	return s
}

func equal(n int) []int {
	weights := make([]int, n)
	for i := range weights {
		weights[i] = 1
	}
	return weights
}

const golden = 0x9e3779b97f4a7c15

// In any part of a round each has its share, give or take what rounding costs:
// at either end of the part half a turn of its own, and its share of half a turn
// of each other's; where several are due at once, one more in all.
func TestRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 100), 1, 8).Draw(t, "weights")
		s := some("round_robin", weights...)
		from, n := rapid.Uint64Max(1_000_000).Draw(t, "from"), rapid.IntRange(1, 2000).Draw(t, "turns")
		had := map[*Endpoint]int{}
		for i := range n {
			had[s.Turn(from+uint64(i))]++
		}
		for i, ep := range s.Endpoints {
			due := float64(n) * float64(steps*weights[i]) / float64(s.weight)
			most := 2 + float64(steps*len(weights)*weights[i])/float64(s.weight)
			if off := float64(had[ep]) - due; off > most || off < -most {
				t.Fatalf("%d of %d turns, due are %.2f of %v", had[ep], n, due, weights)
			}
		}
	})
	two := some("round_robin", 80, 20)
	for from := range uint64(100) {
		first := 0
		for i := range uint64(10) {
			if two.Turn(from+i) == two.Endpoints[0] {
				first++
			}
		}
		if first < 7 || first > 9 {
			t.Errorf("from %d on the first of 80 and 20 has %d of ten", from, first)
		}
	}
	for _, huge := range [][]int{{1, 1 << 30}, {1<<30 - 1, 1 << 30}} {
		if n := len(some("round_robin", huge...).turns); n > mostTurns+len(huge) {
			t.Errorf("%v: a round of %d", huge, n)
		}
	}
}

// An endpoint that leaves takes only its own keys along; and all have their
// share of keys.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 30).Draw(t, "endpoints")
		all := some("consistent_hash", equal(n)...)
		gone := rapid.IntRange(0, n-1).Draw(t, "gone")
		rest := &Set{}
		for i, ep := range all.Endpoints {
			if i != gone {
				rest.Endpoints = append(rest.Endpoints, ep)
			}
		}
		rest.arrange(config.LoadBalancing{Policy: "consistent_hash"})
		had := map[*Endpoint]int{}
		const keys = 5000
		for i := range keys {
			key := hash([]byte(fmt.Sprint("key ", i)))
			before, after := all.Owner(key, 0), rest.Owner(key, 0)
			had[before]++
			if before != after && before != all.Endpoints[gone] {
				t.Fatalf("key %d went from %s to %s, and %s left", i, before.ID, after.ID, all.Endpoints[gone].ID)
			}
		}
		for _, ep := range all.Endpoints {
			if share := float64(had[ep]*n) / keys; share < 0.4 || share > 1.8 {
				t.Fatalf("%s has %.2f of its share of keys", ep.ID, share)
			}
		}
	})
}

func TestRingByWeight(t *testing.T) {
	s := some("consistent_hash", 3, 1)
	had := 0
	const keys = 10_000
	for i := range keys {
		if s.Owner(hash([]byte(fmt.Sprint(i))), 0) == s.Endpoints[0] {
			had++
		}
	}
	if had < keys*65/100 || had > keys*85/100 {
		t.Errorf("of weights 3 and 1 the first has %d of %d keys", had, keys)
	}
}

func TestRingAtItsEnds(t *testing.T) {
	for _, n := range []int{1, 2, 10_000} {
		s := some("consistent_hash", equal(n)...)
		for _, key := range []uint64{0, 1, 1 << 63, golden, ^uint64(0), ^uint64(0) &^ indexMask} {
			naive := 0
			for naive < len(s.ring.points) && s.ring.points[naive] < key&^indexMask {
				naive++
			}
			if got := s.ring.at(key); got != naive%len(s.ring.points) {
				t.Errorf("%d endpoints, key %x: %d, want %d", n, key, got, naive)
			}
			for i := range s.Steps() {
				s.Owner(key, i)
			}
		}
	}
}

// Two that are drawn are different, and the first has its share.
func TestDrawTwo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 3), 2, 6).Draw(t, "weights")
		s := some("least_request", weights...)
		r, had, same := rapid.Uint64().Draw(t, "r"), map[*Endpoint]int{}, 0
		const draws = 4000
		for range draws {
			r += golden
			a, b := s.DrawTwo(mix(r))
			had[a]++
			if a == b {
				same++
			}
		}
		if same > draws/2 || s.sums == nil && same > 0 {
			t.Fatalf("%d of %d pairs are one", same, draws)
		}
		for i, ep := range s.Endpoints {
			if share := float64(had[ep]*s.weight) / float64(draws*steps*weights[i]); share < 0.7 || share > 1.3 {
				t.Fatalf("%s was drawn %.2f of its share", ep.ID, share)
			}
		}
	})
}

func TestMarks(t *testing.T) {
	s := some("least_request", equal(1000)...)
	for _, ep := range s.Endpoints {
		value := CookieValue([]message.Field{{Name: []byte("Cookie"), Value: ep.Cookie, ID: message.Cookie}}, []byte("weir"))
		if s.Marked(Mark(value)) != ep {
			t.Fatalf("%s is not found by its mark", ep.ID)
		}
	}
	if s.Marked(Mark{1}) != nil {
		t.Error("somebody has a mark that nobody was given")
	}
}

// Nobody goes to the slow one of two while the other is not ten times as busy.
func TestPeakEWMAAvoidsTheSlow(t *testing.T) {
	now := moment.Now()
	s := some("peak_ewma", 1, 1)
	fast, slow := s.Endpoints[0], s.Endpoints[1]
	fast.Latency.Note(5*time.Millisecond, now)
	slow.Latency.Note(50*time.Millisecond, now)
	choose := choices(now)["peak_ewma"]
	for n := range 20 {
		for r := range uint64(50) {
			if got := choose(s, mix(r)); (got == slow) != (n > 9) && n != 9 {
				t.Fatalf("with %d calls on the fast one %s has the call", n, got.ID)
			}
		}
		fast.Link.Slots.Take()
	}
}

func TestChoiceAllocs(t *testing.T) {
	now := moment.Now()
	for name, choose := range choices(now) {
		s := some(name, equal(100)...)
		if n := testing.AllocsPerRun(1000, func() { choose(s, 12345) }); n > 0 {
			t.Errorf("%s allocates %.0f times", name, n)
		}
	}
}

func choices(now moment.Moment) map[string]func(s *Set, r uint64) *Endpoint {
	return map[string]func(s *Set, r uint64) *Endpoint{
		"least_request": func(s *Set, r uint64) *Endpoint {
			x, y := s.DrawTwo(r)
			if y.Link.Slots.InFlight() < x.Link.Slots.InFlight() { // they are even
				return y
			}
			return x
		},
		"round_robin": func(s *Set, r uint64) *Endpoint { return s.Turn(r) },
		"peak_ewma": func(s *Set, r uint64) *Endpoint {
			x, y := s.DrawTwo(r)
			if s.Cost(y, now) < s.Cost(x, now) {
				return y
			}
			return x
		},
		"consistent_hash": func(s *Set, r uint64) *Endpoint {
			ep := s.Owner(r, 0)
			if ep.Link.Slots.InFlight() < s.Bound(ep, 1, 125) {
				return ep
			}
			return nil
		},
	}
}

func BenchmarkChoice(b *testing.B) {
	now := moment.Now()
	for name, choose := range choices(now) {
		s := some(name, equal(10_000)...)
		for _, ep := range s.Endpoints {
			ep.Latency.Note(time.Millisecond, now)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r := uint64(1)
			for b.Loop() {
				r += golden
				if choose(s, mix(r)) == nil {
					b.Fatal("nobody")
				}
			}
		})
	}
}

func BenchmarkArrange(b *testing.B) {
	for _, policy := range []string{"least_request", "round_robin", "consistent_hash"} {
		b.Run(policy, func(b *testing.B) {
			for b.Loop() {
				some(policy, equal(10_000)...)
			}
		})
	}
}

// Who weighs much is drawn as often as that says, however much all weigh together.
func TestDrawTwoOfHeavyOnes(t *testing.T) {
	set := &Set{}
	for i := range 200 { // as Consul weighs at most, with one that weighs half
		set.Endpoints = append(set.Endpoints, &Endpoint{Link: &Link{}, Endpoint: discovery.Endpoint{Weight: 65_535}, pull: 65_535 * steps * fineness})
		if i == 199 {
			set.Endpoints[i].pull /= 2
		}
	}
	set.weigh()
	random, late := rand.New(rand.NewPCG(1, 2)), 0 //nolint:gosec // drawn anew each time
	for range 20_000 {
		first, second := set.DrawTwo(random.Uint64())
		for _, ep := range set.Endpoints[100:] {
			if ep == first || ep == second {
				late++
			}
		}
	}
	if late < 19_000 || late > 21_000 {
		t.Errorf("the later half has %d of 40,000 draws", late)
	}
}
