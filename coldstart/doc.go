// Package coldstart is how to wait for capacity, and how to ask for it.
//
// A Hold is the line in front of one function; the Activator is the small
// state machine that has instances started while somebody waits and put back
// when nobody calls; a Scaler is the platform that does it.
//
// Invariants
//
//   - Join, then look again; free, then look for waiters; leave, then let the
//     next one look. (hold.go argues for each; hold_test.go tries every
//     interleaving of small casts.)
//   - However many wait, one start is under way.
//   - A start belongs to the function, not to the call that asked first: it
//     goes on when that call leaves.
//   - An instance is never put back under a call.
//
// Not here: HTTP, endpoints, metrics. Faults are plain sentinel errors; what
// a client is told is decided in proxy/fault.go.
package coldstart
