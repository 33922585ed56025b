package shaping

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
)

// The parts of all routers are one whole, however many addresses each has.
func TestPartsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		own := rapid.SliceOfN(rapid.IntRange(1, 3), 1, 40).Draw(t, "addresses of each router")
		whole := rapid.IntRange(1, 1_000_000_000).Draw(t, "whole")
		of := 0
		for _, n := range own {
			of += n
		}
		var rate float64
		var first, sum, most int
		least := math.MaxInt
		for _, n := range own {
			p := Part{First: first, Own: n, Of: of}
			first += n
			burst := p.burst(whole)
			if even := float64(whole) * float64(n) / float64(of); burst < 1 || math.Abs(float64(burst)-even) > 1 {
				t.Fatalf("%+v of %d is %d", p, whole, burst)
			}
			rate, sum = rate+p.rate(float64(whole)), sum+burst
			least, most = min(least, burst/n), max(most, (burst+n-1)/n)
		}
		if math.Abs(rate-float64(whole)) > 1e-6*float64(whole) {
			t.Errorf("the rates add up to %v, want %d", rate, whole)
		}
		if whole >= of && sum != whole || sum < whole || sum > max(whole, 2*of) {
			t.Errorf("the bursts add up to %d, want %d", sum, whole)
		}
		if most-least > 1 {
			t.Errorf("from %d to %d for each address", least, most)
		}
	})
	if p := (Part{}); p.rate(7) != 7 || p.burst(7) != 7 {
		t.Error("the zero Part is not the whole")
	}
}

// A fleet is routers that share a limit, under even traffic that never ends.
type fleet struct {
	limit   config.RateLimit
	routers []*Limiter
	now     time.Time
	in      int // calls that came in
}

// resize has as many routers as n: those that come are new.
func (f *fleet) resize(n int) {
	for len(f.routers) < n {
		f.routers = append(f.routers, new(Limiter))
	}
	f.routers = f.routers[:n]
	for i, l := range f.routers {
		l.Configure(config.RateLimits{f.limit}, nil, Part{i, 1, n}, f.now)
	}
}

// run lets time pass in which each router has more calls than it may let in.
func (f *fleet) run(d, step time.Duration) {
	for end := f.now.Add(d); f.now.Before(end); {
		f.now = f.now.Add(step)
		for _, l := range f.routers {
			for {
				if _, err := l.take(Whole, f.now); err != nil {
					break
				}
				f.in++
			}
		}
	}
}

// Whoever joins and leaves, all routers together let in what one would: the rate,
// and beside it one burst at first and what whoever joins brings along.
func TestSharedLimitIsOneLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &fleet{now: time.Unix(1_800_000_000, 0), limit: config.RateLimit{
			Requests: rapid.IntRange(50, 2000).Draw(t, "requests"), Window: time.Second,
			Burst: rapid.IntRange(20, 200).Draw(t, "burst"), MaxKeys: 10, Shared: true,
		}}
		f.resize(rapid.IntRange(1, 8).Draw(t, "routers"))
		began, brought := f.now, f.limit.Burst
		rest := 1.0 // what is lost: the parts of calls left in buckets, and what came in the first step, when they were full
		const step = time.Millisecond
		rest += float64(f.limit.Requests) * step.Seconds()
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			// A bucket of the smallest burst, 2, fills in 2/rate: a step is less.
			f.run(time.Duration(rapid.IntRange(200, 1500).Draw(t, "ms"))*time.Millisecond, step)
			before := len(f.routers)
			f.resize(rapid.IntRange(1, 8).Draw(t, "routers"))
			rest += float64(max(0, before-len(f.routers)))
			for _, l := range f.routers[min(before, len(f.routers)):] {
				perSecond, burst := l.Limits().Each[0].Portion()
				brought, rest = brought+burst, rest+perSecond*step.Seconds()
			}
		}
		f.run(time.Second, step)
		want := float64(f.limit.Requests)*f.now.Sub(began).Seconds() + float64(brought)
		rest += float64(len(f.routers))
		if off := float64(f.in) - want; off > 1 || off < -rest {
			t.Errorf("%d came in, want %.1f, or up to %.1f less", f.in, want, rest)
		}
	})
}

// A change reaches every key, and none begins anew.
func TestPartOfEveryKey(t *testing.T) {
	c := config.RateLimit{Requests: 100, Window: time.Second, Burst: 100, MaxKeys: 1000, Shared: true}
	var l Limiter
	now := time.Unix(1_800_000_000, 0)
	take := func(key Key) (n int, q Quota) {
		for {
			var err error
			if q, err = l.take(key, now); err != nil {
				return n, q
			}
			n++
		}
	}
	l.Configure(config.RateLimits{c}, nil, Part{0, 1, 1}, now)
	for i := range uint64(100) {
		if n, _ := take(numbered(i)); n != 100 {
			t.Fatalf("%d of key %d come in alone", n, i)
		}
	}
	later := now.Add(time.Hour)
	l.Configure(config.RateLimits{c}, nil, Part{1, 1, 4}, later)
	now = later.Add(100 * time.Millisecond) // nobody has come for an hour: the buckets are full, each with its part
	for i := range uint64(101) {
		n, q := take(numbered(i))
		if n != 25 || q.Next != 40*time.Millisecond || q.Full != time.Second {
			t.Fatalf("%d of key %d come in as one of four, then %+v", n, i, q)
		}
	}
	l.Configure(config.RateLimits{c}, nil, Part{0, 1, 2}, now)
	if n, _ := take(numbered(1)); n != 0 {
		t.Errorf("a greater part came with %d calls at once", n)
	}
	now = now.Add(time.Second)
	if n, _ := take(numbered(1)); n != 50 {
		t.Errorf("%d come in within a second as one of two", n)
	}
	c.Shared = false
	l.Configure(config.RateLimits{c}, nil, Part{0, 1, 2}, now)
	if n, _ := take(numbered(1)); n != 100 {
		t.Errorf("%d come in of a limit that is not shared", n)
	}
}

// A part that changes under calls is no race, and costs them nothing.
func TestPartTogether(t *testing.T) {
	c := config.RateLimit{Requests: 1_000_000, Window: time.Second, Burst: 1000, MaxKeys: 100, Shared: true}
	var l Limiter
	now := time.Now()
	l.Configure(config.RateLimits{c}, nil, Part{}, now)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 10_000 {
			_, _ = l.take(numbered(uint64(i%10)), now.Add(time.Duration(i)*time.Microsecond))
		}
	}()
	for i := range 1000 {
		l.Configure(config.RateLimits{c}, nil, Part{0, 1, 1 + i%7}, now.Add(time.Duration(i)*time.Microsecond))
	}
	<-done
	one := numbered(1)
	if n := testing.AllocsPerRun(100, func() { _, _ = l.take(one, now) }); n > 0 {
		t.Errorf("allocates %.0f times", n)
	}
}

func ExamplePart() {
	for i := range 3 {
		p := Part{First: i, Own: 1, Of: 3}
		fmt.Printf("%.1f per second, %d at once\n", p.rate(100), p.burst(10))
	}
	// Output:
	// 33.3 per second, 3 at once
	// 33.3 per second, 3 at once
	// 33.3 per second, 4 at once
}
