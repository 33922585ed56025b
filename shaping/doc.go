// Package shaping decides who and how much may pass, and where to.
//
// An Access says by the address who may come in; a Gate counts the calls inside
// a function; Slots count those in flight, on an endpoint or on all of a function's,
// and bound them, and an Adaptive finds out at how many; an Outlier is an endpoint's
// bad name. Retries say which failures may be followed by another try, and a Budget
// how many of all; a Breaker leaves a function alone that fails; a Limiter says how
// many calls may come, by key, and a Part what of that is this router's.
// Divide divides a function's requests between its regions; it is arithmetic alone,
// and what happens to regions over time is known elsewhere (proxy/table/shares.go).
//
// Invariants
//
//   - What a call meets that goes well is a few atomics, or frozen: no lock but
//     the Limiter's and the Crowd's, no clock, no allocation. The caller brings the moment.
//   - What was taken is given back once.
//
// Not here: HTTP, metrics (numbers are exposed, others publish them), the
// choice among endpoints (proxy/take.go), waiting (coldstart).
//
// Decision, 2026-11-25: a Breaker counts by itself while it is closed, and hands
// over to gobreaker when it trips. gobreaker takes a lock and reads the clock
// twice for every call; half-open, where that does not matter, is the part that
// is easily got wrong.
//
// Decision, 2026-11-26: what stops the window of a fresh endpoint (slots.go) is a rule
// of its own and not an Adaptive. From 8 calls to 256 are five rounds, 500 answers; an
// Adaptive wants a hundred for each of its steps, and what it finds is a limit for
// good, which nobody has asked for here.
package shaping
