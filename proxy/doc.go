// Package proxy carries one call, from its first byte to its last, through the
// eight stations: accept, route, admit, take, hold, forward, respond, record.
//
// Invariants
//
//   - Every call ends in exactly one answer and one record.
//   - A slot taken is given back once, at the last byte from the endpoint.
//   - Only accept, hold and forward wait for something outside, and respond
//     for the client. Nothing on the way can start a lookup.
//   - A warm call allocates nothing (alloc_test.go).
//   - fault.go is the only place where an error meets HTTP.
//
// Not here: bytes on the wire (proxy/http1), counters (internal/telemetry
// gets each call once, from record).
//
// Decision, 2026-11-23: timeouts.request ends with the head of the answer. A
// body may flow for as long as it makes progress, or a download and an event
// stream would need a setting of their own to work at all. If users ask for a
// bound on the whole, it becomes a setting beside it.
//
// Decision, 2026-11-23: a try that ended before a byte of the answer is made
// again on another endpoint if it never connected, or if the method is
// idempotent, on whichever connection; and in both cases only if the body can
// come again, because none of it was read or all of that is still here. The
// design had it only for a reused one, but an endpoint that is killed breaks
// new connections as well, and RFC 9110 section 9.2.2 allows both. One that
// broke on a reused connection may meet the same endpoint again: that says
// nothing of its next connection.
//
// Decision, 2026-11-25: trailers pass by name, from a list of the function's,
// and not all or none: whoever merges them into a head believes them, so each
// is a decision. None of the list may frame, route or say who somebody is.
//
// Decision, 2026-11-25: an encoded slash stays one, but where decoding it would
// lead to another route the call is refused (route.go), as endpoints cannot be
// known to decode or not. A route that needs such paths says encoded_slash or
// raw_path.
package proxy
