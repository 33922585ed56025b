package table

import "sync/atomic"

// An Account is what has happened to the connections to a function's endpoints.
// It belongs to the function, so that an endpoint which leaves takes nothing
// away from it. Its methods may be called from any goroutine.
type Account struct {
	opened atomic.Int64
	closed [numEnds]atomic.Int64
}

// An End is why a connection to an endpoint was closed.
type End uint8

// The ends of connections.
const (
	Idle        End = iota // nobody used it for too long
	Stale                  // the endpoint had closed it while it idled
	Unsolicited            // the endpoint sent something while it idled
	ExtraBytes             // more came than the response that was asked for
	Used                   // the response did not allow another one on it, or it was a tunnel
	Canceled               // the client left, or something took longer than it may
	Broken                 // the endpoint closed it in the middle, or spoke no HTTP
	Unsent                 // the endpoint answered before it had the whole request
	Dismissed              // the endpoint has left, or its settings have changed
	numEnds
)

// String names the end as a metric's label.
func (e End) String() string {
	return [...]string{"idle", "stale", "unsolicited", "extra_bytes", "used", "canceled", "broken", "unsent", "dismissed"}[e]
}

// Ends are all there are.
func Ends() []End {
	all := make([]End, numEnds)
	for i := range all {
		all[i] = End(i)
	}
	return all
}

// Open notes that a connection stands.
func (a *Account) Open() { a.opened.Add(1) }

// Close notes that one was closed.
func (a *Account) Close(why End) { a.closed[why].Add(1) }

// Opened is how many have stood.
func (a *Account) Opened() int64 { return a.opened.Load() }

// Closed is how many were closed for that reason.
func (a *Account) Closed(why End) int64 { return a.closed[why].Load() }
