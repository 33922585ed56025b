package coldstart

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
)

// A stopwatch is a platform that notes when it is asked.
type stopwatch struct{ asked chan time.Time }

func (stopwatch) String() string { return "stopwatch" }

func (s stopwatch) ScaleUp(context.Context, config.Function, int) error {
	s.asked <- time.Now()
	return nil
}

func (stopwatch) ScaleDown(context.Context, config.Function, int) error  { return nil }
func (stopwatch) Replicas(context.Context, config.Function) (int, error) { return 0, nil }

// BenchmarkTrigger: from the moment a call joins an empty line to the request
// to the platform (C6).
func BenchmarkTrigger(b *testing.B) {
	p := stopwatch{make(chan time.Time, 1)}
	a := NewActivator(map[string]Scaler{"p": p}, nil, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(b.Context())
	var work sync.WaitGroup
	work.Go(func() { _ = a.Run(ctx) })
	var act *Activation
	hold := NewHold(10, NewPool(10), func() { act.Need() })
	fn := config.Function{Name: "f", ColdStart: config.ColdStart{Scaler: "p", MaxScale: 1, StartTimeout: time.Minute}}
	act, err := a.Adopt(fn, hold, &subject{})
	if err != nil {
		b.Fatal(err)
	}
	act.Begin()
	parker := newParker()
	var w Waiter
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if err := hold.Join(&w, parker, Claim{Now: began}); err != nil {
			b.Fatal(err)
		}
		took = append(took, (<-p.asked).Sub(began))
		w.Leave()
		act.Serving(1, 0, time.Now())
		act.Serving(0, 0, time.Now()) // it has gone by itself
		for act.Status().State != "cold" {
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(100 * time.Microsecond) // asleep, as it is when a call comes
	}
	cancel()
	work.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "p99-µs")
}

// BenchmarkLine: a place taken and given back in a line in which n wait, of
// which every third is urgent.
func BenchmarkLine(b *testing.B) {
	for _, n := range []int{0, 10_000} {
		b.Run(map[int]string{0: "empty", 10_000: "10000-wait"}[n], func(b *testing.B) {
			h := NewHold(100_000, NewPool(100_000), func() {})
			waiting := make([]Waiter, n)
			for i := range waiting {
				if err := h.Join(&waiting[i], newParker(), Claim{Priority: Priority(i%3 - 1)}); err != nil {
					b.Fatal(err)
				}
			}
			p, now := newParker(), time.Now()
			var w Waiter
			b.ReportAllocs()
			for b.Loop() {
				_ = h.Join(&w, p, Claim{Now: now})
				h.Wake(1)
				w.Leave()
			}
		})
	}
}

// BenchmarkNeighbour: the release of a call of one function, with nobody and with
// 10,000 calls in the line of another, from the same pool (C19).
func BenchmarkNeighbour(b *testing.B) {
	for _, n := range []int{0, 10_000} {
		b.Run(map[int]string{0: "alone", 10_000: "beside-10000"}[n], func(b *testing.B) {
			pool := NewPool(30_000)
			theirs, ours := NewHold(100_000, pool, func() {}), NewHold(100, pool, func() {})
			waiting := make([]Waiter, n)
			for i := range waiting {
				if err := theirs.Join(&waiting[i], newParker(), Claim{}); err != nil {
					b.Fatal(err)
				}
			}
			p, now := newParker(), time.Now()
			var first, w Waiter
			if err := ours.Join(&first, newParker(), Claim{Now: now}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				_ = ours.Join(&w, p, Claim{Now: now})
				ours.Wake(2)
				if !w.Turn() {
					b.Fatal("not let look")
				}
				w.Leave()
			}
		})
	}
}
