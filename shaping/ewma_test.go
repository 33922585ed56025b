package shaping

import (
	"math"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
)

func TestLatency(t *testing.T) {
	var l Latency
	now := moment.Of(time.Unix(1000, 0))
	if l.Cost(0, now) != 0 || l.Cost(1, now) < float64(time.Second) {
		t.Error("one that nobody knows is given more than a call")
	}
	l.Note(10*time.Millisecond, now)
	l.Note(time.Second, now) // a slow one counts at once
	if got := l.Cost(0, now); got != float64(time.Second) {
		t.Errorf("after a slow answer: %v", time.Duration(got))
	}
	if l.Cost(3, now) != 4*l.Cost(0, now) {
		t.Error("calls in flight do not count")
	}
	now = now.Add(forgetIn)
	if got := time.Duration(l.Cost(0, now)); got < 300*time.Millisecond || got > 400*time.Millisecond {
		t.Errorf("after a while without answers: %v", got)
	}
	l.Note(10*time.Millisecond, now) // a fast one only by and by
	if got := time.Duration(l.Cost(0, now)); got < 300*time.Millisecond || got > 400*time.Millisecond {
		t.Errorf("after a fast answer: %v", got)
	}
	for range 100 {
		now = now.Add(time.Second)
		l.Note(10*time.Millisecond, now)
	}
	if got := time.Duration(l.Cost(0, now)); got > 11*time.Millisecond {
		t.Errorf("after many: %v", got)
	}
	l.Note(0, now.Add(-time.Hour)) // a clock that was put back
	if got := l.Cost(0, now); got < 0 || got > float64(time.Second) {
		t.Errorf("%v", got)
	}
}

func TestDecay(t *testing.T) {
	for x := 1e-9; x < 100; x *= 1.1 {
		if got, want := decay(x), math.Exp(-x); math.Abs(got-want) > 2e-10 {
			t.Errorf("of %g: %g, want %g", x, got, want)
		}
	}
}
