// Package discovery says who exists: what an endpoint is, and where the news
// of it comes from.
//
// Invariants
//
//   - A Provider reports whole sets, never differences.
//   - A source that cannot be reached is silence, not an empty set.
//   - An endpoint that is reported without Unproven can be called now.
//
// Decision, 2026-11-26: a function is handed on by a pointer to what the table has
// frozen. By value it lay twice on the stack of each of the layers that a watch goes
// through, 688 bytes every time: 10,000 watches had 168 MiB of stacks, and have 45.
//
// Not here: health (the proxy's business, from what calls experience),
// choosing among endpoints (proxy), raising instances (coldstart).
package discovery
