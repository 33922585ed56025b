package shaping

import (
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
)

func limiter(c ...config.RateLimit) *Limiter {
	var l Limiter
	l.Configure(c, nil, Part{}, time.Time{})
	return &l
}

// take is Take for who has the same key for each limit.
func (l *Limiter) take(key Key, now time.Time) (Quota, error) {
	limits := l.Limits()
	if limits == nil {
		return Quota{}, nil
	}
	var keys [config.MostLimits]Key
	var left [config.MostLimits]Quota
	for i := range limits.Each {
		keys[i] = key
	}
	by, err := limits.Take(keys[:len(limits.Each)], now, left[:])
	return left[max(by, 0)], err
}

func numbered(n uint64) Key { return KeyOf(binary.BigEndian.AppendUint64(nil, n)) }

// A bucket as the sum of what came and went.
func TestLimiterAsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := config.RateLimit{
			Requests: rapid.IntRange(1, 20).Draw(t, "requests"), Window: time.Duration(rapid.IntRange(1, 10).Draw(t, "window")) * time.Second,
			Burst: rapid.IntRange(1, 10).Draw(t, "burst"), MaxKeys: 10,
		}
		l := limiter(c)
		now := time.Unix(1_800_000_000, 0)
		perSecond := float64(c.Requests) / c.Window.Seconds()
		tokens := [2]float64{float64(c.Burst), float64(c.Burst)}
		whole := [2]bool{true, true} // and not rounded by time
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) {
				d := time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond
				now = now.Add(d)
				for i := range tokens {
					whole[i] = tokens[i]+perSecond*d.Seconds() > float64(c.Burst)+0.001
					tokens[i] = min(float64(c.Burst), tokens[i]+perSecond*d.Seconds())
				}
			},
			"call": func(t *rapid.T) {
				key := rapid.IntRange(0, 1).Draw(t, "key")
				if frac := tokens[key] - float64(int(tokens[key])); !whole[key] && (frac > 0.999 || frac < 0.001) {
					t.Skip("too close to tell")
				}
				q, err := l.take(numbered(uint64(key)), now)
				if (err == nil) != (tokens[key] >= 1) {
					t.Fatalf("%v with %v tokens", err, tokens[key])
				}
				if err == nil {
					tokens[key]--
				}
				if q.Left != int(tokens[key]) || q.Full < 0 || (q.Next > 0) != (tokens[key] < 1) {
					t.Fatalf("%+v with %v tokens", q, tokens[key])
				}
			},
		})
	})
}

// There are never more buckets than there may be, and those that are used stay.
func TestLimiterIsBounded(t *testing.T) {
	for _, most := range []int{1, 2, 100, 1000, 12_345} {
		l := limiter(config.RateLimit{Requests: 1, Window: time.Hour, Burst: 1, MaxKeys: most})
		now := time.Now()
		for i := range 3 * most {
			_, _ = l.take(numbered(uint64(i)), now)
		}
		if n := l.Keys(); n > most || n < most*9/10 {
			t.Errorf("%d keys, want %d", n, most)
		}
	}
	l := limiter(config.RateLimit{Requests: 1, Window: time.Hour, Burst: 1, MaxKeys: 1000})
	now, mine := time.Now(), KeyOf([]byte("mine"))
	if _, err := l.take(mine, now); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(100_000) {
		_, _ = l.take(numbered(i), now)
		if i%4 == 0 {
			if _, err := l.take(mine, now); !errors.Is(err, ErrLimited) {
				t.Fatalf("the key was forgotten after %d others", i)
			}
		}
	}
}

func TestLimiterWithOtherRules(t *testing.T) {
	var l Limiter
	now := time.Now()
	for range 10 {
		if _, err := l.take(Whole, now); err != nil {
			t.Fatal("there is a limit where none was set")
		}
	}
	c := config.RateLimit{Requests: 1, Window: time.Hour, Burst: 1, MaxKeys: 10}
	l.Configure(config.RateLimits{c}, nil, Part{}, now)
	_, _ = l.take(Whole, now)
	same := c
	l.Configure(config.RateLimits{same}, nil, Part{}, now)
	if _, err := l.take(Whole, now); !errors.Is(err, ErrLimited) {
		t.Error("what has not changed has begun anew")
	}
	c.Burst = 2
	l.Configure(config.RateLimits{c}, nil, Part{}, now)
	if _, err := l.take(Whole, now); err != nil {
		t.Error(err)
	}
	l.Configure(nil, nil, Part{}, now)
	if l.Keys() != 0 || l.Limited() != 1 {
		t.Errorf("%d keys, %d limited", l.Keys(), l.Limited())
	}
}

// However many take at once, no more come in than there are tokens.
func TestLimiterTogether(t *testing.T) {
	l := limiter(config.RateLimit{Requests: 1, Window: time.Hour, Burst: 100, MaxKeys: 10})
	now := time.Now()
	var work sync.WaitGroup
	var mu sync.Mutex
	in := 0
	for range 8 {
		work.Go(func() {
			for range 100 {
				if _, err := l.take(Whole, now); err == nil {
					mu.Lock()
					in++
					mu.Unlock()
				}
			}
		})
	}
	work.Wait()
	if in != 100 || l.Limited() != 700 {
		t.Errorf("%d came in, %d did not", in, l.Limited())
	}
}

func TestLimiterAllocs(t *testing.T) {
	l := limiter(config.RateLimit{Requests: 1000, Window: time.Second, Burst: 1000, MaxKeys: 1000})
	text, now := []byte("an api key"), time.Now()
	if n := testing.AllocsPerRun(1000, func() { _, _ = l.take(KeyOf(text), now) }); n > 0 {
		t.Errorf("allocates %.0f times", n)
	}
}

func BenchmarkLimiter(b *testing.B) {
	for name, keys := range map[string]uint64{"one key": 1, "a million keys": 1_000_000} {
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			l := limiter(config.RateLimit{Requests: 1 << 29, Window: time.Second, Burst: 1 << 29, MaxKeys: 1_000_000})
			now := time.Now()
			for i := range keys {
				_, _ = l.take(numbered(i), now)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportAllocs()
			var text [8]byte
			for i := uint64(0); b.Loop(); i++ {
				binary.BigEndian.PutUint64(text[:], i*2654435761%keys)
				_, _ = l.take(KeyOf(text[:]), now)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
		})
	}
}
