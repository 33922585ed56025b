package shaping

import (
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
)

// windowSeconds is over how many seconds a window adds up: short enough to follow
// the load, long enough for a function with few calls.
const windowSeconds = 10

// A window counts what happened in the last ten seconds, second by second. To
// count costs a load and an atomic add. The zero value has counted nothing.
//
// It is not exact at the turn of a second: what happens then may be counted in
// the one before. Each word has the second itself in its upper half, so that what
// is left from earlier shows; one more second than adds up is there, which is
// the one that is begun anew.
type window struct {
	seconds [windowSeconds + 1]atomic.Uint64
}

func (w *window) count(now moment.Moment) {
	at := int64(now) / int64(time.Second)
	word := &w.seconds[at%int64(len(w.seconds))]
	for {
		was := word.Load()
		if uint32(was>>32) == uint32(at) {
			word.Add(1) // in a second with 4 billion calls it would spill over
			return
		}
		if word.CompareAndSwap(was, uint64(uint32(at))<<32|1) {
			return
		}
	}
}

// sum is what happened in the last ten seconds.
func (w *window) sum(now moment.Moment) (sum int64) {
	at := uint32(int64(now) / int64(time.Second))
	for i := range w.seconds {
		was := w.seconds[i].Load()
		if at-uint32(was>>32) < windowSeconds {
			sum += int64(uint32(was))
		}
	}
	return sum
}

func (w *window) clear() {
	for i := range w.seconds {
		w.seconds[i].Store(0)
	}
}
