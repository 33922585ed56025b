package forecast

import (
	"math"
	"time"
)

const (
	// Buckets of a Histogram: four hours by the minute, as in the paper.
	buckets = 240

	// remembered is how many gaps count in full; then all counts are halved, so
	// that a function which is called otherwise now is seen to be. 512 are a
	// working day of a call a minute, and three weeks of one an hour.
	remembered = 512
)

// A Histogram counts the gaps between the visits of one function: how long
// nobody was inside. It takes half a KiB, whatever it is told.
type Histogram struct {
	width  time.Duration // of a bucket
	counts [buckets]uint16
	within int // the sum of counts
	beyond int // gaps that were longer than all buckets together
}

// NewHistogram makes a Histogram of gaps up to a range.
func NewHistogram(reach time.Duration) Histogram {
	return Histogram{width: max(reach/buckets, 1)}
}

// Add counts a gap.
func (h *Histogram) Add(gap time.Duration) {
	if i := max(gap, 0) / h.width; i < buckets {
		h.counts[i]++
		h.within++
	} else {
		h.beyond++
	}
	if h.Len() < remembered {
		return
	}
	h.within, h.beyond = 0, h.beyond/2
	for i := range h.counts {
		h.counts[i] /= 2
		h.within += int(h.counts[i])
	}
}

// Len is how many gaps it has counted, of late.
func (h *Histogram) Len() int { return h.within + h.beyond }

// Beyond is the share of the gaps that were longer than it reaches.
func (h *Histogram) Beyond() float64 {
	if h.Len() == 0 {
		return 0
	}
	return float64(h.beyond) / float64(h.Len())
}

// Percentile returns the bucket in which a share of the gaps within is reached,
// by its lower and its upper end.
func (h *Histogram) Percentile(share float64) (from, to time.Duration) {
	need := max(int(math.Ceil(share*float64(h.within))), 1)
	sum := 0
	for i, n := range h.counts {
		if sum += int(n); sum >= need {
			return time.Duration(i) * h.width, time.Duration(i+1) * h.width
		}
	}
	return 0, buckets * h.width // of nothing, nothing is known
}

// Variation is the coefficient of variation of the counts: 0 if every gap is as
// likely as every other, 15.5 if all are in one bucket.
func (h *Histogram) Variation() float64 {
	if h.within == 0 {
		return 0
	}
	mean := float64(h.within) / buckets
	sum := 0.0
	for _, n := range h.counts {
		d := float64(n) - mean
		sum += d * d
	}
	return math.Sqrt(sum/buckets) / mean
}
