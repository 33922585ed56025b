// Package table is the seam between control and data: what the proxy reads and
// the Keeper writes.
//
// Invariants
//
//   - Only the Keeper stores tables and sets; what is published is frozen.
//   - Publish, then wake.
//   - State outlives policy: a function keeps its State from table to table,
//     an endpoint its Link from set to set, as long as the key stays. The
//     previous snapshot is the registry.
//   - Each of the two pointers is enough for its reader; no reader needs both
//     to agree.
//   - A source that is away is silence, not an empty set.
//   - One bad entry costs one entry: it stands in Table.Refused.
//
// Decision, 2026-11-26: the shares of regions are part of the Set. They follow from
// how endpoints fare, which changes far more often than who they are, so a change
// of them makes a new Set around the parts of the old one. A Set whose endpoints
// are in one region, of which nothing is said, has no Split: a nil check.
//
// Decision, 2026-11-26: a router that holds a function for others (holder.go) is an
// endpoint beside the Set, not in it: shares, panic and health are about instances. Its
// Link is one for all functions.
//
// Not here: what happens to a call (proxy), where endpoints come from
// (discovery), how instances are raised (coldstart).
package table
