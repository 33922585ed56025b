package moment

import (
	"math"
	"time"
)

// A Moment is a number of nanoseconds: since 1970, as far as the wall clock was right when
// the process began and nobody has set it since. The zero value is long ago. Moments are
// compared as numbers.
type Moment int64

// began is a moment of this process, which all others are counted from.
var (
	began      = time.Now()
	beganNanos = Moment(began.UnixNano())
)

// Now is the present moment.
func Now() Moment { return Of(time.Now()) }

// Of is the moment t, which must be from this process's clock: any other is taken by the
// wall clock.
func Of(t time.Time) Moment { return beganNanos + Moment(t.Sub(began)) }

// Time is the time at the moment m, by both clocks.
func (m Moment) Time() time.Time { return began.Add(m.Sub(beganNanos)) }

// Add is the moment d later; the last one that there is, if that would be later still.
func (m Moment) Add(d time.Duration) Moment {
	later := m + Moment(d)
	if d > 0 && later < m {
		return math.MaxInt64
	}
	return later
}

// Sub is how much later than o m is.
func (m Moment) Sub(o Moment) time.Duration { return time.Duration(m - o) }
