// Package coldstart is how to wait for capacity, and how to ask for it.
//
// A Hold is the line in front of one function (hold.go, waiter.go), which tenants share
// (group.go), a Pool what all lines share (pool.go); the Activator is the small state machine that has
// instances started while somebody waits and put back when nobody calls: the
// way up in start.go, grow.go and again.go, what failed starts mean in door.go, who may
// start in which order in starts.go, the way back in retire.go and prestop.go.
// A Scaler is the platform that does it.
//
// Invariants
//
//   - Join, then look again; free, then look for waiters; leave, then let the
//     next one look. (hold.go argues for each; interleave_test.go tries every
//     interleaving of small casts.)
//   - However many wait, one start is under way. While they do, the platform is
//     told again what is wanted (again.go): demand is a level, not an event.
//   - A start belongs to the function, not to the call that asked first: it
//     goes on when that call leaves.
//   - Whoever is told that there is no start is told at once, and when there
//     will be one.
//   - A start that nobody waits for never keeps one waiting that somebody does.
//   - An instance is never put back under a call.
//
// Not here: HTTP, endpoints, metrics. Faults are plain sentinel errors; what
// a client is told is decided in proxy/fault.go.
//
// Decision, 2026-11-25: a line may grow as long as it is shorter than what the
// pool has free (pool.go). The design had "pool/active functions, at least 16,
// once half is used"; by that one flooded function fills the pool while it is
// alone, and the next one finds it full. This needs no count, and leaves room
// at any time. It costs that one function alone gets half of the pool.
//
// Decision, 2026-11-25: a platform that could not (transient) has been asked
// three times when the callers are told, and that counts as three failures. So
// a hundred calls a second at a function that does not start cause 8 requests
// in the first minute, whichever way it fails. After a first crash the door is
// still open: it may have been the instance's bad luck.
//
// Decision, 2026-11-26: where a line that is late lets the newest go first, every
// ninth is still the oldest: one rule bounds what priorities and lateness do.
package coldstart
