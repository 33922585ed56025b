package table

import (
	"math"
	"sync/atomic"

	"github.com/weir-gateway/weir/config"
)

// A Mirror is where copies of a route's calls go. Frozen, but for the State of its
// function.
type Mirror struct {
	*Function
	below uint64 // of 1<<32: the calls that are copied
	most  int64
}

// Mirrors are a function's copies of calls, as far as this weir knows. Its methods
// may be called from any goroutine.
type Mirrors struct {
	inFlight atomic.Int64
	ended    [NumMirrored]atomic.Uint64
}

// Mirrored is what has become of a call that was to be copied.
type Mirrored uint8

// What can become of it.
const (
	MirrorAnswered    Mirrored = iota // the function has answered, with a status below 500
	MirrorAnswered5xx                 // or with another
	MirrorFailed                      // it has not, or its answer broke off
	MirrorUnavailable                 // none of its endpoints could take it at once
	MirrorFull                        // as many were in flight as may be
	MirrorBody                        // its body was not in memory any more, or not whole
	NumMirrored
)

// String is what weir_mirrored_total has as result.
func (m Mirrored) String() string {
	return [...]string{"answered", "answered_5xx", "failed", "unavailable", "full", "body"}[m]
}

func newMirror(m *config.Mirror, fn *Function) *Mirror {
	return &Mirror{Function: fn, below: uint64(math.Round(m.Percent / 100 * (1 << 32))), most: int64(m.MaxInFlight)}
}

// Takes tells whether the call that has drawn a number is copied.
func (m *Mirror) Takes(drawn uint32) bool { return uint64(drawn) < m.below }

// Begin makes room for a copy, if there is some. End gives it back.
func (m *Mirror) Begin() bool {
	if m.Mirrors.inFlight.Add(1) <= m.most {
		return true
	}
	m.Mirrors.End(MirrorFull)
	return false
}

// End counts a copy for which Begin has made room.
func (m *Mirrors) End(result Mirrored) {
	m.inFlight.Add(-1)
	m.ended[result].Add(1)
}

// Skip counts a call for which no room was made.
func (m *Mirrors) Skip(result Mirrored) { m.ended[result].Add(1) }

// InFlight is how many copies there are now.
func (m *Mirrors) InFlight() int { return int(m.inFlight.Load()) }

// Ended is how many have ended so.
func (m *Mirrors) Ended(result Mirrored) int { return int(m.ended[result].Load()) }
