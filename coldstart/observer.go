package coldstart

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// An Observer is told what became of starts and stops, to count it. It is
// called from the Activator's goroutine and must not block.
type Observer interface {
	// ScalerAsked: a platform has answered, or has not. Repeated is what it was told
	// before.
	ScalerAsked(scaler string, repeated bool, err error)
	StartEnded(function string, p Phases, err error)
	Stopped(function, reason string)
	// Released: the first call that was held for a start has left the line. It
	// comes after StartEnded, if it comes.
	Released(function string, p Phases)
	// Prewarmed: a start that Prewarm or Floor had caused was for somebody, or
	// not; then its instances stood for so long in all, for nothing.
	Prewarmed(function, trigger string, used bool, wasted time.Duration)
}

// A StartID names a start in traces: the W3C trace that it is, and the part of
// it that stands for the whole.
type StartID struct {
	Trace [16]byte
	Span  [8]byte
}

func newStartID() (id StartID) {
	binary.LittleEndian.PutUint64(id.Trace[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(id.Trace[8:], rand.Uint64()|1) // all zero is no name
	binary.LittleEndian.PutUint64(id.Span[:], rand.Uint64()|1)
	return id
}

// A Place is where an instance is, as far as anybody says.
type Place struct{ Region, Zone, Rack, Node string }

// Phases of one start, in the order of time. Those of one that failed end where
// it did: what had not begun is 0.
type Phases struct {
	ID    StartID
	Began time.Time // when it was wanted

	Trigger   time.Duration // from the first call in line to the request to the platform
	Provision time.Duration // until the platform had taken note
	Boot      time.Duration // until the first endpoint was seen to be ready
	Detect    time.Duration // until it was published
	Release   time.Duration // until the first call that was held for it was on its way

	Place     Place  // of the first instance
	Cause     string // demand, min_scale, or what Prewarm was told
	Failure   string // terminal, transient, crash, timeout; empty if it went well
	Held      int    // calls that stood in line when it ended
	Instances int    // that were asked for
}

// failed ends the phase that a start was in when it failed.
func (p *Phases) failed(k class, begun bool, now time.Time) {
	took := now.Sub(p.Began)
	switch {
	case !begun:
		p.Trigger = max(took, 0)
	case p.Provision == 0:
		p.Provision = max(took-p.Trigger, 0)
	default:
		p.Boot = max(took-p.Trigger-p.Provision, 0)
	}
	p.Failure = k.String()
}
