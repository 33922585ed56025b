// Package cron reads cron expressions and tells when they come due, by the
// clock on the wall of a time zone.
//
// Five fields: minute, hour, day of month, month, day of week. Lists, ranges,
// steps, names (MON, jan), 7 as Sunday; @hourly, @daily, @weekly, @monthly and
// @yearly. As in every cron, a day is due if it fits day of month or day of
// week when both are restricted, and both when only one is.
//
// Where clocks change, the rule is Vixie cron's:
//
//   - An expression with a fixed hour comes due once a day. A moment that the
//     clock skips is due when it skips it; of one that it shows twice, the
//     first is.
//   - An expression whose hour is * or */n goes by the time that passes: what
//     is skipped is not due, what is shown twice is due twice.
//
// Invariants
//
//   - Parse accepts nothing that never comes due (0 0 30 2 *).
//   - Next is after the moment it was asked for, is the first such, and ends
//     after a bounded search.
//   - The zones are in the program: an image of nothing but the binary knows
//     Europe/Berlin too.
//
// Decision, 2026-11-25: no library. robfig/cron/v3, the obvious one, has had no
// release since 2020, leaves out what the spring gap swallows and repeats in
// autumn what has a fixed hour, does not know 7 as Sunday, and its parser
// panics on "TZ=" without a space. A window that opens a day late because of
// the clock is what windows are there to prevent. What is left is 250 lines,
// with goldens and a fuzz test; a well-kept library with the rule above would
// change our mind.
package cron
