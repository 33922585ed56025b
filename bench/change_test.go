package bench

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	changeFor       = flag.Duration("change.for", 4*time.Second, "how long each part of BenchmarkConfigChanges goes on")
	changeParts     = flag.Int("change.parts", 8, "how many parts BenchmarkConfigChanges has: four, of which two are quiet, and again")
	changeCalls     = flag.Int("change.calls", 5000, "how many calls a second it makes")
	changeRate      = flag.Int("change.rate", 100, "how many changes a second in every other part")
	changeNothing   = flag.Bool("change.nothing", false, "ask for /livez instead of changing anything: what the asking alone does")
	changeEndpoints = flag.Bool("change.endpoints", false, "change the weight of one of the called function's two endpoints, in a file of discovery, and not the configuration")
	changeFunctions = flag.Int("change.functions", 100, "how many functions with a route the configuration has")
)

// Calls at a steady rate; in half of the parts the configuration changes a hundred
// times a second: a value that the called function notices, over the admin
// interface, each change a table of its own. No call may fail. Run with
// -benchtime 1x.
//
// What the machine does beside moves the p99 by more than changes do, so the parts
// are short and many, and what is told is the ratio of neighbours: quiet, changing,
// changing, quiet, so that what drifts falls on both sides. The same ratio of one
// quiet part to the next says what it is worth.
func BenchmarkConfigChanges(b *testing.B) {
	for b.Loop() {
		changes(b)
	}
}

func changes(b *testing.B) {
	stand := newStand(b, 2)
	functions, top, file := []string{static("f", stand.addrs...)}, "", ""
	if *changeEndpoints {
		file = filepath.Join(b.TempDir(), "endpoints.json")
		functions[0] = "  f: { service: \"file:f\" }\n"
		top = fmt.Sprintf("discovery: { file: { path: %q } }\n", file)
		weigh(b, file, stand.addrs, 1)
	}
	for i := range *changeFunctions - 1 {
		functions = append(functions, static(fmt.Sprintf("g%d", i), stand.addrs...))
	}
	l := run(b, top, functions...)
	var took [2][]time.Duration // in quiet parts and in the others
	var busy [2]time.Duration   // weir's processor time in the same
	var p99 [2][]float64        // of each part
	var failed, made int64
	for part := range *changeParts {
		changing := (part + 1) / 2 % 2
		ctx, cancel := context.WithTimeout(b.Context(), *changeFor)
		var work sync.WaitGroup
		if changing == 1 {
			if file == "" {
				work.Go(func() { made += l.change(ctx) })
			} else {
				work.Go(func() {
					atChanges(ctx, func(n int) {
						weigh(b, file, stand.addrs, 1+n%2)
						made++
					})
				})
			}
		}
		before := l.cpu()
		more, lost := l.callAll(ctx, b)
		work.Wait()
		cancel()
		busy[changing] += l.cpu() - before
		took[changing] = append(took[changing], more...)
		p99[changing] = append(p99[changing], quantile(more, 0.99).Seconds())
		failed += lost
	}
	if failed > 0 {
		b.Errorf("%d calls failed", failed)
	}
	b.ReportMetric(float64(len(took[0])+len(took[1])), "calls")
	b.ReportMetric(float64(failed), "failed")
	b.ReportMetric(float64(made)/(float64(*changeParts/2)*changeFor.Seconds()), "changes/s")
	b.ReportMetric(l.metric("weir_table_version"), "tables")
	b.ReportMetric(l.metric("weir_discovery_lag_seconds_count"), "sets")
	for i := range busy {
		busy[i] /= time.Duration(max(len(took[i]), 1)) // a call's
	}
	b.ReportMetric(float64(busy[0].Nanoseconds())/1e3, "weir-µs/call")
	b.ReportMetric(float64((busy[1]-busy[0]).Nanoseconds())*float64(len(took[1]))/1e6/float64(max(made, 1)), "weir-ms/change")
	for i, what := range []string{"quiet", "changing"} {
		b.ReportMetric(float64(quantile(took[i], 0.5).Microseconds()), what+"-p50-µs")
		b.ReportMetric(float64(quantile(took[i], 0.99).Microseconds()), what+"-p99-µs")
	}
	reportRatios(b, "changing/quiet", ratios(p99[1], p99[0]))
	reportRatios(b, "quiet/quiet", ratios(p99[0][1:], p99[0]))
}

// ratios are those of one list to another, as far as both go.
func ratios(of, to []float64) (all []float64) {
	for i := range min(len(of), len(to)) {
		all = append(all, of[i]/to[i])
	}
	return all
}

// reportRatios tells the median and the quartiles.
func reportRatios(b *testing.B, what string, all []float64) {
	slices.Sort(all)
	for _, q := range []int{25, 50, 75} {
		if len(all) > 0 {
			b.ReportMetric(all[(len(all)-1)*q/100], fmt.Sprintf("%s-p99-q%d", what, q))
		}
	}
}

// callAll makes calls until ctx ends, each timed from when it was due, so that
// one that waits for another counts as late.
func (l *lab) callAll(ctx context.Context, b *testing.B) (took []time.Duration, failed int64) {
	const clients = 50
	var work sync.WaitGroup
	var mu sync.Mutex // guards took
	var lost atomic.Int64
	interval := time.Duration(clients) * time.Second / time.Duration(*changeCalls)
	for i := range clients {
		work.Go(func() {
			c := &caller{addr: l.addr}
			defer c.leave()
			var mine []time.Duration
			pause(ctx, interval*time.Duration(i)/clients)
			for due := time.Now(); ctx.Err() == nil; due = due.Add(interval) {
				pause(ctx, time.Until(due))
				if err := c.call(0); err != nil {
					if lost.Add(1) <= 10 {
						b.Errorf("a call: %v", err)
					}
					continue
				}
				mine = append(mine, time.Since(due))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	work.Wait()
	return took, lost.Load()
}

// weigh gives the first of a function's endpoints a weight.
func weigh(b *testing.B, file string, addrs []string, weight int) {
	text := fmt.Sprintf(`{"services":{"f":[{"address":%q,"weight":%d},{"address":%q}]}}`, addrs[0], weight, addrs[1])
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		b.Error(err)
	} else if err := os.Rename(file+".new", file); err != nil {
		b.Error(err)
	}
}

// atChanges calls f at a random moment of each interval until ctx ends. At its beginning
// it would always meet the same clients, whose calls come as often: a run's p99 was that
// of its quiet parts or a quarter above, by where the two had begun.
func atChanges(ctx context.Context, f func(n int)) {
	interval := time.Second / time.Duration(*changeRate)
	pace(ctx, interval, func(n int) {
		pause(ctx, rand.N(interval))
		f(n)
	})
}

// change changes the configuration until ctx ends, and returns how often.
func (l *lab) change(ctx context.Context) (made int64) {
	atChanges(ctx, func(n int) {
		body := fmt.Sprintf(`{"value":"%dms","author":"bench"}`, 10_000+n)
		r, err := http.NewRequest(http.MethodPut, "http://"+l.admin+"/api/v1/config/overrides/functions/f/timeouts/request", strings.NewReader(body))
		if *changeNothing {
			r, err = http.NewRequest(http.MethodGet, "http://"+l.admin+"/livez", http.NoBody)
		}
		if err != nil {
			l.t.Error(err)
			return
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			l.t.Errorf("a change: %v", err)
			return
		}
		said, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			l.t.Errorf("a change: %s: %s", answer.Status, said)
			return
		}
		made++
	})
	return made
}
