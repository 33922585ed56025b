// Package docker raises instances as containers of a Docker engine.
//
// Invariants
//
//   - What is ours is labelled so: with the gateway, the scaler, the function and
//     a hash of what it was started from. Nothing else on the engine is touched.
//   - Containers outlive weir. At its next start it takes them over if they are
//     of a configured function as that is configured now; the others are orphans
//     and removed.
//   - What happens is learned from the engine's events; after the connection was
//     lost, from one list. Meanwhile the sets stand.
//   - An instance is noted before it is created, under its name, so that no event
//     and no list can find it unknown.
//   - Out of the set first, then everything else: stop, Failed.
//
// Not here: pulling images (whoever deploys does), health checks (an instance
// is probed by the Keeper as soon as it has an address), idleness.
//
// Decisions, 2026-11-25
//
//   - Instances are reached at their own address. A published port is answered
//     by the engine's proxy before the function listens, so that connecting to
//     it proves nothing: with publish, an instance is believed when the
//     container accepts a connection at its own address, or, where that cannot
//     be reached from here, when one to the port has stayed open for 50 ms.
//   - Containers stay when weir ends: a restart of weir is no cold start. Who
//     wants them gone removes what has the label weir.gateway.
//   - 2026-11-26: on another engine, or under another gateway's name, another
//     Platform takes a scaler's place, and does not wait for the one before: new
//     calls are raised there at once, and the old engine may be away for good.
//   - 2026-11-26: that a container is throttled is read from the engine, where
//     the limit is; so a weir that comes back needs no memory of its own.
package docker
