package tracing

import (
	"context"
	"net"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// Record makes the spans of a call that has ended.
func (t *Tracer) Record(c *proxy.Call) {
	tc := c.Trace()
	ctx := context.Background()
	if caller := c.TraceParent(); caller != [8]byte{} {
		state, _ := trace.ParseTraceState(string(message.Get(c.Request.Fields, message.Tracestate)))
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: tc.Trace, SpanID: caller, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true,
		}))
	}
	called, attributes := describe(c)
	ctx, span := t.begin(ctx, name{tc.Trace, tc.Span}, called, trace.SpanKindServer, c.Started, trace.WithAttributes(attributes...))
	if status := c.Status(); status >= 500 || c.Cause() == "UC" { // a client's own mistakes are no errors of the server
		span.SetStatus(codes.Error, errText(c.Err()))
	}
	for _, w := range c.Recording().Waits {
		t.hold(ctx, c, w)
	}
	for i := range c.Recording().Tries {
		t.try(ctx, c, i)
	}
	span.End(trace.WithTimestamp(c.Ended()))
}

// describe is what a server span says: HTTP server semantic conventions, and
// weir's own. Not the query, which may have secrets in it.
func describe(c *proxy.Call) (called string, attributes []attribute.KeyValue) {
	method := methodOf(c.Request.Method)
	called = method
	host, port := splitAddress(string(c.Request.Authority))
	attributes = append(make([]attribute.KeyValue, 0, 20),
		semconv.HTTPRequestMethodKey.String(method),
		semconv.URLScheme(string(c.Client.Scheme)),
		semconv.URLPath(string(c.ShownPath())),
		semconv.ServerAddress(host),
		semconv.ClientAddress(string(c.Client.Text)),
		semconv.NetworkPeerAddress(string(c.Client.Peer)),
		semconv.NetworkProtocolVersion("1."+strconv.Itoa(c.Request.Minor)),
		semconv.HTTPResponseStatusCode(c.Status()),
		attribute.String("weir.request_id", string(c.ID())),
		attribute.String("weir.function", c.Function().Name))
	if method == otherMethod {
		attributes = append(attributes, semconv.HTTPRequestMethodOriginal(string(c.Request.Method)))
	}
	if port > 0 {
		attributes = append(attributes, semconv.ServerPort(port))
	}
	if r := c.Route(); r != nil {
		called += " " + r.Pattern
		attributes = append(attributes, semconv.HTTPRoute(r.Pattern))
	}
	if agent := message.Get(c.Request.Fields, message.UserAgent); agent != nil {
		attributes = append(attributes, semconv.UserAgentOriginal(string(agent)))
	}
	if cause := c.Cause(); cause != "" {
		attributes = append(attributes, semconv.ErrorTypeKey.String(cause))
	} else if c.Status() >= 500 {
		attributes = append(attributes, semconv.ErrorTypeKey.String(strconv.Itoa(c.Status())))
	}
	return called, attributes
}

// hold is the span of standing in line. It links to the start.
func (t *Tracer) hold(ctx context.Context, c *proxy.Call, w proxy.Wait) {
	opts := []trace.SpanStartOption{trace.WithAttributes(
		attribute.String("weir.function", c.Function().Name),
		attribute.Bool("weir.cold", w.Cold))}
	if w.Start.Span != [8]byte{} {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: w.Start.Trace, SpanID: w.Start.Span, TraceFlags: trace.FlagsSampled,
		})}))
	}
	_, span := t.begin(ctx, name{span: w.Span}, "hold", trace.SpanKindInternal, c.Started.Add(w.Began), opts...)
	if w.Err != nil {
		span.SetStatus(codes.Error, w.Err.Error())
	}
	span.End(trace.WithTimestamp(c.Started.Add(w.Ended)))
}

// try is the span of the call's i-th try at an endpoint. It is the caller's of
// what the endpoint records.
func (t *Tracer) try(ctx context.Context, c *proxy.Call, i int) {
	try := c.Recording().Tries[i]
	method := methodOf(c.Request.Method)
	attributes := append(make([]attribute.KeyValue, 0, 12),
		semconv.HTTPRequestMethodKey.String(method),
		attribute.String("weir.function", c.Function().Name))
	attributes = appendEndpoint(attributes, try.Endpoint)
	if i > 0 {
		attributes = append(attributes, semconv.HTTPRequestResendCount(i))
	}
	failure := ""
	switch {
	case try.Err != nil:
		failure = proxy.ResultOf(try.Err).String()
	case try.Status >= 400:
		failure = strconv.Itoa(try.Status)
	}
	if try.Status > 0 {
		attributes = append(attributes, semconv.HTTPResponseStatusCode(try.Status))
	}
	if failure != "" {
		attributes = append(attributes, semconv.ErrorTypeKey.String(failure))
	}
	_, span := t.begin(ctx, name{span: try.Span}, method, trace.SpanKindClient, c.Started.Add(try.Began), trace.WithAttributes(attributes...))
	if failure != "" {
		span.SetStatus(codes.Error, errText(try.Err))
	}
	ended := c.Ended()
	if try.Ended > 0 {
		ended = c.Started.Add(try.Ended)
	}
	span.End(trace.WithTimestamp(ended))
}

func appendEndpoint(attributes []attribute.KeyValue, ep *table.Endpoint) []attribute.KeyValue {
	host, port := splitAddress(ep.Addr)
	attributes = append(attributes, semconv.ServerAddress(host), attribute.String("weir.region", ep.Region))
	if port > 0 {
		attributes = append(attributes, semconv.ServerPort(port))
	}
	if ep.Zone != "" {
		attributes = append(attributes, attribute.String("weir.zone", ep.Zone))
	}
	return attributes
}

// splitAddress takes host:port apart; without a port all of it is the host.
func splitAddress(address string) (host string, port int) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return address, 0
	}
	port, _ = strconv.Atoi(text)
	return host, port
}

// otherMethod stands for all that HTTP does not define: a client may send any
// word, and spans are searched by theirs.
const otherMethod = "_OTHER"

func methodOf(text []byte) string {
	switch m := string(text); m {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT":
		return m
	}
	return otherMethod
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
