package bench

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// BenchmarkVerdict: n calls are held when the platform says that the function
// cannot be started: from that to the last byte of the answer that each client
// waits for (C5). Clients and weir share the machine's cores. Run with
// -benchtime 5x.
func BenchmarkVerdict(b *testing.B) {
	for _, n := range []int{100, 1000, 9000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkVerdict(b, n) })
	}
}

func benchmarkVerdict(b *testing.B, n int) {
	asked, say := make(chan struct{}, 1), make(chan struct{})
	p := &platform{b: b}
	url := "http://" + p.serve(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var wish struct{ Action string }
		if err := json.NewDecoder(r.Body).Decode(&wish); err != nil {
			b.Error(err)
		}
		if wish.Action == "ensure" {
			asked <- struct{}{}
			<-say
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
	})})
	token := b.TempDir() + "/token"
	writeFile(b, token, "0123456789abcdef0123456789abcdef")
	l := run(b, fmt.Sprintf("cold_start: { max_pending: 20000 }\nscalers: { platform: { type: webhook, url: %q, token_file: %q, timeout: 30s } }\n", url, token)+patient,
		"  f:\n    cold_start: { scaler: platform, max_wait: 10m, max_pending: 20000 }\n    webhook: { x: y }\n")
	var first, half, last []time.Duration
	for b.Loop() {
		conns := l.hold("f", n)
		<-asked
		at := make([]time.Time, n)
		var work sync.WaitGroup
		for i, c := range conns {
			work.Go(func() {
				head := make([]byte, 4096)
				got, err := c.Read(head)
				at[i] = time.Now()
				if err != nil || got < 12 || string(head[:12]) != "HTTP/1.1 503" {
					b.Errorf("answered %q, %v", head[:got], err)
				}
			})
		}
		time.Sleep(500 * time.Millisecond) // until all of them wait
		began := time.Now()
		say <- struct{}{}
		work.Wait()
		took := make([]time.Duration, n)
		for i := range at {
			took[i] = at[i].Sub(began)
			_ = conns[i].(*net.TCPConn).Close()
		}
		first, half, last = append(first, quantile(took, 0)), append(half, quantile(took, .5)), append(last, quantile(took, 1))
		r, err := http.Post("http://"+l.admin+"/api/v1/functions/f/reset", "", nil)
		if err != nil || r.StatusCode/100 != 2 {
			b.Fatal(r, err)
		}
		_ = r.Body.Close()
		await(b, "the door to be open", func() bool { return l.metric(`weir_start_breaker_state{function="f"}`) == 0 })
	}
	b.ReportMetric(float64(quantile(first, .5).Microseconds()), "first-µs")
	b.ReportMetric(float64(quantile(half, .5).Microseconds()), "half-µs")
	b.ReportMetric(float64(quantile(last, .5).Microseconds()), "last-µs")
	b.ReportMetric(float64(quantile(last, 1).Microseconds()), "last-of-the-worst-round-µs")
}
