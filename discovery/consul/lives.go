package consul

import (
	"slices"
	"strings"
	"time"
)

// lives are the registrations of a service, as far as weir has seen them.
type lives struct {
	window time.Duration // for which a new one may be probed

	began bool // there was an answer
	known map[string]*life
}

// A life is one registration.
type life struct {
	since  time.Time // when it was first seen
	old    bool      // in the first answer already: nobody knows for how long
	passed bool      // once
	probed bool      // it was reported as Unproven
}

// pick returns the instances to report: those that serve and, while none does,
// those that are so new that no check can have passed. due is when to look
// again; zero: when something changes.
func (l *lives) pick(seen []sighting, now time.Time) (named []instance, due time.Time) {
	known := make(map[string]*life, len(seen))
	anybody := slices.ContainsFunc(seen, func(s sighting) bool { return s.serves && s.Weight > 0 })
	for _, s := range seen {
		one := l.known[s.life]
		if one == nil {
			one = &life{since: now, old: !l.began}
		}
		known[s.life] = one
		one.passed = one.passed || s.serves
		end := one.since.Add(l.window)
		switch {
		case s.serves:
			named = append(named, s.instance)
		case s.maintained || s.judged || one.old || one.passed || !now.Before(end):
		case one.probed || !anybody:
			one.probed = true
			s.Unproven = true
			named = append(named, s.instance)
			if due.IsZero() || end.Before(due) {
				due = end
			}
		}
	}
	l.known, l.began = known, true
	return named, due
}

func byID(a, b instance) int { return strings.Compare(a.ID, b.ID) }
