package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Ten endpoints that take 5 ms, of which one takes 100 ms for some of its calls, or
// for all: functions without hedging and with it, on the same endpoints, in turn; and
// how many more tries the endpoints had than there were calls. Run with -benchtime 1x:
// each takes a minute.
func BenchmarkHedging(b *testing.B) {
	b.Run("slow-for-a-third", func(b *testing.B) { hedging(b, 0.33, "least_request") })
	b.Run("slow-for-all", func(b *testing.B) { hedging(b, 1, "least_request") })
	b.Run("slow-for-all/peak_ewma", func(b *testing.B) { hedging(b, 1, "peak_ewma") })
}

func hedging(b *testing.B, share float64, policy string) {
	var addrs []string
	var endpoints []*Endpoint
	for i := range 10 {
		behaves := Behaviour{Delay: 5 * time.Millisecond}
		if i == 0 {
			behaves.SlowShare, behaves.Slow = share, 100*time.Millisecond
		}
		e, err := StartEndpoint("127.0.0.1:0", behaves)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(e.Stop)
		endpoints, addrs = append(endpoints, e), append(addrs, e.Addr)
	}
	function := func(name, settings string) string {
		return strings.TrimSuffix(static(name, addrs...), " }\n") + ", load_balancing: { policy: " + policy + " }" + settings + " }\n"
	}
	l := run(b, "", function("without", ""), function("with", ", hedging: { budget: { min_per_second: 0 } }"))
	asked := func() (n int64) {
		for _, e := range endpoints {
			n += e.Calls.Load()
		}
		return n
	}
	for b.Loop() {
		for round := range 3 {
			for _, name := range []string{"without", "with"} {
				before := asked()
				r, err := Run(b.Context(), Load{
					URL: "http://" + l.addr + "/" + name, Steps: []Step{{From: 300, To: 300, For: 10 * time.Second}}, Poisson: true,
					Seed: uint64(round), Connections: 128, Warmup: time.Second, Duration: 9 * time.Second, Timeout: 5 * time.Second,
				}, nil)
				if err != nil || r.Failed > 0 {
					b.Fatal(err, r)
				}
				calls := r.Calls + r.Warmup
				d := r.Corrected
				fmt.Printf("%-8s %d calls: p50 %v, p90 %v, p99 %v, p99.9 %v, the longest %v; %.1f %% more tries\n",
					name, d.Count, d.P50, d.P90, d.P99, d.P999, d.Max, 100*float64(asked()-before-calls)/float64(calls))
			}
		}
	}
}
