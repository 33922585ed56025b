package shaping

import (
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
)

// Several limits as one would write them down: a call comes in if every bucket has one,
// and only then any has less.
func TestLimitsAsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c config.RateLimits
		for range rapid.IntRange(1, 4).Draw(t, "limits") {
			c = append(c, config.RateLimit{
				Requests: rapid.IntRange(1, 20).Draw(t, "requests"), Window: time.Duration(rapid.IntRange(1, 5).Draw(t, "window")) * time.Second,
				Burst: rapid.IntRange(1, 6).Draw(t, "burst"), MaxKeys: 10,
			})
		}
		l := limiter(c...)
		now := time.Unix(1_800_000_000, 0)
		var tokens [][3]float64 // of each limit, by key
		for _, r := range c {
			tokens = append(tokens, [3]float64{float64(r.Burst), float64(r.Burst), float64(r.Burst)})
		}
		perSecond := func(i int) float64 { return float64(c[i].Requests) / c[i].Window.Seconds() }
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) {
				d := time.Duration(rapid.IntRange(1, 1000).Draw(t, "ms")) * time.Millisecond
				now = now.Add(d)
				for i := range tokens {
					for k := range tokens[i] {
						tokens[i][k] = min(float64(c[i].Burst), tokens[i][k]+perSecond(i)*d.Seconds())
					}
				}
			},
			"calls": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "n") {
					at := make([]int, len(c))
					keys := make([]Key, len(c))
					want, longest := -1, 0.0
					for i := range c {
						at[i] = rapid.IntRange(0, 2).Draw(t, "key")
						keys[i] = numbered(uint64(at[i]))
						have := tokens[i][at[i]]
						if frac := have - float64(int(have)); frac > 0.999 || frac < 0.001 && frac > 0 {
							t.Skip("too close to tell")
						}
						if wait := (1 - have) / perSecond(i); have < 1 && wait > longest {
							want, longest = i, wait
						}
					}
					left := make([]Quota, len(c))
					by, err := l.Limits().Take(keys, now, left)
					if by != want && (by < 0 || want < 0 || left[by].Next < left[want].Next-10) || (err != nil) != (by >= 0) {
						t.Fatalf("turned away by %d (%v), want %d", by, err, want)
					}
					for i := range c {
						if want < 0 {
							tokens[i][at[i]]--
						}
						have, slack := tokens[i][at[i]], 1e-6
						if left[i].Left < int(have-slack) || left[i].Left > int(have+slack) || (left[i].Next > 0) != (have < 1) && math.Abs(have-1) > slack {
							t.Fatalf("limit %d: %+v with %v tokens", i, left[i], have)
						}
					}
				}
			},
		})
	})
}

// However many come at once: whom one limit turns away takes from no other, not even for
// a moment. So every call comes in that its own limits have room for.
func TestWhomOneLimitTurnsAwayTakesNothing(t *testing.T) {
	for range 20 {
		l := limiter(
			config.RateLimit{Requests: 1, Window: time.Hour, Burst: 50, MaxKeys: 10},
			config.RateLimit{Requests: 1, Window: time.Hour, Burst: 10, MaxKeys: 10},
			config.RateLimit{Requests: 1, Window: time.Hour, Burst: 1000, MaxKeys: 10},
		)
		now := time.Now()
		var in [3]atomic.Int64
		var work sync.WaitGroup
		calls := func(client, n int) {
			work.Go(func() {
				var left [config.MostLimits]Quota
				for range n {
					if _, err := l.Limits().Take([]Key{Whole, numbered(uint64(client)), Whole}, now, left[:]); err == nil {
						in[client].Add(1)
					}
				}
			})
		}
		for range 4 { // a flood
			calls(0, 500)
		}
		for client := 1; client < 3; client++ {
			calls(client, 5)
			calls(client, 5)
		}
		work.Wait()
		if in[0].Load() != 10 || in[1].Load() != 10 || in[2].Load() != 10 {
			t.Fatalf("%d, %d and %d came in, want 10 of each", in[0].Load(), in[1].Load(), in[2].Load())
		}
		var left [config.MostLimits]Quota
		if _, err := l.Limits().Take([]Key{Whole, numbered(3), Whole}, now, left[:]); err != nil || left[0].Left != 19 || left[1].Left != 9 || left[2].Left != 969 {
			t.Fatalf("then %v with %+v", err, left[:3])
		}
		if each := l.Limits().Each; l.Limited() != 1990 || each[1].Limited() != 1990 || each[0].Limited() != 0 {
			t.Fatalf("%d were turned away, by the second %d", l.Limited(), each[1].Limited())
		}
	}
}

// Limits that come, go and change places under calls: nobody waits for ever, and those
// that stay keep what they have.
func TestLimitsChangeUnderCalls(t *testing.T) {
	a := config.RateLimit{Requests: 1, Window: time.Hour, Burst: 7, MaxKeys: 10}
	b := config.RateLimit{Requests: 1, Window: time.Hour, Burst: 1_000_000, MaxKeys: 10}
	c := config.RateLimit{Requests: 2, Window: time.Hour, Burst: 1_000_000, MaxKeys: 10}
	l := limiter(a, b)
	now := time.Now()
	var in atomic.Int64
	stop := make(chan struct{})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := l.take(Whole, now); err == nil {
					in.Add(1)
				}
			}
		})
	}
	for i := 0; i < 2000 || in.Load() < 7; i++ { // on a busy machine nobody may have called by then
		next := [...]config.RateLimits{{b, a}, {a, b}, {c, b, a}, {a, a, c}, {a}, {b, c, a}}[i%6]
		l.Configure(next, nil, Part{}, now)
	}
	close(stop)
	work.Wait()
	if in.Load() != 7 {
		t.Errorf("%d came in by a limit of 7 that was always there", in.Load())
	}
	l.Configure(config.RateLimits{b}, nil, Part{}, now)
	l.Configure(config.RateLimits{b, a}, nil, Part{}, now)
	if _, err := l.take(Whole, now); err != nil {
		t.Errorf("a limit that had gone has not begun anew: %v", err)
	}
}

func TestLimitsAllocs(t *testing.T) {
	r := config.RateLimit{Requests: 1000, Window: time.Second, Burst: 2_000, MaxKeys: 1000}
	l := limiter(slices.Repeat([]config.RateLimit{r}, config.MostLimits)...)
	now := time.Now()
	if n := testing.AllocsPerRun(1000, func() { _, _ = l.take(Whole, now) }); n > 0 {
		t.Errorf("allocates %.0f times", n)
	}
	for range 1000 {
		_, _ = l.take(Whole, now)
	}
	if _, err := l.take(Whole, now); !errors.Is(err, ErrLimited) {
		t.Error(err)
	}
}

func BenchmarkLimits(b *testing.B) {
	r := config.RateLimit{Requests: 1 << 29, Window: time.Second, Burst: 1 << 29, MaxKeys: 1000}
	for name, n := range map[string]int{"1": 1, "3": 3} {
		b.Run(name, func(b *testing.B) {
			l := limiter(slices.Repeat([]config.RateLimit{r}, n)...)
			now := time.Now()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _ = l.take(Whole, now)
				}
			})
		})
	}
}
