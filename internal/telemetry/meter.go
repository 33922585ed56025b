package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/table"
)

const (
	// maxFunctions have series of their own. A function that was called has some
	// 50 lines on the page, 5 KB: 10,000 are 50 MB a scrape.
	maxFunctions = 10_000

	// maxCodes is how many pairs of method and status code a function may show
	// in one region; what an endpoint invents beyond is counted under _other.
	maxCodes = 100

	overflowed = "_overflow" // the function that stands for those over maxFunctions
	otherCode  = 0
)

// A Meter hangs on the State of a function.
type Meter struct {
	*series
	telemetry *Telemetry
}

// NewMeter makes the Meter of a function that has come. It may come before the
// end of another of that name; they share the series, and the newest ends them.
func (t *Telemetry) NewMeter(function string) table.Meter {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.functions[function]
	switch {
	case s != nil:
	case len(t.functions) < maxFunctions:
		s = newSeries(function, t.home)
		t.functions[function] = s
	default:
		t.functionsDropped.Inc()
		s = t.overflow
	}
	m := &Meter{series: s, telemetry: t}
	s.newest = m
	return m
}

// Unregister ends the function's series, unless a newer Meter goes on with
// them. A call that still counts on them counts unseen.
func (m *Meter) Unregister() {
	t := m.telemetry
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.series != t.overflow && m.newest == m && t.functions[m.function] == m.series {
		delete(t.functions, m.function)
		t.places -= len(m.places)
	}
}

// of returns the series of a function by name, for what does not happen while
// a call is in flight; nil if it has gone.
func (t *Telemetry) of(function string) *series {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.functions[function]; s != nil || len(t.functions) < maxFunctions {
		return s
	}
	return t.overflow
}

// Tally is that of a function; "" is all of them together.
func (t *Telemetry) Tally(function string) (calls, failed int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, s := range t.functions {
		if function == "" || name == function {
			n, bad := s.Tally()
			calls, failed = calls+n, failed+bad
		}
	}
	return calls, failed
}

// Tally counts the function's calls that have ended, and those of them that failed:
// with a status of 500 and over.
func (s *series) Tally() (calls, failed int64) {
	s.regions.each(func(_ string, r *regional) {
		r.calls.each(func(key callKey, count *metrics.Counter) {
			n := int64(count.Get())
			calls += n
			if key.code >= 500 {
				failed += n
			}
		})
	})
	return calls, failed
}

// series are what is counted for one function.
type series struct {
	function string
	home     *atomic.Pointer[string] // the region of this weir
	newest   *Meter                  // guarded by Telemetry.mu

	set               *metrics.Set
	retries           *metrics.Counter
	bytesIn, bytesOut *metrics.Counter
	errors            vector[string, *metrics.Counter]
	held              vector[string, *metrics.PrometheusHistogram]
	rejected          vector[string, *metrics.Counter]
	regions           vector[string, *regional]
	places            map[coldstart.Place]bool // in which it was started; guarded by Telemetry.mu
}

// regional is the part that is told apart by the region of the endpoint.
type regional struct {
	name     string
	seconds  *metrics.PrometheusHistogram
	upstream *metrics.PrometheusHistogram
	calls    vector[callKey, *metrics.Counter]
	tries    vector[proxy.Result, *metrics.Counter]
}

// A callKey stands for the labels code and method.
type callKey struct {
	method method
	code   uint16
}

func newSeries(function string, home *atomic.Pointer[string]) *series {
	s := &series{function: function, home: home, set: metrics.NewSet(), places: map[coldstart.Place]bool{}}
	s.retries = s.counter("weir_retries_total")
	s.bytesIn = s.counter("weir_http_request_bytes_total")
	s.bytesOut = s.counter("weir_http_response_bytes_total")
	return s
}

// counter makes a counter with the label function, and others as pairs.
func (s *series) counter(family string, labels ...string) *metrics.Counter {
	return s.set.GetOrCreateCounter(s.name(family, labels))
}

func (s *series) histogram(buckets []float64, family string, labels ...string) *metrics.PrometheusHistogram {
	return s.set.GetOrCreatePrometheusHistogramExt(s.name(family, labels), buckets)
}

func (s *series) name(family string, labels []string) string {
	return name(family, append([]string{"function", s.function}, labels...)...)
}

// count counts a call that has ended.
func (s *series) count(c *proxy.Call) {
	r := s.region(c)
	s.call(r, c).Inc()
	r.seconds.Update(c.Duration().Seconds())
	if d := c.UpstreamDuration(); d > 0 {
		r.upstream.Update(d.Seconds())
	}
	if n := c.Tries(); n > 0 {
		s.countTries(r, c.Tried, answerBroke(c))
		if n > 1 {
			s.retries.Add(n - 1)
		}
	}
	if c.BytesIn > 0 {
		s.bytesIn.AddInt64(c.BytesIn)
	}
	if c.BytesOut > 0 {
		s.bytesOut.AddInt64(c.BytesOut)
	}
	cause := c.Cause()
	if cause != "" {
		s.errorsOf(cause).Inc()
	}
	if c.HandedTo() != nil {
		s.counter("weir_handed_total", "direction", "out").Inc()
	} else if c.Handed() {
		s.counter("weir_handed_total", "direction", "in").Inc()
	}
	if to := c.Overflow(); to != "" {
		s.counter("weir_overflow_total", "from", *s.home.Load(), "to", to).Inc()
	}
	if result, _ := c.Collapsed(); result != proxy.NotCollapsed {
		s.counter("weir_collapsed_total", "result", result.String()).Inc()
	}
	held := c.Held()
	if from, waited := c.FellBack(); from != nil {
		held -= waited
		if m, ok := from.Meter.(*Meter); ok {
			m.fellBack(c, waited)
		}
	}
	if held > 0 {
		s.heldOf(outcome(c)).Update(held.Seconds())
	} else if reason := c.TurnedAway(); reason != "" {
		s.rejectedFor(reason).Inc()
	}
}

// fellBack counts, for the function that a call was meant for, where it went.
func (s *series) fellBack(c *proxy.Call, waited time.Duration) {
	to := "answer"
	if name := c.Function().Name; name != s.function {
		to = name
	}
	s.counter("weir_fallbacks_total", "to", to).Inc()
	if b := c.Before(); b != nil {
		s.countTries(s.regionOf(b.Endpoint), func(r proxy.Result) int { return int(b.Results[r]) }, false)
		s.retries.Add(b.Tries - 1)
	}
	if waited > 0 {
		s.heldOf("fallback").Update(waited.Seconds())
	}
}

// region returns the part for the region of the call's last endpoint, or for
// weir's own if it had none.
func (s *series) region(c *proxy.Call) *regional { return s.regionOf(c.Endpoint()) }

func (s *series) regionOf(ep *table.Endpoint) *regional {
	region := regionOf(ep, *s.home.Load())
	if r, ok := s.regions.find(region); ok {
		return r
	}
	return s.regions.add(region, func() *regional {
		return &regional{
			name:     region,
			seconds:  s.histogram(callBuckets, "weir_http_request_duration_seconds", "region", region),
			upstream: s.histogram(callBuckets, "weir_upstream_request_duration_seconds", "region", region),
		}
	})
}

func (s *series) call(r *regional, c *proxy.Call) *metrics.Counter {
	key := callKey{methodOf(c.Request.Method), uint16(c.Status())}
	if m, ok := r.calls.find(key); ok {
		return m
	}
	if r.calls.len() >= maxCodes {
		key.code = otherCode
	}
	return r.calls.add(key, func() *metrics.Counter {
		return s.counter("weir_http_requests_total", "region", r.name, "code", codeLabel(key.code), "method", key.method.String())
	})
}

// broken is the result of a try whose answer began and did not end. It is the
// one that is known only when the call is over.
const broken = proxy.NumResults

// countTries counts the call's tries by how they ended, all of them in the
// region of the last.
func (s *series) countTries(r *regional, tried func(proxy.Result) int, broke bool) {
	for result := range proxy.NumResults {
		n := tried(result)
		if n == 0 {
			continue
		}
		if result == proxy.Answered && broke {
			result = broken
		}
		m, ok := r.tries.find(result)
		if !ok {
			m = s.newTries(r, result)
		}
		m.Add(n)
	}
}

func (s *series) newTries(r *regional, result proxy.Result) *metrics.Counter {
	label := "broken"
	if result != broken {
		label = result.String()
	}
	return r.tries.add(result, func() *metrics.Counter {
		return s.counter("weir_upstream_attempts_total", "region", r.name, "result", label)
	})
}

func (s *series) errorsOf(cause string) *metrics.Counter {
	if m, ok := s.errors.find(cause); ok {
		return m
	}
	return s.errors.add(cause, func() *metrics.Counter { return s.counter("weir_http_errors_total", "cause", cause) })
}

func (s *series) heldOf(outcome string) *metrics.PrometheusHistogram {
	if m, ok := s.held.find(outcome); ok {
		return m
	}
	return s.held.add(outcome, func() *metrics.PrometheusHistogram {
		return s.histogram(startBuckets, "weir_hold_seconds", "outcome", outcome)
	})
}

func (s *series) rejectedFor(reason string) *metrics.Counter {
	if m, ok := s.rejected.find(reason); ok {
		return m
	}
	return s.rejected.add(reason, func() *metrics.Counter { return s.counter("weir_hold_rejected_total", "reason", reason) })
}
