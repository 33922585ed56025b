package telemetry

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy"
)

// A Telemetry counts what has happened and writes the access log. Its methods
// may be called from any goroutine.
type Telemetry struct {
	home   *atomic.Pointer[string] // the region of this weir, which all series tell
	access *accessLog
	tracer atomic.Pointer[Tracer] // nil: none

	set              *metrics.Set // what belongs to no function
	joined           *metrics.Counter
	functionsDropped *metrics.Counter
	lag              *metrics.PrometheusHistogram
	reloadFailed     atomic.Bool // the last one

	overflow *series // of the functions over maxFunctions

	mu        sync.Mutex // guards what follows, and the places of series
	functions map[string]*series
	places    int // of all series
}

var (
	_ proxy.Recorder     = (*Telemetry)(nil)
	_ coldstart.Observer = (*Telemetry)(nil)
)

// New makes a Telemetry for a weir in a region. It opens the access log, and
// fails if it cannot; log is told what goes wrong with it later.
func New(cfg config.Telemetry, region string, log *slog.Logger) (*Telemetry, error) {
	home := new(atomic.Pointer[string])
	home.Store(&region)
	t := &Telemetry{
		home:      home,
		set:       metrics.NewSet(),
		overflow:  newSeries(overflowed, home),
		functions: map[string]*series{},
	}
	t.joined = t.set.NewCounter("weir_start_coalesced_total")
	t.functionsDropped = t.set.NewCounter("weir_telemetry_functions_dropped_total")
	t.lag = t.set.NewPrometheusHistogramExt("weir_discovery_lag_seconds", lagBuckets)
	t.reloads("success")
	t.reloads("failure")
	var err error
	t.access, err = newAccessLog(cfg.AccessLog.Output, log)
	if err != nil {
		return nil, err
	}
	t.access.full = t.set.NewCounter(name("weir_access_log_dropped_total", "reason", "full"))
	t.access.failed = t.set.NewCounter(name("weir_access_log_dropped_total", "reason", "failed"))
	return t, nil
}

// A Tracer makes spans of calls and of starts. Its methods do not block and may
// be called from any goroutine.
type Tracer interface {
	Record(c *proxy.Call) // that has a Recording; the call is used again after it returns
	StartEnded(function string, p coldstart.Phases, err error)
	Released(function string, p coldstart.Phases)
	// Spans tells how many were exported, and how many are lost: because too
	// many wait to be, and because the receiver did not take them.
	Spans() (exported, full, failed int)
}

// Trace has a Tracer told of what is recorded as traces from now on; nil: nobody.
func (t *Telemetry) Trace(tracer Tracer) {
	if tracer == nil {
		t.tracer.Store(nil)
		return
	}
	t.tracer.Store(&tracer)
}

// SetRegion says in which region this weir is from now on. What was counted stays
// where it was.
func (t *Telemetry) SetRegion(region string) { t.home.Store(&region) }

func (t *Telemetry) region() string { return *t.home.Load() }

// Record counts a call that has ended, and writes its line.
func (t *Telemetry) Record(c *proxy.Call) {
	fn := c.Function()
	if fn == nil {
		return // it ended before there was a table: nothing to say it under
	}
	if m, ok := fn.Meter.(*Meter); ok {
		m.count(c)
	}
	if c.Joined() {
		t.joined.Inc()
	}
	if !t.access.off.Load() {
		t.access.tell(c, t.region())
	}
	if c.Recording() == nil {
		return
	}
	if tracer := t.tracer.Load(); tracer != nil {
		(*tracer).Record(c)
	}
}

// Run writes the access log until ctx ends, and then what is left of it.
func (t *Telemetry) Run(ctx context.Context) error {
	return t.access.run(ctx)
}

// Reopen has the access log opened again by its name, soon: somebody has moved
// the file. It does not block.
func (t *Telemetry) Reopen() {
	t.access.askReopen()
}

// PrepareLog opens the access log that settings name, if it is another one.
// Lines go there from use on, what was told before to the old one; drop closes it
// instead.
func (t *Telemetry) PrepareLog(cfg config.AccessLog) (use, drop func(), err error) {
	return t.access.prepare(cfg.Output)
}

// Reloaded counts that the configuration was read again; err is what was wrong
// with it.
func (t *Telemetry) Reloaded(err error) {
	t.reloadFailed.Store(err != nil)
	if err != nil {
		t.reloads("failure").Inc()
	} else {
		t.reloads("success").Inc()
	}
}

func (t *Telemetry) reloads(result string) *metrics.Counter {
	return t.set.GetOrCreateCounter(name("weir_config_reloads_total", "result", result))
}

// ScalerAsked counts a request to a platform. What it was told before is a result of
// its own: starts are what the others count.
func (t *Telemetry) ScalerAsked(scaler string, repeated bool, err error) {
	result := resultOf(err)
	if repeated && err == nil {
		result = "repeated"
	}
	t.set.GetOrCreateCounter(name("weir_scaler_requests_total", "scaler", scaler, "result", result)).Inc()
}

// StartEnded counts a start, and measures it if it went well: the phases of one
// that failed are not whole.
func (t *Telemetry) StartEnded(function string, p coldstart.Phases, err error) {
	if tracer := t.tracer.Load(); tracer != nil {
		(*tracer).StartEnded(function, p, err)
	}
	s := t.of(function)
	if s == nil {
		return // its function left meanwhile
	}
	s.counter("weir_coldstarts_total", "region", cmp.Or(p.Place.Region, t.region()), "trigger", p.Cause, "result", resultOf(err)).Inc()
	if err != nil {
		return
	}
	t.phaseOf(s, p.Place, "trigger").Update(p.Trigger.Seconds())
	t.phaseOf(s, p.Place, "provision").Update(p.Provision.Seconds())
	t.phaseOf(s, p.Place, "boot").Update(p.Boot.Seconds())
	t.phaseOf(s, p.Place, "detect").Update(p.Detect.Seconds())
}

// Released measures the last phase of a start.
func (t *Telemetry) Released(function string, p coldstart.Phases) {
	if tracer := t.tracer.Load(); tracer != nil {
		(*tracer).Released(function, p)
	}
	if s := t.of(function); s != nil {
		t.phaseOf(s, p.Place, "release").Update(p.Release.Seconds())
	}
}

// Prewarmed counts a start ahead of a call, and what it has cost if none came.
func (t *Telemetry) Prewarmed(function, trigger string, used bool, wasted time.Duration) {
	if s := t.of(function); s != nil {
		if !used {
			s.set.GetOrCreateFloatCounter(s.name("weir_prewarm_wasted_seconds_total", []string{"kind", trigger})).Add(wasted.Seconds())
		}
		s.counter("weir_prewarm_total", "kind", trigger, "used", strconv.FormatBool(used)).Inc()
	}
}

// Stopped counts that a function's instances were put back.
func (t *Telemetry) Stopped(function, reason string) {
	if s := t.of(function); s != nil {
		s.counter("weir_stops_total", "reason", reason).Inc()
	}
}

func resultOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, coldstart.ErrStartTimeout), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "failed"
}
