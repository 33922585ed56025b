package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies between 100 ns and ten minutes are kept with three digits; a
// longer one counts as ten minutes.
const (
	shortest = 100
	longest  = int64(10 * time.Minute)
	accuracy = 3
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(shortest, longest, accuracy) }

func note(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(max(0, min(int64(d), longest))) // cannot fail: it is in range
}

// An outcome is how a call ended.
type outcome uint8

const (
	answered  outcome = iota
	refused           // no connection could be made
	broken            // the connection ended before or within the answer
	garbled           // what came was not HTTP/1.1
	overdue           // the deadline passed
	unsent            // the deadline passed before there was a connection to send it on
	outcomes_         // how many there are
)

var outcomeNames = [outcomes_]string{"answered", "refused", "broken", "garbage", "deadline", "unsent"}

// Moments of one call, counted from the beginning of the measurement.
type moments struct {
	intended time.Duration // when it was to be sent
	sent     time.Duration // when its first byte was sent
	done     time.Duration // when the last byte of the answer had come
}

// A record is what a worker has seen. It belongs to the worker; what a second
// saw is handed to the tape when the second is over.
type record struct {
	outcomes [outcomes_]int64
	statuses [600]int64
	bytes    int64

	// From the intended time: what callers of a real rate would have seen. From
	// the moment of sending: what the target took, and what tools without
	// intended times report as latency.
	corrected   *hdrhistogram.Histogram
	uncorrected *hdrhistogram.Histogram
	// How late this client itself sent: past the intended time and after the
	// connection was free.
	late *hdrhistogram.Histogram
	// Of each kind of call, from the intended time.
	kinds []kindRecord

	second  int
	slice   *slice
	tape    *tape
	warming int64 // calls before the measurement began
}

type kindRecord struct {
	calls, failed int64
	latency       *hdrhistogram.Histogram
}

func newRecord(kinds int, t *tape) *record {
	r := &record{
		corrected:   newHistogram(),
		uncorrected: newHistogram(),
		late:        newHistogram(),
		kinds:       make([]kindRecord, kinds),
		tape:        t,
		slice:       t.blank(),
	}
	for i := range r.kinds {
		r.kinds[i].latency = newHistogram()
	}
	return r
}

// add notes a call that is over. A call that ran into its deadline has the
// latency that it had by then: leaving it out would make a target that hangs
// look fast.
func (r *record) add(kind int, how outcome, status int, m moments) {
	r.turn(m.done)
	if m.intended < 0 {
		r.warming++
		return
	}
	r.outcomes[how]++
	k := &r.kinds[kind]
	k.calls++
	r.slice.calls++
	failed := how != answered || status >= 500
	if failed {
		k.failed++
		r.slice.failed++
	}
	if how == answered {
		r.statuses[status]++
	}
	if how == answered || how == overdue || how == unsent {
		note(r.corrected, m.done-m.intended)
		note(k.latency, m.done-m.intended)
		note(r.slice.latency, m.done-m.intended)
	}
	if how == answered || how == overdue {
		note(r.uncorrected, m.done-m.sent)
	}
}

// served counts an answer for whoever gave it.
func (r *record) served(by []byte) {
	if r.slice.shares == nil {
		r.slice.shares = map[string]int64{}
	}
	r.slice.shares[string(by)]++
}

// turn hands the slice over when its second has passed.
func (r *record) turn(now time.Duration) {
	if now < time.Duration(r.second+1)*time.Second {
		return
	}
	r.tape.add(r.second, r.slice)
	r.slice = r.tape.blank()
	r.second = int(now / time.Second)
}

// stalls fills in the calls that a closed loop did not send while it waited:
// had it sent one every interval, they would have waited for the rest of each
// latency longer than that (Gil Tene's correction for coordinated omission).
func stalls(h *hdrhistogram.Histogram, interval time.Duration) *hdrhistogram.Histogram {
	corrected := newHistogram()
	if interval < time.Microsecond {
		interval = time.Microsecond
	}
	for _, bar := range h.Distribution() {
		if bar.Count == 0 {
			continue
		}
		for v := bar.To; ; v -= int64(interval) {
			_ = corrected.RecordValues(min(v, longest), bar.Count)
			if v < 2*int64(interval) {
				break
			}
		}
	}
	return corrected
}
