package shaping

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
)

func TestRetriesRead(t *testing.T) {
	r := NewRetries(&config.Retries{RetryOn: []string{"reset", "5xx", "429"}})
	if !r.Reset || r.ConnectFailure {
		t.Errorf("%+v", r)
	}
	for code, want := range map[int]bool{200: false, 399: false, 400: false, 429: true, 499: false, 500: true, 599: true, 600: false, 999: false} {
		if r.Status(code) != want {
			t.Errorf("%d: want %v", code, want)
		}
	}
	if NewRetries(nil) != nil {
		t.Error("there are rules where none were said")
	}
}

func TestRetryWait(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "max"))
		base := time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, "base"))
		n := rapid.IntRange(1, 11).Draw(t, "n")
		r := NewRetries(&config.Retries{Backoff: config.Backoff{Base: base, Max: most}})
		bound := most
		if float64(base)*float64(int(1)<<(n-1)) < float64(most) {
			bound = base << (n - 1)
		}
		if d := r.Wait(n); d < 0 || d > bound {
			t.Fatalf("%v before try %d, want up to %v", d, n, bound)
		}
	})
}

// What the budget allows is what a list of all that happened says.
func TestBudgetAsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Budget
		var of Calls
		percent, perSecond := rapid.IntRange(0, 100).Draw(t, "percent"), rapid.IntRange(0, 3).Draw(t, "per second")
		b.SetLimits(percent, perSecond)
		now := moment.Of(time.Unix(1_800_000_000, 0))
		var calls, tries []int64
		within := func(list []int64) (n int) {
			for _, at := range list {
				if now.Time().Unix()-at < windowSeconds {
					n++
				}
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"call": func(*rapid.T) { of.Came(now); calls = append(calls, now.Time().Unix()) },
			"try": func(t *rapid.T) {
				want := within(calls)*percent/100+perSecond*windowSeconds-within(tries) >= 1
				if got := b.Spend(&of, now); got != want {
					t.Fatalf("allowed %v, want %v", got, want)
				}
				if want {
					tries = append(tries, now.Time().Unix())
				}
			},
			"early try": func(t *rapid.T) {
				allowed := within(calls)*percent/100 + perSecond*windowSeconds
				left, refused := allowed-within(tries), b.Refused()
				want := left >= 1 && 3*left > allowed
				if got := b.SpendEarly(&of, now); got != want || b.Refused() != refused {
					t.Fatalf("%d of %d left: allowed early %v, want %v; %d refused, before %d", left, allowed, got, want, b.Refused(), refused)
				}
				if want {
					tries = append(tries, now.Time().Unix())
				}
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 25_000).Draw(t, "ms")) * time.Millisecond)
			},
		})
	})
}

func TestBudgetAllocs(t *testing.T) {
	var b Budget
	var of Calls
	b.SetLimits(20, 10)
	now := moment.Now()
	if n := testing.AllocsPerRun(1000, func() {
		of.Came(now)
		b.Spend(&of, now)
	}); n > 0 {
		t.Errorf("allocates %.0f times", n)
	}
}

func BenchmarkCallsCame(b *testing.B) {
	var calls Calls
	now := moment.Now()
	b.ReportAllocs()
	for b.Loop() {
		calls.Came(now)
	}
}
