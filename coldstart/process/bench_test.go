//go:build linux

package process

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// From the moment before a function's first Accept to the report that it
// accepts, for boots of 5 to 50 ms. The function stamps the moment.
//
//	go test -run '^$' -bench Detect -benchtime 200x ./coldstart/process
func BenchmarkDetect(b *testing.B) {
	s := open(b)
	var took []time.Duration
	for i := range b.N {
		fn := played("stamp"+strconv.Itoa(i), "stamp", "fd", "BOOT="+strconv.Itoa(5000+i*7919%45000)+"us")
		v, stop := s.watch(fn)
		v.until(0)
		s.up(fn, 1)
		at := v.until(1).at
		var said map[string]any
		eventually(b, "the stamp", func() bool {
			said = s.journal.find("accepting at")
			return said != nil
		})
		ns, _ := strconv.ParseInt(strings.TrimPrefix(said["msg"].(string), "accepting at "), 10, 64)
		took = append(took, at.Sub(time.Unix(0, ns)))
		s.down(fn, 0)
		stop()
		s.journal.mu.Lock()
		s.journal.entries = nil
		s.journal.mu.Unlock()
	}
	report(b, took)
}

// From ScaleUp until the program runs; it is never waited for. The difference
// is the trampoline.
//
//	go test -run '^$' -bench Spawn -benchtime 200x ./coldstart/process
func BenchmarkSpawn(b *testing.B) {
	for _, listen := range []string{"port", "fd"} {
		b.Run(listen, func(b *testing.B) {
			s := open(b)
			fn := played("sleep", "", listen)
			fn.Process.Command = []string{"sleep", "60"}
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				s.up(fn, 1)
				took = append(took, time.Since(began))
				s.down(fn, 0)
			}
			report(b, took)
		})
	}
}

// From the call that makes a function exit to the report that it has.
//
//	go test -run '^$' -bench Crash -benchtime 200x ./coldstart/process
func BenchmarkCrash(b *testing.B) {
	s := open(b)
	fn := played("hello", "activated", "fd")
	v, _ := s.watch(fn)
	var took []time.Duration
	for b.Loop() {
		v.until(0)
		s.up(fn, 1)
		addr := v.until(1).set[0].Addr
		began := time.Now()
		crash(addr)
		took = append(took, v.until(0).at.Sub(began))
		v.sets <- seen{} // for the next round
	}
	report(b, took)
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	us := func(q float64) float64 {
		return float64(took[int(q*float64(len(took)-1))].Nanoseconds()) / 1e3
	}
	b.ReportMetric(us(0.50), "p50-µs")
	b.ReportMetric(us(0.99), "p99-µs")
	b.ReportMetric(0, "ns/op")
}
