package telemetry

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/proxy"
)

func BenchmarkRecord(b *testing.B) {
	for _, output := range []string{"none", "/dev/null"} {
		b.Run("log="+strings.TrimPrefix(output, "/dev/"), func(b *testing.B) {
			tel := with(b, output)
			r := setUp(b, tel, twoFunctions, answer(200, "hello"))
			r.peek = func(c *proxy.Call) {
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					tel.Record(c)
					if i%150 == 149 && tel.access != nil {
						tel.access.flush() // what the writer does, on the same core
					}
				}
				b.StopTimer()
			}
			r.call("GET", "/checkout/cart/17", "Host: api.example.com", "Accept: */*",
				"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
		})
	}
}

// All cores at once, into one buffer.
func BenchmarkRecordParallel(b *testing.B) {
	tel := with(b, "/dev/null")
	running(b, tel)
	r := setUp(b, tel, twoFunctions, answer(200, "hello"))
	r.peek = func(c *proxy.Call) {
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				tel.Record(c)
			}
		})
		b.StopTimer()
		b.ReportMetric(float64(tel.access.full.Get())/float64(b.N), "lost/op")
	}
	r.call("GET", "/checkout/cart/17", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
}

func BenchmarkVector(b *testing.B) {
	var v vector[callKey, int]
	m := map[callKey]int{}
	for i := range uint16(5) {
		v.add(callKey{1, 200 + i}, func() int { return 1 })
		m[callKey{1, 200 + i}] = 1
	}
	b.Run("vector", func(b *testing.B) {
		for i := range b.N {
			_, _ = v.find(callKey{1, 200 + uint16(i%5)})
		}
	})
	b.Run("map", func(b *testing.B) {
		for i := range b.N {
			_ = m[callKey{1, 200 + uint16(i%5)}]
		}
	})
}

func BenchmarkPage(b *testing.B) {
	tel := with(b, "none")
	r := setUp(b, tel, twoFunctions, answer(200, "hello"))
	r.peek = func(c *proxy.Call) {
		for i := range 1000 {
			tel.NewMeter(fmt.Sprint("function-", i)).(*Meter).count(c)
		}
	}
	r.call("GET", "/")
	b.ReportAllocs()
	for b.Loop() {
		_ = tel.WritePrometheus(io.Discard, Scene{Table: r.keeper.Table()})
	}
}
