package telemetry

import (
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
	region string
	access *accessLog // nil: none

	set              *metrics.Set // what belongs to no function
	joined           *metrics.Counter
	functionsDropped *metrics.Counter
	reloadFailed     atomic.Bool // the last one

	overflow *series // of the functions over maxFunctions

	mu        sync.Mutex // guards functions
	functions map[string]*series
}

var (
	_ proxy.Recorder     = (*Telemetry)(nil)
	_ coldstart.Observer = (*Telemetry)(nil)
)

// New makes a Telemetry for a weir in a region. It opens the access log, and
// fails if it cannot; log is told what goes wrong with it later.
func New(cfg config.Telemetry, region string, log *slog.Logger) (*Telemetry, error) {
	t := &Telemetry{
		region:    region,
		set:       metrics.NewSet(),
		overflow:  newSeries(overflowed, region),
		functions: map[string]*series{},
	}
	t.joined = t.set.NewCounter("weir_start_coalesced_total")
	t.functionsDropped = t.set.NewCounter("weir_telemetry_functions_dropped_total")
	t.reloads("success")
	t.reloads("failure")
	if cfg.AccessLog.Output == "none" {
		return t, nil
	}
	var err error
	t.access, err = newAccessLog(cfg.AccessLog.Output, log)
	if err != nil {
		return nil, err
	}
	t.access.full = t.set.NewCounter(name("weir_access_log_dropped_total", "reason", "full"))
	t.access.failed = t.set.NewCounter(name("weir_access_log_dropped_total", "reason", "failed"))
	return t, nil
}

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
	if t.access != nil {
		t.access.tell(c, t.region)
	}
}

// Run writes the access log until ctx ends, and then what is left of it.
func (t *Telemetry) Run(ctx context.Context) error {
	if t.access == nil {
		<-ctx.Done()
		return nil
	}
	return t.access.run(ctx)
}

// Reopen has the access log opened again by its name, soon: somebody has moved
// the file. It does not block.
func (t *Telemetry) Reopen() {
	if t.access != nil {
		t.access.askReopen()
	}
}

// Reloaded counts that the configuration was read again; err is what was wrong
// with it.
func (t *Telemetry) Reloaded(_ *config.Config, err error) {
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

// ScalerAsked counts a request to a platform.
func (t *Telemetry) ScalerAsked(scaler string, err error) {
	t.set.GetOrCreateCounter(name("weir_scaler_requests_total", "scaler", scaler, "result", resultOf(err))).Inc()
}

// StartEnded counts a start, and measures it if it went well: the phases of one
// that failed are not whole. Instances are raised where weir is.
func (t *Telemetry) StartEnded(function string, p coldstart.Phases, err error) {
	s := t.of(function)
	if s == nil {
		return // its function left meanwhile
	}
	s.counter("weir_coldstarts_total", "region", t.region, "trigger", p.Cause, "result", resultOf(err)).Inc()
	if err != nil {
		return
	}
	const family = "weir_coldstart_duration_seconds"
	s.histogram(startBuckets, family, "region", t.region, "phase", "trigger").Update(p.Trigger.Seconds())
	s.histogram(startBuckets, family, "region", t.region, "phase", "provision").Update(p.Provision.Seconds())
	s.histogram(startBuckets, family, "region", t.region, "phase", "boot").Update(p.Boot.Seconds())
	s.histogram(startBuckets, family, "region", t.region, "phase", "detect").Update(p.Detect.Seconds())
}

// Released measures the last phase of a start.
func (t *Telemetry) Released(function string, after time.Duration) {
	if s := t.of(function); s != nil {
		s.histogram(startBuckets, "weir_coldstart_duration_seconds", "region", t.region, "phase", "release").Update(after.Seconds())
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
