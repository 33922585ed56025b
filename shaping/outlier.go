package shaping

import (
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
)

// An ejected endpoint stays aside for 1 s, doubled with every further failure
// up to 30 s: a dead endpoint costs its peers' callers one refused dial a
// second at first, and two a minute in the end.
const (
	firstEjection = time.Second
	longEjection  = 30 * time.Second
)

// An Outlier is an endpoint's bad name: after a connection could not be made
// or broke before an answer, the endpoint is set aside for a while, as long as
// one of its peers can take the call. The zero value has a good name.
type Outlier struct {
	// The moment until which it is set aside, as a moment.Moment, with how
	// many times in a row it was in the lowest bits; 0 is a good name.
	state atomic.Int64

	// By the operator's rules: failures in a row, how often in a row it was set aside
	// for them, and until when.
	inARow atomic.Int32
	times  atomic.Int32
	until  atomic.Int64
}

// inARow are the bits of the state that count.
const inARow = 7

// Failed says that a try failed at the moment now for reasons of the
// endpoint's. What fails while it is set aside was on its way before: an endpoint
// that breaks under many calls at once has failed once.
// It tells whether it is set aside for it.
func (o *Outlier) Failed(now moment.Moment) bool {
	for {
		was := o.state.Load()
		if int64(now) < was&^inARow {
			return false
		}
		n := min(was&inARow+1, 6)
		until := int64(now.Add(min(firstEjection<<(n-1), longEjection)))
		if o.state.CompareAndSwap(was, until&^inARow|n) {
			return true
		}
	}
}

// Fared says that the endpoint answered. An endpoint with a good name pays one
// atomic load for it. It tells whether it had a bad one.
func (o *Outlier) Fared() bool {
	if o.state.Load() == 0 {
		return false
	}
	o.state.Store(0)
	return true
}

// Until is when the endpoint is no longer set aside, if it is at the moment now;
// else zero.
func (o *Outlier) Until(now moment.Moment) (until time.Time) {
	last := max(o.state.Load()&^inARow, o.until.Load())
	if int64(now) < last {
		until = moment.Moment(last).Time()
	}
	return until
}

// Ejected tells whether the endpoint is set aside at the moment now.
func (o *Outlier) Ejected(now moment.Moment) bool {
	until := o.state.Load() &^ inARow
	return until != 0 && int64(now) < until || o.EjectedByRule(now)
}

// Answered says, for a function with rules of the operator's, whether a try
// brought what it should. It tells whether those failures are too many in a row
// now: then somebody who knows of the others has to decide (Eject).
func (o *Outlier) Answered(well bool, rules *config.OutlierDetection, now moment.Moment) (tooMany bool) {
	if well {
		if o.inARow.Load() != 0 {
			o.inARow.Store(0)
		}
		return false
	}
	return int(o.inARow.Add(1)) >= rules.Consecutive5xx && !o.EjectedByRule(now)
}

// Eject sets the endpoint aside by the operator's rules, for longer each time,
// and returns for how long. For each base time that it fared well since the last,
// one time is forgiven. One goroutine at a time may call it.
func (o *Outlier) Eject(rules *config.OutlierDetection, now moment.Moment) time.Duration {
	times := int64(o.times.Load())
	if was := o.until.Load(); was != 0 {
		times = max(0, times-max(0, int64(now)-was)/int64(rules.BaseEjectionTime))
	}
	times = min(times+1, 1_000)
	aside := rules.MaxEjectionTime
	if times <= int64(aside/rules.BaseEjectionTime) {
		aside = time.Duration(times) * rules.BaseEjectionTime
	}
	o.times.Store(int32(times)) //nolint:gosec // 1000 at most
	o.inARow.Store(0)
	o.until.Store(int64(now.Add(aside)))
	return aside
}

// EjectedByRule tells whether the operator's rules set the endpoint aside at the
// moment now.
func (o *Outlier) EjectedByRule(now moment.Moment) bool {
	until := o.until.Load()
	return until != 0 && int64(now) < until
}
