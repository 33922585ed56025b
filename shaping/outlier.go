package shaping

import (
	"sync/atomic"
	"time"
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
	failures atomic.Int32
	until    atomic.Int64 // nanoseconds since 1970
}

// Failed says that a try failed at the moment now for reasons of the
// endpoint's.
func (o *Outlier) Failed(now time.Time) {
	n := min(o.failures.Add(1), 6)
	o.until.Store(now.Add(min(firstEjection<<(n-1), longEjection)).UnixNano())
}

// Fared says that the endpoint answered. An endpoint with a good name pays one
// atomic load for it.
func (o *Outlier) Fared() {
	if o.failures.Load() != 0 {
		o.failures.Store(0)
		o.until.Store(0)
	}
}

// Ejected tells whether the endpoint is set aside at the moment now.
func (o *Outlier) Ejected(now time.Time) bool {
	return o.failures.Load() != 0 && now.UnixNano() < o.until.Load()
}
