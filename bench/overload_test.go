package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// BenchmarkOverload: for 20 s calls come half as fast again as the one instance
// takes them, and are held for 2 s at most: how many are served, and after what
// time, in order and with the newest first (C17). Run with -benchtime 1x.
func BenchmarkOverload(b *testing.B) {
	for _, order := range []string{"fifo", "lifo"} {
		b.Run(order, func(b *testing.B) {
			for b.Loop() {
				overload(b, order)
			}
		})
	}
}

func overload(b *testing.B, order string) {
	const work, gap, length = 20 * time.Millisecond, 13 * time.Millisecond, 20 * time.Second
	l := run(b, patient, function("f", "fd", 0, "concurrency: 1, max_wait: 2s, overload_order: "+order))
	var mu sync.Mutex
	var served []time.Duration
	var refused int
	call := func() {
		began := time.Now()
		c, err := net.Dial("tcp", l.addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /f HTTP/1.1\r\nHost: f\r\nX-Work: %s\r\n\r\n", work)
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			b.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		took := time.Since(began)
		mu.Lock()
		defer mu.Unlock()
		if r.StatusCode == 200 {
			served = append(served, took)
		} else {
			refused++
		}
	}
	call() // it is up
	var calls sync.WaitGroup
	tick := time.NewTicker(gap)
	for began := time.Now(); time.Since(began) < length; <-tick.C {
		calls.Go(call)
	}
	tick.Stop()
	calls.Wait()
	b.ReportMetric(float64(len(served)), "served")
	b.ReportMetric(float64(refused), "refused")
	b.ReportMetric(quantile(served, .5).Seconds()*1000, "served-p50-ms")
	b.ReportMetric(quantile(served, .9).Seconds()*1000, "served-p90-ms")
	b.ReportMetric(quantile(served, 1).Seconds()*1000, "served-longest-ms")
	soon := 0
	for _, took := range served {
		if took < 500*time.Millisecond {
			soon++
		}
	}
	b.ReportMetric(float64(soon), "served-within-500ms")
}
