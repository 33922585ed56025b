package proxy

import (
	"testing"
	"time"

	"github.com/weir-gateway/weir/proxy/message"
)

// arriving is a call as it comes from a client.
func arriving(fields ...message.Field) *Call {
	c := &Call{}
	c.Start(time.Now())
	c.Request.Fields = append(fields,
		message.Field{Name: []byte("User-Agent"), Value: []byte("test"), ID: message.UserAgent},
		message.Field{Name: []byte("Accept"), Value: []byte("*/*"), ID: message.Accept})
	return c
}

// again readies the call for another joinTrace.
func (c *Call) again() {
	c.Request.Added, c.scratch, c.trace = c.added[:0], c.scratch[:0], trace{}
}

func TestTraceNotRecordedAllocs(t *testing.T) {
	p := &Proxy{}
	p.Trace(0)
	c := arriving()
	if n := testing.AllocsPerRun(1000, func() { c.again(); joinTrace(c, p.sampling.Load()) }); n > 0 {
		t.Errorf("a call whose trace is not recorded allocates %.0f times", n)
	}
	if c.recording != nil {
		t.Error("it is recorded")
	}
}

func TestShareOfTraces(t *testing.T) {
	const n = 20_000
	for _, ratio := range []float64{0, 0.01, 0.5, 0.999, 1} {
		p := &Proxy{}
		p.Trace(ratio)
		recorded := 0.0
		for range n {
			c := arriving()
			joinTrace(c, p.sampling.Load())
			if c.recording != nil {
				recorded++
			}
		}
		// Six standard deviations of a fair coin's, which is the widest: once in
		// five hundred million runs.
		if off := recorded/n - ratio; off > 0.022 || off < -0.022 || ratio == 0 && recorded > 0 || ratio == 1 && recorded < n {
			t.Errorf("of %d traces %v are recorded, want %v", n, recorded, ratio*n)
		}
	}
}

// BenchmarkTrace: what a call whose trace is not recorded pays for it, beyond
// the 71 bytes on the wire.
func BenchmarkTrace(b *testing.B) {
	traceparent := message.Field{Name: []byte("traceparent"), ID: message.Traceparent,
		Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}
	for name, fields := range map[string][]message.Field{"begun-here": nil, "begun-elsewhere": {traceparent}} {
		b.Run(name, func(b *testing.B) {
			p := &Proxy{}
			p.Trace(0)
			c := arriving(fields...)
			b.ReportAllocs()
			for b.Loop() {
				c.again()
				joinTrace(c, p.sampling.Load())
			}
		})
	}
}
