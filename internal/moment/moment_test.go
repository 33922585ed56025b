package moment_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/internal/testkit"
)

func TestMoment(t *testing.T) {
	now := time.Now()
	if got := moment.Of(now).Time(); !got.Equal(now) || got.Sub(now) != 0 {
		t.Errorf("%v has become %v", now, got)
	}
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 10 * 365 * 24 * time.Hour} {
		later := testkit.Jumped(now.Add(time.Second), jump)
		if wall := time.Duration(later.UnixNano() - now.UnixNano()); wall != jump+time.Second {
			t.Fatalf("the wall clock says %v", wall)
		}
		if passed := moment.Of(later).Sub(moment.Of(now)); passed != time.Second {
			t.Errorf("a clock that was set by %v makes %v of a second", jump, passed)
		}
		if got := later.Sub(moment.Of(now).Time()); got != time.Second {
			t.Errorf("and %v", got)
		}
	}
	old := time.Unix(1000, 5) // of no clock
	if m := moment.Of(old); int64(m) != old.UnixNano() || !m.Time().Equal(old) {
		t.Errorf("%v has become %d", old, m)
	}
	synctest.Test(t, func(t *testing.T) {
		m := moment.Now()
		time.Sleep(time.Minute)
		if passed := moment.Now().Sub(m); passed != time.Minute || m.Add(passed) != moment.Now() {
			t.Errorf("a minute is %v", passed)
		}
		if passed := time.Since(m.Time()); passed != time.Minute {
			t.Errorf("a minute is %v", passed)
		}
	})
}

// What is to be over in centuries is not over.
func TestFarMoments(t *testing.T) {
	now := moment.Now()
	for _, years := range []int{1, 200, 250, 292} {
		d := time.Duration(years) * 365 * 24 * time.Hour
		if far := now.Add(d); far <= now || time.Until(far.Time()) < min(d, 200*365*24*time.Hour)-time.Hour {
			t.Errorf("in %d years: %v", years, far.Time())
		}
	}
	if past := now.Add(-time.Second); now.Sub(past) != time.Second || past.Add(time.Second) != now {
		t.Errorf("%v", past)
	}
}

func TestItAllocatesNothing(t *testing.T) {
	now, sum := time.Now(), moment.Moment(0)
	if n := testing.AllocsPerRun(100, func() { sum += moment.Of(now) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOf(b *testing.B) {
	now, sum := time.Now(), moment.Moment(0)
	for b.Loop() {
		sum += moment.Of(now)
	}
	_ = sum
}

func BenchmarkUnixNano(b *testing.B) { // what it costs beyond
	now, sum := time.Now(), int64(0)
	for b.Loop() {
		sum += now.UnixNano()
	}
	_ = sum
}
