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
// Decision, 2026-11-23: a Set has endpoints and no regions yet, although the
// design has them. Regions come with their arithmetic; an unused level would
// only be in the way until then.
//
// Not here: what happens to a call (proxy), where endpoints come from
// (discovery), how instances are raised (coldstart).
package table
