package main

import (
	"context"
	"log/slog"
	"sync"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/telemetry"
	"github.com/weir-gateway/weir/internal/tracing"
	"github.com/weir-gateway/weir/proxy"
)

// traces are where spans go, and which are made. Who has them is exchanged when the
// settings change or the region that they tell; what the one before has, it exports
// before it ends.
type traces struct {
	log       *slog.Logger
	telemetry *telemetry.Telemetry
	proxy     *proxy.Proxy

	mu     sync.Mutex // guards all below
	cfg    config.Tracing
	region string
	now    *tracing.Tracer                   // nil: weir takes no part in traces
	begin  func(func(context.Context) error) // nil before run
	end    context.CancelFunc                // of the one that runs
}

func newTraces(cfg *config.Config, t *telemetry.Telemetry, p *proxy.Proxy, log *slog.Logger) (*traces, error) {
	ts := &traces{log: log, telemetry: t, proxy: p, end: func() {}}
	apply, err := ts.prepare(cfg)
	if err != nil {
		return nil, err
	}
	apply()
	return ts, nil
}

// run starts the one that there is, and later what is exchanged for it.
func (ts *traces) run(begin func(func(context.Context) error)) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.begin = begin
	ts.beginLocked()
}

func (ts *traces) beginLocked() {
	tracer := ts.now
	if tracer == nil || ts.begin == nil {
		ts.end = func() {}
		return
	}
	own, end := context.WithCancel(context.Background())
	ts.end = end
	ts.begin(func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(own, cancel)()
		return tracer.Run(ctx)
	})
}

// prepare makes what newer settings name, which apply takes over.
func (ts *traces) prepare(cfg *config.Config) (apply func(), err error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	wanted, region := cfg.Telemetry.Tracing, cfg.Region
	next := ts.now
	switch {
	case !wanted.On():
		next = nil
	case next == nil || wanted.OTLPEndpoint != ts.cfg.OTLPEndpoint || region != ts.region:
		if next, err = tracing.New(wanted, region, version, ts.log); err != nil {
			return nil, err
		}
	}
	return func() { ts.use(wanted, region, next) }, nil
}

func (ts *traces) use(cfg config.Tracing, region string, next *tracing.Tracer) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	last := ts.now
	ts.cfg, ts.region, ts.now = cfg, region, next
	if next != last {
		if next != nil {
			ts.telemetry.Trace(next)
		}
		ts.end()
		ts.beginLocked()
	}
	if next != nil {
		ts.proxy.Trace(cfg.SampleRatio)
		return
	}
	ts.proxy.LeaveTraces()
	if last != nil {
		ts.telemetry.Trace(nil)
	}
}
