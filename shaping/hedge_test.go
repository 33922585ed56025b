package shaping

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
)

// A later is what happens at a moment of a simulation.
type later struct {
	at time.Duration
	do func(now time.Duration)
}

// An agenda is the laters of a simulation, the next one first.
type agenda []later

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at < a[j].at }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(later)) }

func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// A hedgeWorld is ten endpoints that take 5 ms and some jitter, of which the first
// takes 100 ms for a share of its calls, under 300 calls a second, which go to the less
// busy of two at random, as calls in the proxy do.
type hedgeWorld struct {
	slowShare float64
	jitter    time.Duration
	hedges    bool

	r      *rand.Rand
	agenda agenda
	took   []time.Duration
	second int // tries beside another

	calls   Calls
	budget  Budget
	slowest Quantile
	busy    [10]int
	outrun  [10]Outrun
}

func (w *hedgeWorld) after(now, d time.Duration, do func(now time.Duration)) {
	heap.Push(&w.agenda, later{now + d, do})
}

// clock is the moment in a world that began a while ago.
func clock(now time.Duration) moment.Moment { return moment.Of(time.Unix(1_800_000_000, 0)).Add(now) }

func (w *hedgeWorld) pick(now time.Duration, not int) int {
	for {
		i, j := w.r.IntN(10), w.r.IntN(9)
		if j >= i {
			j++
		}
		lastI, lastJ := w.outrun[i].Last(clock(now)), w.outrun[j].Last(clock(now))
		if lastI && !lastJ || lastI == lastJ && w.busy[j] < w.busy[i] {
			i = j
		}
		if i != not {
			return i
		}
	}
}

func (w *hedgeWorld) service(endpoint int) time.Duration {
	if endpoint == 0 && w.r.Float64() < w.slowShare {
		return 100 * time.Millisecond
	}
	return 5*time.Millisecond + time.Duration(w.r.ExpFloat64()*float64(w.jitter))
}

// call is one call that comes now.
func (w *hedgeWorld) call(began time.Duration) {
	w.calls.Came(clock(began))
	own := w.pick(began, -1)
	w.busy[own]++
	over, asked := false, 0
	takes := w.service(own)
	w.after(began, takes, func(time.Duration) {
		if over {
			return
		}
		over = true
		w.busy[own]--
		w.slowest.Note(takes, 0.95)
		if asked == 0 {
			w.outrun[own].Won()
		}
		w.took = append(w.took, takes)
	})
	due, known := w.slowest.Value()
	if !known || !w.hedges {
		return
	}
	var ask func(now time.Duration)
	ask = func(now time.Duration) {
		asked++
		switch {
		case over:
			return
		case asked == 1 && !w.budget.SpendEarly(&w.calls, clock(now)), asked > 1 && !w.budget.Spend(&w.calls, clock(now)):
			w.after(now, now-began, ask)
			return
		}
		w.second++
		other := w.pick(now, own)
		w.busy[other]++
		takes := w.service(other)
		w.after(now, takes, func(now time.Duration) {
			w.busy[other]--
			if over {
				return
			}
			over = true
			w.busy[own]--
			w.outrun[own].Lost(clock(now))
			w.slowest.Note(now-began, 0.95) // at least
			w.slowest.Note(takes, 0.95)
			w.took = append(w.took, now-began)
		})
	}
	w.after(began, due, ask)
}

// run returns the time that 999 of 1000 calls take less than, and how many more tries
// there were for each call.
func (w *hedgeWorld) run(calls int) (p999 time.Duration, more float64) {
	w.budget.SetLimits(5, 0)
	var arrive func(now time.Duration)
	arrive = func(now time.Duration) {
		if calls--; calls >= 0 {
			w.call(now)
			w.after(now, time.Duration(w.r.ExpFloat64()*float64(time.Second)/300), arrive)
		}
	}
	w.after(0, 0, arrive)
	for len(w.agenda) > 0 {
		next := heap.Pop(&w.agenda).(later)
		next.do(next.at)
	}
	n := len(w.took)
	settled := slices.Sorted(slices.Values(w.took[n/20:]))
	return settled[len(settled)*999/1000], float64(w.second) / float64(n)
}

// Hedging halves the p99.9 at least, for no more tries than its budget says, whether one
// endpoint of ten is slow now and then or always, and however even the others are.
func TestHedgingHalvesTheSlowest(t *testing.T) {
	for _, slowShare := range []float64{0.1, 0.33, 1} {
		for _, jitter := range []time.Duration{300 * time.Microsecond, 2 * time.Millisecond} {
			for seed := range uint64(3) {
				world := func(hedges bool) *hedgeWorld {
					return &hedgeWorld{slowShare: slowShare, jitter: jitter, hedges: hedges, r: rand.New(rand.NewPCG(seed, 1))}
				}
				without, _ := world(false).run(60_000)
				with, more := world(true).run(60_000)
				if with > without/2 || more > 0.05 {
					t.Errorf("slow for %v of calls, jitter %v: p99.9 %v with, %v without, %.1f %% more tries", slowShare, jitter, with, without, 100*more)
				}
				t.Logf("slow for %v of calls, jitter %v: p99.9 %v with, %v without, %.1f %% more tries", slowShare, jitter, with.Round(100*time.Microsecond), without, 100*more)
			}
		}
	}
}
