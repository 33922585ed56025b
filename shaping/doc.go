// Package shaping decides who and how much may pass, and where to.
//
// An Access says by the address who may come in; a Gate counts the calls inside
// a function and bounds them; Slots count the calls on an endpoint and bound
// them; an Outlier is an endpoint's bad name.
//
// Invariants
//
//   - Everything here is a few atomics, or frozen: no lock, no clock, no
//     allocation. The caller brings the moment.
//   - What was taken is given back once.
//
// Not here: HTTP, metrics (numbers are exposed, others publish them), the
// choice among endpoints (proxy/take.go), waiting (coldstart).
package shaping
