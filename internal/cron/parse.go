package cron

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// An Expression is a set of minutes of the wall clock. Frozen; the zero value
// never comes due.
type Expression struct {
	minute, hour, day, month, weekday uint64 // bit n is value n
	anyHour                           bool   // the hour is * or */n
	anyDay, anyWeekday                bool   // the same for the days
}

// A field is one of the five.
type field struct {
	name     string
	min, max int
	names    []string // of min and up
}

var fields = [...]field{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of month", 1, 31, nil},
	{"month", 1, 12, []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
	{"day of week", 0, 7, []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
}

var shorthands = map[string]string{
	"@yearly":   "0 0 1 1 *",
	"@annually": "0 0 1 1 *",
	"@monthly":  "0 0 1 * *",
	"@weekly":   "0 0 * * 0",
	"@daily":    "0 0 * * *",
	"@midnight": "0 0 * * *",
	"@hourly":   "0 * * * *",
}

// Parse reads an expression. The error goes on after the name of what was read.
func Parse(text string) (Expression, error) {
	var e Expression
	long := text
	if strings.HasPrefix(text, "@") {
		if long = shorthands[strings.ToLower(text)]; long == "" {
			return e, fmt.Errorf("has no meaning: %q; say five fields, as 0 8 * * MON-FRI", text)
		}
	}
	parts := strings.Fields(long)
	if len(parts) != len(fields) {
		return e, fmt.Errorf("must have five fields (minute, hour, day of month, month, day of week), not %d", len(parts))
	}
	for i, set := range []*uint64{&e.minute, &e.hour, &e.day, &e.month, &e.weekday} {
		var err error
		if *set, err = fields[i].parse(parts[i]); err != nil {
			return Expression{}, err
		}
	}
	if e.weekday&(1<<7) != 0 { // the other Sunday
		e.weekday = e.weekday&^(1<<7) | 1
	}
	e.anyHour, e.anyDay, e.anyWeekday = isAny(parts[1]), isAny(parts[2]), isAny(parts[4])
	if !e.possible() {
		return Expression{}, fmt.Errorf("never comes due: no month of it has such a day")
	}
	return e, nil
}

func isAny(part string) bool { return part[0] == '*' }

// parse reads one field: items with commas between them.
func (f field) parse(text string) (set uint64, err error) {
	for item := range strings.SplitSeq(text, ",") {
		items, err := f.item(item)
		if err != nil {
			return 0, fmt.Errorf("has an impossible %s: %q; %w", f.name, item, err)
		}
		set |= items
	}
	return set, nil
}

// item reads *, a value, or a range, and the step behind it.
func (f field) item(text string) (set uint64, err error) {
	span, stepText, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		if step, err = number(stepText); err != nil || step < 1 || step > f.max {
			return 0, fmt.Errorf("a step is a number from 1 to %d", f.max)
		}
	}
	from, to := f.min, f.max
	switch first, last, ranged := strings.Cut(span, "-"); {
	case span == "*":
		if f.max == 7 {
			to = 6 // or */2 would have Sunday by one name and not by the other
		}
	case ranged:
		if from, err = f.value(first); err == nil {
			to, err = f.value(last)
		}
		if to == 0 && f.max == 7 {
			to = 7 // FRI-SUN
		}
		if err == nil && from > to {
			err = fmt.Errorf("a range goes upwards")
		}
	default:
		if from, err = f.value(span); !stepped {
			to = from
		}
	}
	if err != nil {
		return 0, err
	}
	for v := from; v <= to; v += step {
		set |= 1 << v
	}
	return set, nil
}

func (f field) value(text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(text, name) {
			return f.min + i, nil
		}
	}
	if n, err := number(text); err == nil && n >= f.min && n <= f.max {
		return n, nil
	}
	if f.names != nil {
		return 0, fmt.Errorf("say %d to %d, or %s to %s", f.min, f.max, f.names[0], f.names[len(f.names)-1])
	}
	return 0, fmt.Errorf("say %d to %d", f.min, f.max)
}

// number reads digits and nothing else.
func number(text string) (int, error) {
	if len(text) > 2 || strings.ContainsAny(text, "+-") {
		return 0, strconv.ErrSyntax
	}
	return strconv.Atoi(text)
}

// longest is how many days a month may have.
var longest = [...]int{1: 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// possible tells whether there is a day that fits.
func (e Expression) possible() bool {
	if e.anyDay || !e.anyWeekday { // then a day of the week is enough
		return true
	}
	for m := 1; m <= 12; m++ {
		if e.month&(1<<m) != 0 && bits.TrailingZeros64(e.day) <= longest[m] {
			return true
		}
	}
	return false
}
