package tracing

import (
	"context"
	"log/slog"
	"sync/atomic"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// maxWaiting is how many spans may wait for the receiver. A thousand held calls
// that are let go at once make three thousand; one takes about 2 KiB.
const maxWaiting = 8192

// An outbox has what has ended exported in batches, by a goroutine of the SDK's,
// and counts what becomes of it. The SDK's own processor loses spans without
// telling how many: it never sees more than it has room for.
type outbox struct {
	sdk.SpanProcessor // the batches
	log               *slog.Logger

	waiting                atomic.Int64
	exported, full, failed atomic.Int64
}

func newOutbox(to sdk.SpanExporter, log *slog.Logger) *outbox {
	o := &outbox{log: log}
	o.SpanProcessor = sdk.NewBatchSpanProcessor(&mail{SpanExporter: to, outbox: o}, sdk.WithMaxQueueSize(maxWaiting))
	return o
}

// OnEnd takes a span that has ended. It does not block.
func (o *outbox) OnEnd(s sdk.ReadOnlySpan) {
	if o.waiting.Add(1) > maxWaiting {
		o.waiting.Add(-1)
		o.full.Add(1)
		return
	}
	o.SpanProcessor.OnEnd(s)
}

// mail is the way to the receiver. The SDK calls it from one goroutine.
type mail struct {
	sdk.SpanExporter
	outbox     *outbox
	complained bool
}

// ExportSpans sends a batch. What has failed is counted and told here.
func (m *mail) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := m.SpanExporter.ExportSpans(ctx, spans)
	m.outbox.waiting.Add(-int64(len(spans)))
	if err != nil {
		m.outbox.failed.Add(int64(len(spans)))
		if !m.complained {
			m.outbox.log.Warn("cannot export spans, those of this time are lost", "error", err.Error())
		}
		m.complained = true
		return nil
	}
	m.outbox.exported.Add(int64(len(spans)))
	if m.complained {
		m.outbox.log.Info("spans are exported again")
	}
	m.complained = false
	return nil
}
