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
	last   atomic.Int64 // when the last call left, as moment.Nanos
}

// Never is the gap before the first call of all.
const Never time.Duration = math.MaxInt64

// Enter counts a call in. Who entered owes a Leave. gap is for how long nobody had
// been inside at the moment now; 0 if somebody was.
func (g *Gate) Enter(now time.Time) (gap time.Duration) {
	if g.inside.Add(1) > 1 {
		return 0
	}
	last := g.last.Load()
	if last == 0 {
		return Never
	}
	return time.Duration(max(moment.Nanos(now)-last, 0))
}

// Leave says that a call has left, at the moment now.
func (g *Gate) Leave(now time.Time) {
	g.last.Store(moment.Nanos(now)) // first: whoever sees nobody inside sees when that began
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
	return int(n), moment.Time(last)
}
