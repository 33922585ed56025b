package shaping

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/internal/moment"
)

// A simulated function has some servers, each of which serves one call at a time;
// calls that find none free wait, in order. Time is that of the events.
type simulated struct {
	servers int
	serve   func(*rand.Rand) time.Duration
	rate    float64 // of calls that come, per second

	limit  *Adaptive
	most   int
	r      *rand.Rand
	now    time.Duration
	leaves ends            // of those being served
	waits  []time.Duration // when they came

	inFlight, served int
	lowest           int
}

type ends []struct{ at, came time.Duration }

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].at < e[j].at }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(struct{ at, came time.Duration })) }
func (e *ends) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (s *simulated) start(came time.Duration) {
	heap.Push(&s.leaves, struct{ at, came time.Duration }{s.now + s.serve(s.r), came})
}

// run goes on for some time, and returns the mean of the limit in its second half.
func (s *simulated) run(d time.Duration) (mean float64) {
	until := s.now + d
	half, sum, n := s.now+d/2, 0.0, 0
	s.served, s.lowest = 0, math.MaxInt
	next := s.now
	for s.now < until {
		if len(s.leaves) > 0 && s.leaves[0].at <= next {
			e := heap.Pop(&s.leaves).(struct{ at, came time.Duration })
			s.now = e.at
			s.served++
			inFlight := s.inFlight
			s.inFlight--
			if limit, changed := s.limit.Note(s.now-e.came, inFlight, moment.Of(time.Unix(0, int64(s.now)))); changed {
				s.most = limit
			}
			if len(s.waits) > 0 && len(s.leaves) < s.servers {
				came := s.waits[0]
				s.waits = s.waits[1:]
				s.start(came)
			}
			s.lowest = min(s.lowest, s.most)
			if s.now > half {
				sum += float64(s.most)
				n++
			}
			continue
		}
		s.now = next
		next += time.Duration(s.r.ExpFloat64() / s.rate * float64(time.Second))
		switch {
		case s.inFlight >= s.most:
			continue // shed
		case len(s.leaves) < s.servers:
			s.start(s.now)
		default:
			s.waits = append(s.waits, s.now)
		}
		s.inFlight++
	}
	return sum / float64(n)
}

// capacity is how many calls a second are served at most.
func (s *simulated) capacity() float64 {
	r, sum := rand.New(rand.NewPCG(3, 4)), time.Duration(0)
	for range 100_000 {
		sum += s.serve(r)
	}
	return float64(s.servers) * 100_000 / sum.Seconds()
}

func simulate(servers, first int, serve func(*rand.Rand) time.Duration) *simulated {
	s := &simulated{servers: servers, serve: serve, r: rand.New(rand.NewPCG(1, 2))}
	s.limit = NewAdaptive(first, 4, 10_000)
	s.most = s.limit.Limit()
	return s
}

// overload has twice as many calls come as can be served, for two minutes; in the
// second of these the limit must be at the knee.
func (s *simulated) overload(t *testing.T, what string) {
	t.Helper()
	capacity := s.capacity()
	s.rate = 2 * capacity
	s.run(time.Minute)
	limit := s.run(time.Minute)
	good := float64(s.served) / 60 / capacity
	if off := limit / float64(s.servers); off < 0.8 || off > 1.2 {
		t.Errorf("%s: the limit is %.1f with %d servers", what, limit, s.servers)
	}
	if good < 0.88 || float64(s.lowest) < 0.5*float64(s.servers) {
		t.Errorf("%s: of %.0f calls a second %.1f %% are served; the limit was %d once", what, capacity, 100*good, s.lowest)
	}
}

func always(d time.Duration) func(*rand.Rand) time.Duration {
	return func(*rand.Rand) time.Duration { return d }
}

func exponential(d time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(d)) }
}

func lognormal(d time.Duration, sigma float64) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration {
		return time.Duration(math.Exp(r.NormFloat64()*sigma) * float64(d))
	}
}

// Whatever the services are like, and however wrong the first limit is.
func TestAdaptiveFindsTheKnee(t *testing.T) {
	t.Parallel()
	if raced {
		t.Skip("one goroutine, and minutes of it")
	}
	for _, servers := range []int{10, 30, 100} {
		for name, serve := range map[string]func(*rand.Rand) time.Duration{
			"always 50 ms": always(50 * time.Millisecond), "exponential": exponential(50 * time.Millisecond),
			"lognormal": lognormal(50*time.Millisecond, 0.7),
		} {
			for _, first := range []int{4, 4 * servers} {
				s := simulate(servers, first, serve)
				s.rate = 2 * s.capacity()
				s.run(2 * time.Minute)
				s.overload(t, fmt.Sprintf("%s, from %d", name, first))
			}
		}
	}
}

// It follows what changes, and does not choke a function that becomes slower by
// itself: fewer calls would not make it faster.
func TestAdaptiveFollows(t *testing.T) {
	t.Parallel()
	if raced {
		t.Skip("one goroutine, and minutes of it")
	}
	for name, kind := range map[string]func(time.Duration) func(*rand.Rand) time.Duration{"always": always, "exponential": exponential} {
		s := simulate(40, 20, kind(50*time.Millisecond))
		s.overload(t, name)
		s.servers = 80
		s.overload(t, name+", twice as many servers")
		s.servers = 20
		s.overload(t, name+", a quarter of them")
		s.serve = kind(150 * time.Millisecond)
		s.overload(t, name+", three times as slow")
		s.serve = kind(25 * time.Millisecond)
		s.overload(t, name+", six times as fast")
		s.rate = 0.6 * s.capacity()
		s.run(5 * time.Minute)
		if served := float64(s.served) / 300 / s.rate; served < 0.99 {
			t.Errorf("%s: of six tenths of what can be served only %.3f is", name, served)
		}
		s.overload(t, name+", after a quiet time")
	}
}

func TestAdaptiveLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		least := rapid.IntRange(1, 100).Draw(t, "least")
		greatest := rapid.IntRange(least, 10_000).Draw(t, "greatest")
		a := NewAdaptive(rapid.IntRange(1, 20_000).Draw(t, "first"), least, greatest)
		for range rapid.IntRange(1, 200).Draw(t, "windows") {
			took, most := rapid.Float64Range(0, 40).Draw(t, "took"), float64(rapid.IntRange(0, 20_000).Draw(t, "most"))
			length := time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "length"))
			slow, before := a.steering, a.steering
			a.turn(took, most, length)
			slow.turn(took+rapid.Float64Range(0, 10).Draw(t, "more"), most, length)
			switch {
			case a.limit < float64(least) || a.limit > float64(greatest):
				t.Fatalf("the limit is %v, not from %d to %d", a.limit, least, greatest)
			case slow.limit > a.limit+1e-9 && slow.phase == a.phase && before.phase == steady:
				t.Fatalf("slower answers raise the limit: %v, %v", slow.limit, a.limit)
			case before.phase == steady && a.limit < before.limit*mostFall-1e-9:
				t.Fatalf("from %v to %v at once", before.limit, a.limit)
			case before.phase == steady && most < before.limit/2 && a.limit != before.limit:
				t.Fatal("few calls say nothing of the limit")
			}
		}
	})
}

func TestAdaptiveAllocs(t *testing.T) {
	a, now := NewAdaptive(20, 4, 100), moment.Now()
	if n := testing.AllocsPerRun(10_000, func() {
		now = now.Add(time.Millisecond)
		a.Note(time.Millisecond, 10, now)
	}); n > 0 {
		t.Errorf("allocates %.2f times", n)
	}
}

func BenchmarkAdaptive(b *testing.B) {
	a, now := NewAdaptive(20, 4, 100), moment.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			a.Note(time.Millisecond, 10, now)
		}
	})
}

func TestLog2(t *testing.T) {
	for d := 1.0; d < 1<<62; d *= 1.01 {
		if got, want := log2(time.Duration(d)), math.Log2(math.Floor(d)); math.Abs(got-want) > 1e-4 {
			t.Fatalf("of %v: %v, want %v", d, got, want)
		}
	}
}

// However high the limit may be, a window ends before its answers are too many to count.
func TestWindowsOfHighLimitsEnd(t *testing.T) {
	a := NewAdaptive(1<<40, 1, 1<<40)
	for a.phase = unknown; a.phase <= probing; a.phase++ {
		if n := a.answersFor(); n > mostAnswers || uint64(n)<<logBits>>logBits != uint64(n) {
			t.Errorf("phase %d: %d answers", a.phase, n)
		}
	}
}
