package cron

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// The moments that follow a local time, by the clock on the wall. The offset is
// written out: it is what tells the two passes of a repeated hour apart.
func TestNext(t *testing.T) {
	for _, c := range []struct {
		what, cron, zone, after string
		want                    []string
	}{
		{"a working week", "0 8 * * MON-FRI", "Europe/Berlin", "2026-11-26 07:59:59",
			[]string{"2026-11-26 08:00 +0100", "2026-11-27 08:00 +0100", "2026-11-30 08:00 +0100"}},
		{"the same second is over", "0 8 * * *", "UTC", "2026-11-25 08:00:00", []string{"2026-11-26 08:00 +0000"}},

		{"spring, before the gap and after", "0 8 * * *", "Europe/Berlin", "2026-03-27 12:00:00",
			[]string{"2026-03-28 08:00 +0100", "2026-03-29 08:00 +0200", "2026-03-30 08:00 +0200"}},
		{"spring, in the gap: when it is skipped", "30 2 * * *", "Europe/Berlin", "2026-03-28 02:00:00",
			[]string{"2026-03-28 02:30 +0100", "2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200"}},
		{"spring, every hour: by the time that passes", "30 * * * *", "Europe/Berlin", "2026-03-29 01:00:00",
			[]string{"2026-03-29 01:30 +0100", "2026-03-29 03:30 +0200"}},
		{"autumn, a fixed hour: the first pass", "30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00",
			[]string{"2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"}},
		{"autumn, asked between the passes", "30 2 * * *", "Europe/Berlin", "2026-10-25 03:00:00",
			[]string{"2026-10-26 02:30 +0100"}},
		{"autumn, every hour: both passes", "30 * * * *", "Europe/Berlin", "2026-10-25 01:00:00",
			[]string{"2026-10-25 01:30 +0200", "2026-10-25 02:30 +0200", "2026-10-25 02:30 +0100", "2026-10-25 03:30 +0100"}},

		{"south, spring in October", "30 2 * * *", "Australia/Sydney", "2026-10-03 12:00:00",
			[]string{"2026-10-04 03:00 +1100", "2026-10-05 02:30 +1100"}},
		{"south, autumn in April", "30 2 * * *", "Australia/Sydney", "2026-04-04 12:00:00",
			[]string{"2026-04-05 02:30 +1100", "2026-04-06 02:30 +1000"}},
		{"New York, spring", "0 2 * * SUN", "America/New_York", "2026-03-07 12:00:00",
			[]string{"2026-03-08 03:00 -0400", "2026-03-15 02:00 -0400"}},
		{"New York, autumn", "15 1 * * *", "America/New_York", "2026-10-31 12:00:00",
			[]string{"2026-11-01 01:15 -0400", "2026-11-02 01:15 -0500"}},

		{"half an hour skipped", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00:00",
			[]string{"2026-10-04 02:30 +1100", "2026-10-05 02:15 +1100"}},
		{"half an hour twice, fixed", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00:00",
			[]string{"2026-04-05 01:45 +1100", "2026-04-06 01:45 +1030"}},
		{"half an hour twice, by the time that passes", "*/30 * * * *", "Australia/Lord_Howe", "2026-04-05 00:59:00",
			[]string{"2026-04-05 01:00 +1100", "2026-04-05 01:30 +1100", "2026-04-05 01:30 +1030", "2026-04-05 02:00 +1030"}},

		{"midnight skipped", "0 0 * * *", "Africa/Cairo", "2026-04-23 12:00:00",
			[]string{"2026-04-24 01:00 +0300", "2026-04-25 00:00 +0300"}},
		{"put back over midnight", "30 * * * *", "America/St_Johns", "2010-11-06 22:45:00",
			[]string{"2010-11-06 23:30 -0230", "2010-11-06 23:30 -0330", "2010-11-07 00:30 -0330"}},
		{"put back over midnight, in order", "0 * * * *", "America/St_Johns", "2010-11-06 23:30:00",
			[]string{"2010-11-07 00:00 -0230", "2010-11-07 00:00 -0330", "2010-11-07 01:00 -0330"}},
		{"a day that was left out", "0 8 * * *", "Pacific/Apia", "2011-12-29 09:00:00",
			[]string{"2011-12-31 00:00 +1400", "2011-12-31 08:00 +1400"}},

		{"the last of a month", "0 12 31 * *", "UTC", "2026-01-31 12:00:00",
			[]string{"2026-03-31 12:00 +0000", "2026-05-31 12:00 +0000"}},
		{"a leap day", "0 0 29 2 *", "UTC", "2026-01-01 00:00:00", []string{"2028-02-29 00:00 +0000", "2032-02-29 00:00 +0000"}},
		{"no leap year in 2100", "0 0 29 2 *", "UTC", "2096-03-01 00:00:00", []string{"2104-02-29 00:00 +0000"}},
		{"a Sunday that is a leap day", "0 0 29 2 */7", "UTC", "2088-03-01 00:00:00", []string{"2128-02-29 00:00 +0000"}},
		{"day of month or of week", "0 0 13 * FRI", "UTC", "2026-11-10 00:00:00",
			[]string{"2026-11-13 00:00 +0000", "2026-11-20 00:00 +0000", "2026-11-27 00:00 +0000", "2026-12-04 00:00 +0000",
				"2026-12-11 00:00 +0000", "2026-12-13 00:00 +0000"}},
		{"Sunday is 0 and 7", "0 0 * * 6-7", "UTC", "2026-11-25 00:00:00",
			[]string{"2026-11-28 00:00 +0000", "2026-11-29 00:00 +0000", "2026-12-05 00:00 +0000"}},
		{"to Sunday", "0 0 * * sat-sun", "UTC", "2026-11-25 00:00:00", []string{"2026-11-28 00:00 +0000", "2026-11-29 00:00 +0000"}},
		{"lists, steps and names", "5-20/10,50 */12 1 jan,JUL *", "UTC", "2026-11-25 00:00:00",
			[]string{"2027-01-01 00:05 +0000", "2027-01-01 00:15 +0000", "2027-01-01 00:50 +0000", "2027-01-01 12:05 +0000"}},
		{"from a value on", "50/5 0 1 1 *", "UTC", "2026-11-25 00:00:00", []string{"2027-01-01 00:50 +0000", "2027-01-01 00:55 +0000", "2028-01-01 00:50 +0000"}},
		{"in a word", "@weekly", "UTC", "2026-11-25 00:00:00", []string{"2026-11-29 00:00 +0000", "2026-12-06 00:00 +0000"}},
	} {
		z := zone(t, c.zone)
		at, err := time.ParseInLocation(time.DateTime, c.after, z)
		if err != nil {
			t.Fatal(err)
		}
		e, err := Parse(c.cron)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		for _, want := range c.want {
			at = e.Next(at, z)
			if got := at.Format("2006-01-02 15:04 -0700"); got != want {
				t.Errorf("%s: %q in %s comes due at %s, want %s", c.what, c.cron, c.zone, got, want)
				break
			}
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for cron, want := range map[string]string{
		"":                    "five fields",
		"0 8 * *":             "not 4",
		"0 0 8 * * *":         "not 6",
		"60 8 * * *":          `impossible minute: "60"; say 0 to 59`,
		"0 24 * * *":          `impossible hour: "24"; say 0 to 23`,
		"0 8 0 * *":           "say 1 to 31",
		"0 8 * 13 *":          "say 1 to 12, or JAN to DEC",
		"0 8 * * 8":           "say 0 to 7, or SUN to SAT",
		"0 8 * * MO":          `impossible day of week: "MO"`,
		"0 8 * * FRI-MON":     "a range goes upwards",
		"0 8-8- * * *":        `"8-8-"`,
		"*/0 * * * *":         "a step is a number from 1 to 59",
		"*/60 * * * *":        "a step is a number from 1 to 59",
		"/5 * * * *":          `"/5"`,
		"0,, 8 * * *":         `impossible minute: ""`,
		"+5 8 * * *":          `"+5"`,
		"0 8 30 2 *":          "never comes due",
		"0 8 31 2,4,6,9,11 *": "never comes due",
		"@fortnightly":        "has no meaning",
		"TZ=":                 "not 1",
	} {
		if _, err := Parse(cron); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", cron, err, want)
		}
	}
}

// due tells by going through all that cron promises whether an expression comes
// due at a minute, without a look at how Next finds it.
func due(e Expression, at time.Time) bool {
	fits := func(t time.Time) bool {
		date := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
		return e.minute&(1<<t.Minute()) != 0 && e.hour&(1<<t.Hour()) != 0 && e.dueOn(date)
	}
	naive := func(t time.Time) time.Time { // what the wall shows, as UTC
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
	}
	if fits(at) {
		if e.anyHour {
			return true
		}
		again := false
		for back := time.Minute; back <= 26*time.Hour; back += time.Minute {
			again = again || naive(at.Add(-back)).Equal(naive(at))
		}
		return !again
	}
	if e.anyHour {
		return false
	}
	for skipped := naive(at.Add(-time.Minute)).Add(time.Minute); skipped.Before(naive(at)); skipped = skipped.Add(time.Minute) {
		if fits(skipped) {
			return true
		}
	}
	return false
}

// Next is the first minute that is due, around the days that clocks are changed.
func TestNextMissesNothing(t *testing.T) {
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Sydney", "Australia/Lord_Howe", "Africa/Cairo", "America/St_Johns"}
	days := []time.Time{
		time.Date(2026, 3, 8, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 5, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 4, 24, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 4, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2010, 11, 7, 0, 0, 0, 0, time.UTC),
	}
	part := rapid.SampledFrom([]string{"*", "*/7", "30", "0", "59", "1,31"})
	hour := rapid.SampledFrom([]string{"*", "*/2", "0", "1", "2", "23", "1-3", "0,23"})
	rapid.Check(t, func(t *rapid.T) {
		e, err := Parse(part.Draw(t, "minute") + " " + hour.Draw(t, "hour") + " * * *")
		if err != nil {
			t.Fatal(err)
		}
		z, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		from := rapid.SampledFrom(days).Draw(t, "day").Add(time.Duration(rapid.IntRange(-36*60, 36*60).Draw(t, "minutes")) * time.Minute).In(z)
		next := e.Next(from, z)
		for at := from.Add(time.Minute); ; at = at.Add(time.Minute) {
			if is := due(e, at); is || at.Equal(next) {
				if !is || !at.Equal(next) {
					t.Fatalf("after %s Next says %s, but at %s it is due: %v", from, next, at, is)
				}
				return
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0 8 * * MON-FRI", "*/15 0-6,22-23 1,15 jan-jun/2 *", "@hourly", "0 0 29 2 */7", "TZ= ", "5/5 5/5 5/5 5/5 5/5"} {
		f.Add(seed, int64(1792800000))
	}
	berlin := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, text string, seconds int64) {
		e, err := Parse(text)
		if err != nil {
			return
		}
		after := time.Unix(seconds%(1<<33), 0)
		next := e.Next(after, berlin)
		if !next.After(after) {
			t.Fatalf("%q after %s comes due at %s", text, after, next)
		}
		if next.Second() != 0 || !due(e, next) {
			t.Fatalf("%q comes due at %s, which does not fit", text, next)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	e, _ := Parse("0 8 * * MON-FRI")
	z, at := zone(b, "Europe/Berlin"), time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)
	for b.Loop() {
		e.Next(at, z)
	}
}
