package moment_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/internal/testkit"
)

func TestNanos(t *testing.T) {
	now := time.Now()
	if got := moment.Time(moment.Nanos(now)); !got.Equal(now) || got.Sub(now) != 0 {
		t.Errorf("%v has become %v", now, got)
	}
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 10 * 365 * 24 * time.Hour} {
		later := testkit.Jumped(now.Add(time.Second), jump)
		if wall := time.Duration(later.UnixNano() - now.UnixNano()); wall != jump+time.Second {
			t.Fatalf("the wall clock says %v", wall)
		}
		if passed := moment.Nanos(later) - moment.Nanos(now); passed != int64(time.Second) {
			t.Errorf("a clock that was set by %v makes %v of a second", jump, time.Duration(passed))
		}
		if got := later.Sub(moment.Time(moment.Nanos(now))); got != time.Second {
			t.Errorf("and %v", got)
		}
	}
	old := time.Unix(1000, 5) // of no clock
	if n := moment.Nanos(old); n != old.UnixNano() || !moment.Time(n).Equal(old) {
		t.Errorf("%v has become %d", old, n)
	}
	synctest.Test(t, func(t *testing.T) {
		n := moment.Nanos(time.Now())
		time.Sleep(time.Minute)
		if passed := time.Since(moment.Time(n)); passed != time.Minute {
			t.Errorf("a minute is %v", passed)
		}
	})
}

func TestItAllocatesNothing(t *testing.T) {
	now, sum := time.Now(), int64(0)
	if n := testing.AllocsPerRun(100, func() { sum += moment.Nanos(now) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNanos(b *testing.B) {
	now, sum := time.Now(), int64(0)
	for b.Loop() {
		sum += moment.Nanos(now)
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
