// Package message is what a call is made of, whatever protocol it came by:
// the heads, the bodies, and the two sides it goes between.
//
// Invariants
//
//   - Heads are views into the buffer of the connection they came on. They are
//     valid until the call has been recorded; who keeps a byte for longer
//     copies it.
//   - A body ends with io.EOF only if it was whole. Anything else is an error.
//   - Dropped fields stay in their place with Drop set: order and case of what
//     passes are the sender's.
//
// Decision, 2026-11-23: these types are a package of their own and not part
// of proxy, because proxy/table (which proxy imports) names them in Transport.
// The alternative was a Transport that takes an opaque value and asserts its
// type. Two of them are wider than the first design had them: bodies are read
// by Next, which returns a view, so that bytes are copied once and not twice,
// and cancelling goes from the client's side to the try (Downstream.Watch),
// because only the client's side knows when to.
//
// Decision, 2026-11-27: the numbers of the configuration's names (numbers.go) belong to
// the process and not to a table. A head is read before its call has a table, and one
// that is read while the configuration changes must mean the same to both.
//
// Not here: any byte of a protocol (proxy/http1), what is done to a call
// (proxy).
package message
