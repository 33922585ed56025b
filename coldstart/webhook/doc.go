// Package webhook has instances raised by a platform of any kind, over a small
// protocol of HTTP requests: docs/webhook.md is the contract.
//
// Invariants
//
//   - One request for each function at a time, in the order of the wishes: what
//     was asked last is what the platform hears last.
//   - What the platform or an instance says is checked entry by entry; a bad one
//     costs itself. No address is believed to listen before it has been
//     connected to, by the Keeper, or here if an instance says so itself.
//   - Not to be reached, or not to be understood, is no news about instances.
//   - Every wish is repeated at one place: ensure by the Activator, who knows
//     how long anybody waits; the others here.
//   - The secret never leaves weir. What instances are given is derived from it
//     for one function.
//
// Not here: probing (the Keeper's), the listener that instances post to
// (internal/admin), how long a start may take (the Activator's).
//
// Decisions, 2026-11-25
//
//   - net/http and not fasthttp: requests end with their context, platforms are
//     often behind TLS, and a request costs milliseconds over there anyway.
//   - POST to one URL with the action in the body: a receiver is one handler, and
//     what is signed is what is obeyed.
//   - A lie costs nothing because nobody relies on it: the platform's word that
//     an instance is there starts a probe, nothing more.
package webhook
