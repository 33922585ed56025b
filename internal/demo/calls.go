package demo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// An Answer is what became of one call.
type Answer struct {
	Function string
	Status   int
	Cause    string        // empty if all went well
	Took     time.Duration // the whole call
	Held     time.Duration // of it, in line
}

// A tally is the calls of one function within toldEvery: the first few have
// been told, the others are counted. In a flood, which is a tally after one
// that had to count, all are counted.
type tally struct {
	since    time.Time
	told     int
	flood    bool
	statuses map[int]int
	held     span
	took     span
}

// Answered tells of a call that is over.
func (s *Screen) Answered(a Answer) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tallies[a.Function]
	if t == nil || now.Sub(t.since) >= toldEvery {
		t = s.next(now, a.Function, t)
	}
	if t.told < toldEach && !t.flood {
		t.told++
		s.tellOne(now, a)
		return
	}
	t.statuses[a.Status]++
	t.held.add(a.Held)
	t.took.add(a.Took)
}

func (s *Screen) tellOne(now time.Time, a Answer) {
	words := fmt.Sprintf("%d in %s", a.Status, figure(a.Took))
	if a.Held > 0 {
		words += fmt.Sprintf(" (held %s)", figure(a.Held))
	}
	if a.Cause != "" {
		words += ", cause " + a.Cause
	}
	s.event(now, mood(a.Status), a.Function, "answered", words)
}

// next ends a tally, if there is one, and begins another.
func (s *Screen) next(now time.Time, function string, last *tally) *tally {
	t := &tally{since: now, statuses: map[int]int{}}
	if last != nil {
		t.flood = len(last.statuses) > 0
		s.tellTally(now, function, last)
	}
	s.tallies[function] = t
	return t
}

// sumUp tells the calls of every second that is over; at the end, of every one.
func (s *Screen) sumUp(now time.Time, end bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for function, t := range s.tallies {
		switch {
		case now.Sub(t.since) < toldEvery && !end:
		case len(t.statuses) == 0:
			delete(s.tallies, function)
		default:
			s.next(now, function, t)
		}
	}
}

func (s *Screen) tellTally(now time.Time, function string, t *tally) {
	worst, sum := 0, 0
	var kinds []string
	for _, status := range slices.Sorted(maps.Keys(t.statuses)) {
		sum += t.statuses[status]
		worst = status
		kind := statusText(status)
		if len(t.statuses) > 1 {
			kind = fmt.Sprintf("%d × %s", t.statuses[status], kind)
		}
		kinds = append(kinds, kind)
	}
	if sum == 0 {
		return
	}
	words := fmt.Sprintf("… and %d more, %s", sum, strings.Join(kinds, ", "))
	if t.flood {
		words = fmt.Sprintf("%s, %s", count(int64(sum), "call"), strings.Join(kinds, ", "))
	}
	if t.held.most > 0 {
		words += ", held " + t.held.String()
	} else {
		words += ", in " + t.took.String()
	}
	s.event(now, mood(worst), function, "answered", words)
}

// statusText is "200 OK".
func statusText(status int) string {
	if status == 499 { // weir's own
		return "499 the client left"
	}
	return fmt.Sprintf("%d %s", status, fasthttp.StatusMessage(status))
}

func mood(status int) tone {
	if status >= 400 {
		return bad
	}
	return good
}

// A span is from the least to the most of some durations.
type span struct {
	some        bool
	least, most time.Duration
}

func (s *span) add(d time.Duration) {
	if !s.some {
		*s = span{true, d, d}
	}
	s.least, s.most = min(s.least, d), max(s.most, d)
}

func (s span) String() string {
	format, unit, name := "%.1f", time.Millisecond, "ms"
	switch {
	case s.most >= time.Second:
		unit, name = time.Second, "s"
	case s.most >= 10*time.Millisecond:
		format = "%.0f"
	}
	least, most := fmt.Sprintf(format, float64(s.least)/float64(unit)), fmt.Sprintf(format, float64(s.most)/float64(unit))
	if least == most {
		return most + " " + name
	}
	return least + "–" + most + " " + name
}

// figure is a duration as a person reads it: 0.4 ms, 57 ms, 2004 ms.
func figure(d time.Duration) string {
	if ms := float64(d) / float64(time.Millisecond); ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
}
