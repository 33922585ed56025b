package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A slice is what was seen in one second by one worker.
type slice struct {
	calls, failed int64
	latency       *hdrhistogram.Histogram
	shares        map[string]int64
}

// A Second of a run, for pictures of it over time.
type Second struct {
	At     int              `json:"at"` // seconds from the beginning
	Calls  int64            `json:"calls"`
	Failed int64            `json:"failed"`
	Mean   time.Duration    `json:"mean"`
	P10    time.Duration    `json:"p10"`
	P50    time.Duration    `json:"p50"`
	P99    time.Duration    `json:"p99"`
	Max    time.Duration    `json:"max"`
	Shares map[string]int64 `json:"shares,omitempty"` // calls by who answered
}

// A tape takes the slices of all workers and knows each second that is
// complete.
type tape struct {
	workers int

	mu      sync.Mutex // guards all below
	open    map[int]*spot
	seconds []Second
	unused  []*slice
	calls   int64
	failed  int64
}

type spot struct {
	slice   *slice
	workers int
}

func newTape(workers int) *tape { return &tape{workers: workers, open: map[int]*spot{}} }

func (t *tape) blank() *slice {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.unused); n > 0 {
		s := t.unused[n-1]
		t.unused = t.unused[:n-1]
		return s
	}
	return &slice{latency: newHistogram()}
}

// add takes over a slice.
func (t *tape) add(second int, s *slice) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls += s.calls
	t.failed += s.failed
	at := t.open[second]
	if at == nil {
		t.open[second] = &spot{s, 1}
	} else {
		at.slice.merge(s)
		at.workers++
		t.recycle(s)
	}
	if t.open[second].workers == t.workers {
		t.closeLocked(second)
	}
}

func (t *tape) closeLocked(second int) {
	s := t.open[second].slice
	delete(t.open, second)
	t.seconds = append(t.seconds, s.second(second))
	t.recycle(s)
}

func (t *tape) recycle(s *slice) {
	s.latency.Reset()
	s.calls, s.failed, s.shares = 0, 0, nil
	t.unused = append(t.unused, s)
}

func (s *slice) merge(other *slice) {
	s.calls += other.calls
	s.failed += other.failed
	s.latency.Merge(other.latency)
	for by, n := range other.shares {
		if s.shares == nil {
			s.shares = map[string]int64{}
		}
		s.shares[by] += n
	}
}

func (s *slice) second(at int) Second {
	return Second{
		At: at, Calls: s.calls, Failed: s.failed, Shares: s.shares,
		Mean: time.Duration(s.latency.Mean()),
		P10:  time.Duration(s.latency.ValueAtQuantile(10)),
		P50:  time.Duration(s.latency.ValueAtQuantile(50)),
		P99:  time.Duration(s.latency.ValueAtQuantile(99)),
		Max:  time.Duration(s.latency.Max()),
	}
}

// latest is the last complete second, and what there was in all.
func (t *tape) latest() (s Second, calls, failed int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.seconds); n > 0 {
		s = t.seconds[n-1]
	}
	return s, t.calls, t.failed
}

// all closes what is open still and gives the seconds in their order. A second
// in which nothing ended has no slice, and is one of zeros.
func (t *tape) all() []Second {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := -1
	for at := range t.open {
		t.closeLocked(at)
	}
	for _, s := range t.seconds {
		last = max(last, s.At)
	}
	seconds := make([]Second, last+1)
	for i := range seconds {
		seconds[i].At = i
	}
	for _, s := range t.seconds {
		seconds[s.At] = s
	}
	return seconds
}
