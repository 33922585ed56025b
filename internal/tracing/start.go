package tracing

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/weir-gateway/weir/coldstart"
)

// StartEnded makes the spans of a start: the whole, and its phases one after
// another. err is why it has failed.
func (t *Tracer) StartEnded(function string, p coldstart.Phases, err error) {
	ctx, span := t.begin(context.Background(), name{p.ID.Trace, p.ID.Span}, "start", trace.SpanKindInternal, p.Began, trace.WithAttributes(
		attribute.String("weir.function", function),
		attribute.String("weir.start.trigger", p.Cause),
		attribute.Int("weir.start.held", p.Held),
		attribute.Int("weir.start.instances", p.Instances)))
	at := p.Began
	for _, phase := range []struct {
		called string
		took   time.Duration
	}{
		{"trigger", p.Trigger}, {"provision", p.Provision}, {"boot", p.Boot}, {"detect", p.Detect},
	} {
		if phase.took > 0 {
			t.phase(ctx, phase.called, at, phase.took)
			at = at.Add(phase.took)
		}
	}
	if err != nil {
		span.SetAttributes(semconv.ErrorTypeKey.String(p.Failure))
		span.SetStatus(codes.Error, err.Error())
	}
	span.End(trace.WithTimestamp(at))
}

// Released makes the span of the last phase, which ends after the start is told
// of: from the first endpoint to the first call on its way to it.
func (t *Tracer) Released(_ string, p coldstart.Phases) {
	if p.ID == (coldstart.StartID{}) {
		return // it has been put back meanwhile
	}
	ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: p.ID.Trace, SpanID: p.ID.Span, TraceFlags: trace.FlagsSampled,
	}))
	t.phase(ctx, "release", p.Began.Add(p.Trigger+p.Provision+p.Boot+p.Detect), p.Release)
}

func (t *Tracer) phase(ctx context.Context, called string, at time.Time, took time.Duration) {
	var as name
	binary.LittleEndian.PutUint64(as.span[:], rand.Uint64()|1) // all zero is no name
	_, span := t.begin(ctx, as, called, trace.SpanKindInternal, at)
	span.End(trace.WithTimestamp(at.Add(took)))
}
