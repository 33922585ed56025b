// Package moment keeps moments as numbers, which can be read and written
// atomically, by the clock that nobody sets.
//
// time.Time has two clocks in it, and compares by the monotonic one. UnixNano
// gives the wall clock's reading alone: when that is set, by hand or because it
// was wrong, what was to be over in a second is over at once, or in an hour.
package moment
