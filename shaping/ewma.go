package shaping

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
)

// forgetIn is how long it takes until a slow answer counts for a third.
const forgetIn = 10 * time.Second

// soon after an answer that was noted a faster one says nothing new: ten thousandth parts
// that would be forgotten are not worth two stores in each call.
const soon = time.Millisecond

// A Latency is how long an endpoint took of late: as long as its slowest answer at
// once, and less only by and by ("Peak EWMA": Finagle, 2014). The zero value has
// seen none. All methods may be called from any goroutine; of two answers that
// come in one instant one may be lost.
type Latency struct {
	value atomic.Uint64 // bits of a float64, in nanoseconds
	at    atomic.Int64  // when it was noted, as a moment.Moment
}

// Note takes in an answer that took d and came at the moment now.
func (l *Latency) Note(d time.Duration, now moment.Moment) {
	at, was := int64(now), l.at.Load()
	took, value := float64(d), math.Float64frombits(l.value.Load())
	if took < value {
		since := at - was
		if since < int64(soon) {
			return
		}
		keep := decay(float64(since) / float64(forgetIn))
		took = value*keep + took*(1-keep)
	}
	l.value.Store(math.Float64bits(took))
	l.at.Store(at)
}

// decay is math.Exp of -x, up to 2e-10, faster for what is small.
func decay(x float64) float64 {
	if x < 1e-3 {
		return 1 - x*(1-x/2)
	}
	return math.Exp(-x)
}

// Cost is how long a call is likely to wait for its answer at the moment now,
// behind those in flight, in nanoseconds. One that nobody has answered for is
// given one call at a time.
func (l *Latency) Cost(inFlight int, now moment.Moment) float64 {
	value := math.Float64frombits(l.value.Load())
	if value == 0 {
		return float64(inFlight) * float64(time.Second)
	}
	// What is old says little: without this, one bad answer would keep calls away
	// for ever, as none would come to prove better.
	if age := int64(now) - l.at.Load(); age > int64(time.Second) {
		value *= decay(float64(age) / float64(forgetIn))
	}
	return value * float64(inFlight+1)
}
