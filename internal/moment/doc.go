// Package moment keeps moments as numbers, which can be read and written
// atomically, by the clock that nobody sets.
//
// time.Time has two clocks in it, and compares by the monotonic one. UnixNano
// gives the wall clock's reading alone: when that is set, by hand or because it
// was wrong, what was to be over in a second is over at once, or in an hour.
//
// Decision, 2026-11-27: on the way of a call moments are numbers throughout. A warm
// call adds to them and compares them some fifteen times; with time.Time that took
// 75 ns of it, with everything configured 135 (bench/RESULTS.md). Where a moment
// is shown to somebody it is time.Time still.
package moment
