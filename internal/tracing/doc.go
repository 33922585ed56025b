// Package tracing makes spans of what is known of calls and of starts when they
// are over, and sends them to an OTLP receiver.
//
// A call whose trace is recorded has a server span; below it a client span for
// each try, whose name is the one that the endpoint was told in traceparent, and
// a span hold for each time that the call stood in line, which links to the span
// of the start that it waited for. A start is a trace of its own, always
// recorded: a span start, and below it its phases trigger, provision, boot,
// detect and release. Which call belongs to which trace, and which traces are
// recorded, is decided in proxy/trace.go.
//
// Invariants
//
//   - Nothing here is on the way of a call: a span is made after the call's last
//     byte, and a call whose trace is not recorded does not come here.
//   - Export never makes anybody wait. At most maxWaiting spans wait for the
//     receiver; beyond that they are lost, and counted.
//   - A receiver that is away is told of once, and once when it is back.
//
// Not here: metrics and the access log (internal/telemetry), which tells a
// Tracer what it is told itself.
//
// Decision, 2026-11-25: spans are made at the end from facts that the Call and
// the Activation hold anyway, not begun and ended on the way. So the request
// path knows nothing of OpenTelemetry, and what is not recorded costs what it
// takes to write traceparent.
package tracing
