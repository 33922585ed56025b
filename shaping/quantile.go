package shaping

import (
	"math"
	"sync/atomic"
	"time"
)

// A Quantile is how long the slowest answers of a function take, of late: so long
// that a share of all are faster. It is moved a little by every answer, up by those
// that are slower and down by those that are not, so that where it stays the share is
// right (Robbins and Monro, "A Stochastic Approximation Method", 1951; of the
// logarithm). It forgets in some hundred answers.
//
// The zero value has seen none. Its methods may be called from any goroutine; of two
// answers that come in one instant one may be lost.
type Quantile struct {
	word atomic.Uint64 // bits of a float32, in nanoseconds; how many answers, up to enoughAnswers
}

const (
	// enoughAnswers is how many it takes until the value is good for anything; until
	// then each moves it further.
	enoughAnswers = 200
	firstStep     = 0.3
	laterStep     = 0.06
)

// Note takes in an answer that took d; share is that of the faster ones, from 0 to 1.
func (q *Quantile) Note(d time.Duration, share float64) {
	word := q.word.Load()
	n, value := uint32(word), float64(math.Float32frombits(uint32(word>>32)))
	step := laterStep
	switch took := float64(max(d, 1)); {
	case n == 0:
		value = took
	case n < enoughAnswers:
		step = firstStep
		fallthrough
	default:
		if took > value {
			value *= 1 + step*share
		} else {
			value *= 1 - step*(1-share)
		}
	}
	n = min(n+1, enoughAnswers)
	q.word.Store(uint64(math.Float32bits(float32(value)))<<32 | uint64(n))
}

// Value is what it stands at; known is false while too few answers came.
func (q *Quantile) Value() (d time.Duration, known bool) {
	word := q.word.Load()
	return time.Duration(math.Float32frombits(uint32(word >> 32))), uint32(word) >= enoughAnswers
}
