package moment

import "time"

// began is a moment of this process, which all others are counted from.
var (
	began      = time.Now()
	beganNanos = began.UnixNano()
)

// Nanos is t as a number of nanoseconds: since 1970, as far as the wall clock was
// right when the process began and nobody has set it since. t must be from this
// process's clock for that to hold; any other is taken by the wall clock.
func Nanos(t time.Time) int64 { return beganNanos + int64(t.Sub(began)) }

// Time is the moment of a number that Nanos has made.
func Time(nanos int64) time.Time { return began.Add(time.Duration(nanos - beganNanos)) }
