package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/telemetry"
)

// lastExport is how long weir's end waits for the receiver to take what is left.
const lastExport = 2 * time.Second

// A Tracer makes spans and exports them. Its methods may be called from any
// goroutine, and only Run blocks.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	exporter sdk.SpanExporter
	outbox   *outbox
	log      *slog.Logger
}

var _ telemetry.Tracer = (*Tracer)(nil)

// New makes a Tracer for a weir of a version in a region. It exports until Run
// ends; log is told of a receiver that takes no spans.
func New(cfg config.Tracing, region, version string, log *slog.Logger) (*Tracer, error) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("tracing", "error", err.Error()) }))
	exporter, err := otlptrace.New(context.Background(), otlptracehttp.NewClient(target(cfg)...)) // connects to nobody yet
	if err != nil {
		return nil, fmt.Errorf("cannot export spans: %w", err)
	}
	about, err := resource.New(context.Background(),
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName("weir"), semconv.ServiceVersion(version), attribute.String("weir.region", region)),
		resource.WithFromEnv()) // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, before what we think
	if err != nil {
		return nil, fmt.Errorf("cannot say in spans whose they are: %w", err)
	}
	t := &Tracer{exporter: exporter, outbox: newOutbox(exporter, log), log: log}
	t.provider = sdk.NewTracerProvider(
		sdk.WithResource(about),
		sdk.WithSampler(sdk.AlwaysSample()), // proxy/trace.go has decided
		sdk.WithIDGenerator(given{}),
		sdk.WithSpanProcessor(t.outbox))
	t.tracer = t.provider.Tracer("github.com/weir-gateway/weir", trace.WithInstrumentationVersion(version))
	return t, nil
}

// target says where spans go. If the environment does, the exporter reads it
// there itself, with all that belongs to it.
func target(cfg config.Tracing) []otlptracehttp.Option {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "" {
		return nil
	}
	const path = "/v1/traces"
	url := strings.TrimSuffix(cfg.OTLPEndpoint, "/")
	if !strings.HasSuffix(url, path) {
		url += path
	}
	return []otlptracehttp.Option{otlptracehttp.WithEndpointURL(url)}
}

// Run exports until ctx ends, then what is left, unless the receiver keeps it
// waiting.
func (t *Tracer) Run(ctx context.Context) error {
	<-ctx.Done()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastExport)
	defer cancel()
	if err := t.provider.Shutdown(last); err != nil {
		t.log.Warn("not all spans were exported", "error", err.Error())
		_ = t.exporter.Shutdown(context.WithoutCancel(ctx)) // interrupts what is on the way
	}
	return nil
}

// Spans tells how many were exported, and how many are lost: because too many
// waited, and because the receiver did not take them.
func (t *Tracer) Spans() (exported, full, failed int) {
	return int(t.outbox.exported.Load()), int(t.outbox.full.Load()), int(t.outbox.failed.Load())
}

// A name is what a span is called by others already.
type name struct {
	trace trace.TraceID
	span  trace.SpanID
}

type nameKey struct{}

// begin begins a span at a moment, under a name; below the one in ctx, if there
// is one. Whoever begins it ends it.
func (t *Tracer) begin(ctx context.Context, as name, called string, kind trace.SpanKind, at time.Time, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	ctx = context.WithValue(ctx, nameKey{}, as)
	return t.tracer.Start(ctx, called, append(opts, trace.WithTimestamp(at), trace.WithSpanKind(kind))...)
}

// given gives spans the names that they have already.
type given struct{}

func (given) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	as := ctx.Value(nameKey{}).(name)
	return as.trace, as.span
}

func (given) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	return ctx.Value(nameKey{}).(name).span
}
