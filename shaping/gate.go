package shaping

import (
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// ErrShed: as many calls as may be inside the function already are.
var ErrShed = errors.New("too many calls inside the function")

// A Gate decides whether a call may enter a function, and knows who is inside:
// held calls too. The zero value lets everyone in.
type Gate struct {
	limit  atomic.Int64 // 0: none
	inside atomic.Int64
	last   atomic.Int64 // when the last call left, in nanoseconds since 1970
}

// SetLimit changes how many calls may be inside; 0 is no limit.
func (g *Gate) SetLimit(n int) { g.limit.Store(int64(n)) }

// Never is the gap before the first call of all.
const Never time.Duration = math.MaxInt64

// Enter lets a call in, or returns ErrShed. Who entered owes a Leave. gap is for
// how long nobody had been inside at the moment now; 0 if somebody was.
func (g *Gate) Enter(now time.Time) (gap time.Duration, err error) {
	n := g.inside.Add(1)
	if limit := g.limit.Load(); limit > 0 && n > limit {
		g.inside.Add(-1)
		return 0, ErrShed
	}
	if n > 1 {
		return 0, nil
	}
	last := g.last.Load()
	if last == 0 {
		return Never, nil
	}
	return time.Duration(max(now.UnixNano()-last, 0)), nil
}

// Leave says that a call has left, at the moment now.
func (g *Gate) Leave(now time.Time) {
	g.last.Store(now.UnixNano()) // first: whoever sees nobody inside sees when that began
	if g.inside.Add(-1) < 0 {
		panic("BUG: a call left the gate twice")
	}
}

// Inside tells how many calls are inside, and when the last one left; the zero
// time if none ever did.
func (g *Gate) Inside() (int, time.Time) {
	n := g.inside.Load()
	last := g.last.Load()
	if last == 0 {
		return int(n), time.Time{}
	}
	return int(n), time.Unix(0, last)
}
