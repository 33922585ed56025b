package forecast

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
)

func schedule(t interface {
	Helper()
	Fatal(...any)
}, entries ...config.Schedule) Schedule {
	t.Helper()
	s, err := NewSchedule(entries)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is up at which moment, written with its offset. On days that clocks are
// changed a window is as long as it says: its end is what moves.
func TestWindows(t *testing.T) {
	const berlin, howe, sydney = "Europe/Berlin", "Australia/Lord_Howe", "Australia/Sydney"
	office := config.Schedule{Cron: "0 8 * * MON-FRI", Duration: 10 * time.Hour, Timezone: berlin, Instances: 2}
	night := config.Schedule{Cron: "0 22 * * *", Duration: 10 * time.Hour, Timezone: berlin, Instances: 1}
	for _, c := range []struct {
		what    string
		windows []config.Schedule
		want    map[string]int
	}{
		{"a working week", []config.Schedule{office}, map[string]int{
			"2026-11-25 07:59 +0100": 0, "2026-11-25 08:00 +0100": 2, "2026-11-25 17:59 +0100": 2, "2026-11-25 18:00 +0100": 0,
			"2026-11-28 12:00 +0100": 0, "2026-07-01 07:59 +0200": 0, "2026-07-01 08:00 +0200": 2, "2026-07-01 18:00 +0200": 0,
		}},
		{"the most of what overlaps", []config.Schedule{
			office, {Cron: "0 12 * * *", Duration: time.Hour, Timezone: berlin, Instances: 5}, {Cron: "30 12 * * *", Duration: time.Hour, Timezone: berlin, Instances: 3},
		}, map[string]int{
			"2026-11-25 11:59 +0100": 2, "2026-11-25 12:00 +0100": 5, "2026-11-25 12:59 +0100": 5, "2026-11-25 13:00 +0100": 3, "2026-11-25 13:30 +0100": 2,
		}},
		{"spring: ten hours are ten hours", []config.Schedule{night}, map[string]int{
			"2026-03-28 21:59 +0100": 0, "2026-03-28 22:00 +0100": 1, "2026-03-29 08:59 +0200": 1, "2026-03-29 09:00 +0200": 0, "2026-03-29 22:00 +0200": 1,
		}},
		{"autumn: the same", []config.Schedule{night}, map[string]int{
			"2026-10-24 22:00 +0200": 1, "2026-10-25 06:59 +0100": 1, "2026-10-25 07:00 +0100": 0, "2026-10-25 22:00 +0100": 1,
		}},
		{"it opens in the gap", []config.Schedule{{Cron: "30 2 * * *", Duration: time.Hour, Timezone: berlin, Instances: 1}}, map[string]int{
			"2026-03-29 01:59 +0100": 0, "2026-03-29 03:00 +0200": 1, "2026-03-29 03:59 +0200": 1, "2026-03-29 04:00 +0200": 0,
		}},
		{"it opens in the hour that comes twice", []config.Schedule{{Cron: "30 2 * * *", Duration: 20 * time.Minute, Timezone: berlin, Instances: 1}}, map[string]int{
			"2026-10-25 02:30 +0200": 1, "2026-10-25 02:49 +0200": 1, "2026-10-25 02:50 +0200": 0, "2026-10-25 02:30 +0100": 0,
		}},
		{"south: a day in April has an hour more", []config.Schedule{{Cron: "0 0 * * *", Duration: 24 * time.Hour, Timezone: sydney, Instances: 1}}, map[string]int{
			"2026-04-05 22:59 +1000": 1, "2026-04-05 23:00 +1000": 0, "2026-04-06 00:00 +1000": 1, "2026-10-05 00:30 +1100": 1,
		}},
		{"half an hour", []config.Schedule{{Cron: "15 2 * * *", Duration: 30 * time.Minute, Timezone: howe, Instances: 1}}, map[string]int{
			"2026-10-04 01:59 +1030": 0, "2026-10-04 02:30 +1100": 1, "2026-10-04 02:59 +1100": 1, "2026-10-04 03:00 +1100": 0,
			"2026-04-05 02:15 +1030": 1, "2026-04-05 02:45 +1030": 0,
		}},
		{"over a leap day and the turn of a year", []config.Schedule{{Cron: "0 0 29 2 *", Duration: 24 * time.Hour, Timezone: "UTC", Instances: 1},
			{Cron: "0 18 31 12 *", Duration: 12 * time.Hour, Timezone: "UTC", Instances: 4}}, map[string]int{
			"2028-02-29 12:00 +0000": 1, "2028-03-01 00:00 +0000": 0, "2026-02-28 12:00 +0000": 0, "2026-12-31 18:00 +0000": 4, "2027-01-01 05:59 +0000": 4, "2027-01-01 06:00 +0000": 0,
		}},
		{"windows that follow each other without an end", []config.Schedule{{Cron: "0 * * * *", Duration: 90 * time.Minute, Timezone: "UTC", Instances: 1}}, map[string]int{
			"2026-11-25 00:00 +0000": 1, "2026-11-25 00:59 +0000": 1, "2026-11-25 01:45 +0000": 1,
		}},
		{"none", nil, map[string]int{"2026-11-25 00:00 +0000": 0}},
	} {
		s := schedule(t, c.windows...)
		for text, want := range c.want {
			at, err := time.Parse("2006-01-02 15:04 -0700", text)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.At(at); got != want {
				t.Errorf("%s, at %s: %d, want %d", c.what, text, got, want)
			}
		}
	}
}

// Between a moment and the change after it, nothing changes.
func TestNoChangeIsMissed(t *testing.T) {
	crons := []string{"0 8 * * MON-FRI", "*/20 * * * *", "30 2 * * *", "0 0 1 * *"}
	zones := []string{"UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/New_York"}
	rapid.Check(t, func(t *rapid.T) {
		var entries []config.Schedule
		for range rapid.IntRange(1, 3).Draw(t, "windows") {
			entries = append(entries, config.Schedule{
				Cron:      rapid.SampledFrom(crons).Draw(t, "cron"),
				Timezone:  rapid.SampledFrom(zones).Draw(t, "zone"),
				Duration:  time.Duration(rapid.IntRange(1, 3000).Draw(t, "minutes")) * time.Minute,
				Instances: rapid.IntRange(1, 3).Draw(t, "instances"),
			})
		}
		s := schedule(t, entries...)
		day := rapid.SampledFrom([]int{-242, -51, -25, 0}).Draw(t, "day") // from 2026-11-25: changes of clocks, and none
		from := time.Date(2026, 11, 25+day, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 2880).Draw(t, "at")) * time.Minute)
		next := s.Change(from)
		if !next.After(from) {
			t.Fatalf("after %s the next change is %s", from, next)
		}
		for at := from; at.Before(next) && at.Before(from.Add(72*time.Hour)); at = at.Add(time.Minute) {
			if s.At(at) != s.At(from) {
				t.Fatalf("at %s there are %d, %d at %s: and the next change is said to be at %s", from, s.At(from), s.At(at), at, next)
			}
		}
	})
}
