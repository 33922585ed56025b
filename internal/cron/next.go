package cron

import (
	"math/bits"
	"slices"
	"time"
	_ "time/tzdata" // see doc.go
)

// horizon is how far Next looks. The 29th of February may be eight years away,
// over 2100; with */2 in the day of the week 40 years, and that is the worst.
const horizon = 41 * 366

// Next returns the first moment after t at which the expression comes due in a
// zone, and the zero time if it never does.
func (e Expression) Next(t time.Time, zone *time.Location) time.Time {
	local := t.In(zone)
	year, month, day := local.Date()
	// From the day before: clocks have been put back over midnight.
	for i := -1; i < horizon; i++ {
		first := e.firstOn(year, month, day+i, zone, t)
		if first.IsZero() {
			continue
		}
		// The day after may be due before the second pass of this one.
		if other := e.firstOn(year, month, day+i+1, zone, t); !other.IsZero() && other.Before(first) {
			return other
		}
		return first
	}
	return time.Time{}
}

// firstOn returns the first moment after t, of those that come due on a day.
func (e Expression) firstOn(year int, month time.Month, day int, zone *time.Location, t time.Time) (first time.Time) {
	date := time.Date(year, month, day, 0, 0, 0, 0, time.UTC) // a date that is none is made one
	if !e.dueOn(date) {
		return time.Time{}
	}
	offset, steady := steadyOffset(date, zone)
	for hours := e.hour; hours != 0; hours &= hours - 1 {
		hour := date.Add(time.Duration(bits.TrailingZeros64(hours)) * time.Hour)
		if steady && !hour.Add(time.Hour-offset).After(t) {
			continue
		}
		for minutes := e.minute; minutes != 0; minutes &= minutes - 1 {
			wall := hour.Add(time.Duration(bits.TrailingZeros64(minutes)) * time.Minute)
			if at := wall.Add(-offset); steady && at.After(t) {
				return at.In(zone)
			} else if steady {
				continue
			}
			for _, at := range e.moments(wall, zone) {
				if at.After(t) && (first.IsZero() || at.Before(first)) {
					first = at
				}
			}
		}
	}
	return first
}

// dueOn tells whether the day fits.
func (e Expression) dueOn(date time.Time) bool {
	if e.month&(1<<int(date.Month())) == 0 {
		return false
	}
	day, weekday := e.day&(1<<date.Day()) != 0, e.weekday&(1<<int(date.Weekday())) != 0
	if e.anyDay || e.anyWeekday {
		return day && weekday
	}
	return day || weekday
}

// moments are when a clock that shows wall, written as UTC, makes the expression
// come due.
func (e Expression) moments(wall time.Time, zone *time.Location) []time.Time {
	shown := shows(wall, zone)
	switch {
	case len(shown) == 0 && !e.anyHour:
		return []time.Time{skips(wall, zone)}
	case len(shown) > 1 && !e.anyHour:
		return shown[:1]
	}
	return shown
}

// shows returns the moments at which the clocks of a zone show wall: one, none
// if they skip it, two if they are put back over it.
func shows(wall time.Time, zone *time.Location) []time.Time {
	var at []time.Time
	for _, near := range []time.Time{wall.Add(-26 * time.Hour), wall, wall.Add(26 * time.Hour)} {
		for _, offset := range offsetsAround(near, zone) {
			moment := wall.Add(-offset).In(zone)
			if _, has := moment.Zone(); time.Duration(has)*time.Second == offset {
				at = append(at, moment)
			}
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return slices.CompactFunc(at, time.Time.Equal)
}

// offsetsAround are how far a zone is ahead of UTC at a moment, and before and
// after the changes next to it.
func offsetsAround(t time.Time, zone *time.Location) []time.Duration {
	local := t.In(zone)
	start, end := local.ZoneBounds()
	seen := []time.Time{local}
	if !start.IsZero() {
		seen = append(seen, start.Add(-1))
	}
	if !end.IsZero() {
		seen = append(seen, end)
	}
	var offsets []time.Duration
	for _, at := range seen {
		_, seconds := at.Zone()
		offsets = append(offsets, time.Duration(seconds)*time.Second)
	}
	return offsets
}

// skips returns the moment at which the clocks of a zone go over wall.
func skips(wall time.Time, zone *time.Location) time.Time {
	at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), 0, 0, zone)
	start, end := at.ZoneBounds()
	if shown := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), 0, 0, time.UTC); shown.After(wall) {
		return start // read with the offset of before
	}
	return end
}

// steadyOffset tells how far a zone is ahead of UTC all day, and whether it is
// the same all day: no clock is changed from the day before to the day after.
func steadyOffset(date time.Time, zone *time.Location) (time.Duration, bool) {
	noon := date.Add(12 * time.Hour).In(zone)
	start, end := noon.ZoneBounds()
	_, seconds := noon.Zone()
	return time.Duration(seconds) * time.Second,
		(start.IsZero() || start.Before(noon.Add(-40*time.Hour))) && (end.IsZero() || end.After(noon.Add(40*time.Hour)))
}
