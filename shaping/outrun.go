package shaping

import (
	"sync/atomic"

	"github.com/weir-gateway/weir/internal/moment"
)

// lostInARow is how many calls in a row a second try at another endpoint answers
// first until the endpoint is asked last: of one that is slow for a third of its
// calls that is one in 27.
const lostInARow = 3

// An Outrun remembers that an endpoint answers later than a second try at another
// does which begins later. A budget of second tries is made for what is slow now and
// then: where one endpoint of ten is slow for all of its calls, they are more than any
// budget, unless fewer calls go there. The zero value has lost nothing.
//
// Where all are slow nobody is asked last, and nobody is ever left without an
// endpoint for it.
type Outrun struct {
	lost atomic.Int32 // in a row
	last Outlier      // for the same times as one that breaks
}

// Lost says that a second try elsewhere had the answer first, at the moment now. It
// tells whether the endpoint is asked last from now on.
func (o *Outrun) Lost(now moment.Moment) bool {
	return o.lost.Add(1) >= lostInARow && o.last.Failed(now)
}

// Won says that an answer came before a second try was due. It costs an endpoint
// that has lost nothing one atomic load.
func (o *Outrun) Won() {
	if o.lost.Load() != 0 {
		o.lost.Store(0)
		o.last.Fared()
	}
}

// Last tells whether the endpoint is asked last at the moment now.
func (o *Outrun) Last(now moment.Moment) bool { return o.last.Ejected(now) }
