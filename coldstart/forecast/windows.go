package forecast

import (
	"fmt"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/cron"
)

// A window is a time that comes again, in which a function has to be up.
type window struct {
	opens     cron.Expression
	zone      *time.Location
	lasts     time.Duration // of time that passes, whatever clocks do meanwhile
	instances int
}

// A Schedule is the windows of one function. Frozen.
//
// Decision, 2026-11-25: a schedule is a floor under the number of instances, no
// prediction: it is never doubted and counts against no budget. A window is as
// long as it says in time that passes; where clocks change see internal/cron.
type Schedule []window

// NewSchedule makes a Schedule of what the configuration says, which has been
// checked.
func NewSchedule(entries []config.Schedule) (Schedule, error) {
	var s Schedule
	for _, e := range entries {
		opens, err := cron.Parse(e.Cron)
		if err != nil {
			return nil, fmt.Errorf("cron %w", err)
		}
		zone, err := time.LoadLocation(e.Timezone)
		if err != nil {
			return nil, fmt.Errorf("unknown time zone %q: %w", e.Timezone, err)
		}
		s = append(s, window{opens, zone, e.Duration, e.Instances})
	}
	return s, nil
}

// At tells how many instances have to be up at a moment: the most that any
// window wants which is open then.
func (s Schedule) At(t time.Time) (instances int) {
	for _, w := range s {
		if w.open(t) {
			instances = max(instances, w.instances)
		}
	}
	return instances
}

// open tells whether a window is: from the moment it opens to the one before it
// closes.
func (w window) open(t time.Time) bool {
	opened := w.opens.Next(t.Add(-w.lasts), w.zone) // the first that has not closed
	return !opened.IsZero() && !opened.After(t)
}

// Change returns the first moment after t at which At may tell something else;
// the zero time if there is none.
func (s Schedule) Change(t time.Time) (next time.Time) {
	for _, w := range s {
		at := w.opens.Next(t, w.zone)
		if w.open(t) {
			at = earlier(at, w.opens.Next(t.Add(-w.lasts), w.zone).Add(w.lasts))
		}
		next = earlier(next, at)
	}
	return next
}

// Opens returns the first moment after t at which a window opens.
func (s Schedule) Opens(t time.Time) (next time.Time) {
	for _, w := range s {
		next = earlier(next, w.opens.Next(t, w.zone))
	}
	return next
}

// earlier of two moments, of which the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
