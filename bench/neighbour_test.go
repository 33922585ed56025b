package bench

import (
	"net"
	"testing"
	"time"
)

// BenchmarkNeighbour: from the instant an instance of one function listens to its
// answer, with nobody and with 9,000 calls in the line of another function (C19).
// They come in turns of 20 starts, so that both see the same machine. Run with
// -benchtime 10x.
func BenchmarkNeighbour(b *testing.B) {
	l := run(b, "cold_start: { max_pending: 20000 }\n"+patient,
		function("a", "fd", time.Hour, "max_wait: 10m, start_timeout: 10m, max_pending: 20000"),
		function("b", "fd", 20*time.Millisecond, "idle_after: 20ms, min_up: 1ms, grace: 1ms"))
	ours := func() (took []time.Duration) {
		for range 20 {
			await(b, "the function to be at zero", func() bool { return l.state("b") == "cold" })
			conn, err := net.Dial("tcp", l.addr)
			if err != nil {
				b.Fatal(err)
			}
			_, answer := ask(b, conn, "/b")
			took = append(took, answer)
		}
		return took
	}
	hold := func(n int) []net.Conn {
		conns := l.hold("a", n)
		time.Sleep(time.Second) // until what the burst has left is tidied up
		return conns
	}
	release := func(conns []net.Conn) {
		for _, c := range conns {
			_ = c.Close()
		}
		await(b, "the line to be empty", func() bool { return l.metric(`weir_held{function="a"}`) == 0 })
	}
	release(hold(1)) // from now on the other function is starting, whoever waits
	var alone, beside []time.Duration
	for b.Loop() {
		alone = append(alone, ours()...)
		conns := hold(9000)
		beside = append(beside, ours()...)
		release(conns)
	}
	for name, took := range map[string][]time.Duration{"alone": alone, "beside-9000": beside} {
		b.ReportMetric(float64(quantile(took, .5).Microseconds()), name+"-p50-µs")
		b.ReportMetric(float64(quantile(took, .99).Microseconds()), name+"-p99-µs")
	}
}
