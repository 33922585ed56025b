package shaping

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
)

// A Gate knows who is inside a function: held calls too. The zero value is ready.
type Gate struct {
	inside atomic.Int64
	last   atomic.Int64 // when the last call left, as a moment.Moment
}

// Never is the gap before the first call of all.
const Never time.Duration = math.MaxInt64

// Enter counts a call in. Who entered owes a Leave. gap is for how long nobody had
// been inside at the moment now; 0 if somebody was.
func (g *Gate) Enter(now moment.Moment) (gap time.Duration) {
	if g.inside.Add(1) > 1 {
		return 0
	}
	last := g.last.Load()
	if last == 0 {
		return Never
	}
	return time.Duration(max(int64(now)-last, 0))
}

// Leave says that a call has left, at the moment now.
func (g *Gate) Leave(now moment.Moment) {
	g.last.Store(int64(now)) // first: whoever sees nobody inside sees when that began
	g.LeaveUnseen()
}

// LeaveUnseen says the same of a call that counts as no use of the function.
func (g *Gate) LeaveUnseen() {
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
	return int(n), moment.Moment(last).Time()
}
