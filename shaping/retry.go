package shaping

import (
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
)

// Retries is which failures of a try may be followed by another, how often, and
// after how long. Frozen: read it from any goroutine.
type Retries struct {
	Attempts       int  // tries after the first
	ConnectFailure bool // nothing was sent
	Reset          bool // the connection ended before an answer

	statuses [200]bool // from 400 on
	backoff  config.Backoff
}

// NewRetries reads what a configuration says; nil is nil.
func NewRetries(r *config.Retries) *Retries {
	if r == nil {
		return nil
	}
	out := &Retries{Attempts: r.Attempts, backoff: r.Backoff}
	for _, reason := range r.RetryOn {
		switch reason {
		case "connect_failure":
			out.ConnectFailure = true
		case "reset":
			out.Reset = true
		case "5xx":
			for i := range 100 {
				out.statuses[100+i] = true
			}
		default:
			if n, err := strconv.Atoi(reason); err == nil && n >= 400 && n < 600 {
				out.statuses[n-400] = true
			}
		}
	}
	return out
}

// Status tells whether a try that was answered so may be followed by another.
func (r *Retries) Status(code int) bool {
	return code >= 400 && code < 600 && r.statuses[code-400]
}

// Wait is how long to wait before the n-th try after the first: at random
// between nothing and base * 2^(n-1), or max ("full jitter": Brooker,
// "Exponential Backoff and Jitter", 2015).
func (r *Retries) Wait(n int) time.Duration {
	bound := r.backoff.Max
	if base := r.backoff.Base; base <= bound>>(n-1) {
		bound = base << (n - 1)
	}
	if bound <= 0 {
		return 0
	}
	return rand.N(bound)
}

// A Budget bounds the further tries of all calls of a function together: a share
// of the calls of the last ten seconds, and so many a second in any case. All
// methods may be called from any goroutine; the zero value allows none.
type Budget struct {
	percent, perSecond atomic.Int64
	refused            atomic.Int64
	tries              window
}

// Calls are those of a function in the last ten seconds, of which Budgets are shares.
type Calls struct{ window }

// Came says that a call came.
func (c *Calls) Came(now moment.Moment) { c.count(now) }

// SetLimits changes the share of the calls in percent, and what may be in any
// case.
func (b *Budget) SetLimits(percent, perSecond int) {
	b.percent.Store(int64(percent))
	b.perSecond.Store(int64(perSecond))
}

// Spend takes a further try out of the budget, if there is one left. Of two that
// are made at once both may be the last.
func (b *Budget) Spend(of *Calls, now moment.Moment) bool {
	if b.Left(of, now) < 1 {
		b.refused.Add(1)
		return false
	}
	b.tries.count(now)
	return true
}

// SpendEarly is Spend for a try that may come later as well: it leaves a third of what
// is allowed to those that have waited, and refuses without a word.
func (b *Budget) SpendEarly(of *Calls, now moment.Moment) bool {
	if left := b.Left(of, now); left < 1 || 3*left <= b.allowed(of, now) {
		return false
	}
	b.tries.count(now)
	return true
}

// Refused is how many further tries there were that the budget did not allow.
func (b *Budget) Refused() int { return int(b.refused.Load()) }

// Left is how many further tries the budget allows at the moment now.
func (b *Budget) Left(of *Calls, now moment.Moment) int {
	return max(0, b.allowed(of, now)-int(b.tries.sum(now)))
}

// allowed is how many there may be in the window.
func (b *Budget) allowed(of *Calls, now moment.Moment) int {
	return int(of.sum(now)*b.percent.Load()/100 + b.perSecond.Load()*windowSeconds)
}
