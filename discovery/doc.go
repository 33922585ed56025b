// Package discovery says who exists: what an endpoint is, and where the news
// of it comes from.
//
// Invariants
//
//   - A Provider reports whole sets, never differences.
//   - A source that cannot be reached is silence, not an empty set.
//   - An endpoint that is reported without Unproven can be called now.
//
// Not here: health (the proxy's business, from what calls experience),
// choosing among endpoints (proxy), raising instances (coldstart).
package discovery
