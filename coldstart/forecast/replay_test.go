package forecast_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"github.com/weir-gateway/weir/config"
)

var replayed = flag.Int("replay", 0, "replay this many functions for two weeks and print the table (with -v), which takes minutes")

// How the synthetic trace is made. It follows what the paper says of its
// functions (section 3), as far as that is a number; the trace itself is not
// ours to ship.
//
//   - How often they are called (figure 5): 45 % once an hour or less, 81 % once a
//     minute or less. That 20 % are called once a day or less is our guess, and
//     nothing is called more seldom than once a week. Of what is called more than
//     once a minute we replay two calls a minute: it is always warm, so more
//     would only take longer.
//   - How regularly (figure 6, section 3.3): a fifth as timers do, at a period
//     that people choose, within a second; that is most of the functions with a
//     timer (16 %, figure 2) and some without. Of the others, half are called at
//     random (a Poisson process: a variation of 1) and half in bursts (above 1):
//     5 calls on average, 20 s apart, and pauses that are log-normal.
//   - How long they run (section 3.4): half a second each, a start takes one.
const (
	ran   = 500 * time.Millisecond
	boots = time.Second
	seed  = 20200715
)

// rate draws how many calls a day a function has.
func rate(r *rand.Rand) float64 {
	points := []struct{ share, perDay float64 }{{0, 1. / 7}, {.20, 1}, {.45, 24}, {.81, 1440}, {1, 2880}}
	x := r.Float64()
	for i := 1; ; i++ {
		if a, b := points[i-1], points[i]; x <= b.share {
			return a.perDay * math.Pow(b.perDay/a.perDay, (x-a.share)/(b.share-a.share))
		}
	}
}

var periods = []time.Duration{
	time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour,
}

// arrivals makes a function: how long to wait before each call, from the begin
// of the one before.
func arrivals(r *rand.Rand) (kind string, next func() time.Duration) {
	every := 24 * float64(time.Hour) / rate(r)
	switch x := r.Float64(); {
	case x < .2:
		period := slices.MinFunc(periods, func(a, b time.Duration) int {
			off := func(p time.Duration) int { return int(1000 * math.Abs(math.Log(float64(p)/every))) }
			return off(a) - off(b)
		})
		due := time.Duration(r.Int64N(int64(period)))
		at := time.Duration(0)
		return "periodic", func() time.Duration {
			came := due + time.Duration(r.Float64()*float64(time.Second))
			wait := came - at
			due, at = due+period, came
			return wait
		}
	case x < .6:
		return "random", func() time.Duration { return time.Duration(r.ExpFloat64() * every) }
	default:
		const burst, sigma = 5, 1.
		left := 0
		return "bursty", func() time.Duration {
			if left > 0 {
				left--
				return time.Duration(r.ExpFloat64() * float64(20*time.Second))
			}
			for r.Float64() < 1-1./burst {
				left++
			}
			return time.Duration(math.Exp(r.NormFloat64()*sigma-sigma*sigma/2) * every * burst)
		}
	}
}

// An outcome is what a policy came to.
type outcome struct {
	calls, cold int
	rates       []float64 // of each function, sorted
	byKind      map[string][2]int
	idle        time.Duration // that instances stood without a call
	hits        int
	misses      int
}

func (o outcome) coldRate() float64           { return float64(o.cold) / float64(o.calls) }
func (o outcome) quantile(q float64) float64  { return o.rates[int(q*float64(len(o.rates)-1))] }
func (o outcome) kind(k string) (r float64)   { n := o.byKind[k]; return float64(n[1]) / float64(n[0]) }
func (o outcome) relative(b outcome) float64  { return float64(o.idle) / float64(b.idle) }
func (o outcome) perDay(days float64) float64 { return o.idle.Hours() / days }

// replay runs the same trace under a policy.
func replay(t *testing.T, functions int, lasts time.Duration, policy config.ColdStart, budget int) (o outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		policy.Scaler, policy.MaxScale, policy.StartTimeout, policy.PredictRange = "platform", 1, time.Minute, 4*time.Hour
		policy.MinUp = min(30*time.Second, policy.IdleAfter)
		cfg := &config.Config{Functions: map[string]*config.Function{}, ColdStart: config.ColdStartLimits{MaxPrewarmed: budget}}
		name := func(i int) string { return fmt.Sprintf("f%04d", i) }
		for i := range functions {
			cfg.Functions[name(i)] = &config.Function{Name: name(i), ColdStart: policy}
		}
		w := create(boots, cfg)
		defer w.end()
		var calls sync.WaitGroup
		end := time.Now().Add(lasts)
		kinds := make([]string, functions)
		for i := range functions {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			var next func() time.Duration
			kinds[i], next = arrivals(r)
			calls.Go(func() {
				due := time.Now()
				for {
					due = due.Add(next())
					if due.After(end) {
						time.Sleep(time.Until(end))
						return
					}
					time.Sleep(time.Until(due))
					w.call(name(i), ran)
				}
			})
		}
		calls.Wait()
		o.byKind = map[string][2]int{}
		for i := range functions {
			a := w.actors[name(i)]
			if a.calls == 0 {
				continue
			}
			o.calls += a.calls
			o.cold += a.cold
			o.rates = append(o.rates, float64(a.cold)/float64(a.calls))
			o.idle += a.idle(time.Duration(a.calls) * ran)
			n := o.byKind[kinds[i]]
			o.byKind[kinds[i]] = [2]int{n[0] + a.calls, n[1] + a.cold}
		}
		o.hits, o.misses = w.tell().hits, w.tell().misses
	})
	slices.Sort(o.rates)
	return o
}

func fixedFor(d time.Duration) config.ColdStart { return config.ColdStart{IdleAfter: d} }

func predicted(otherwise time.Duration) config.ColdStart {
	return config.ColdStart{IdleAfter: otherwise, Predict: "histogram"}
}

// The policy is worth having: fewer cold starts than a fixed window, for less.
func TestReplay(t *testing.T) {
	functions, lasts := 40, 3*24*time.Hour
	if *replayed > 0 {
		functions, lasts = *replayed, 14*24*time.Hour
	}
	ten := replay(t, functions, lasts, fixedFor(10*time.Minute), 0)
	policy := replay(t, functions, lasts, predicted(10*time.Minute), functions)
	if ten.cold <= policy.cold || ten.quantile(.75) < policy.quantile(.75) {
		t.Errorf("10 minutes: %d of %d cold, 75%% of functions up to %.2f; the policy: %d, %.2f",
			ten.cold, ten.calls, ten.quantile(.75), policy.cold, policy.quantile(.75))
	}
	if *replayed == 0 {
		return
	}
	var table strings.Builder
	out := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	defer func() {
		_ = out.Flush()
		t.Log("\n" + table.String())
	}()
	days := lasts.Hours() / 24
	fmt.Fprintf(out, "%d functions, %.0f days, %d calls\n\tcold %%\tp75 of functions %%\tmedian %%\tperiodic %%\trandom %%\tbursty %%\tidle instance-h a day\tof 10 min\tahead: used\tnot\n", functions, days, ten.calls)
	for _, row := range []struct {
		name string
		o    outcome
	}{
		{"10 min", ten},
		{"20 min", replay(t, functions, lasts, fixedFor(20*time.Minute), 0)},
		{"40 min", replay(t, functions, lasts, fixedFor(40*time.Minute), 0)},
		{"60 min", replay(t, functions, lasts, fixedFor(time.Hour), 0)},
		{"policy, else 10 min", policy},
		{"policy, else 10 min, 16 at once", replay(t, functions, lasts, predicted(10*time.Minute), 16)},
		{"policy, else 4 h", replay(t, functions, lasts, predicted(4*time.Hour), functions)},
	} {
		o := row.o
		fmt.Fprintf(out, "%s\t%.2f\t%.1f\t%.1f\t%.2f\t%.2f\t%.2f\t%.0f\t%.2f\t%d\t%d\n", row.name, 100*o.coldRate(), 100*o.quantile(.75), 100*o.quantile(.5),
			100*o.kind("periodic"), 100*o.kind("random"), 100*o.kind("bursty"), o.perDay(days), o.relative(ten), o.hits, o.misses)
	}
}
