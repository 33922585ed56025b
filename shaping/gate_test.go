package shaping

import (
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
)

// The gap is from the last byte of the last call, and there is none while
// somebody is inside.
func TestGateTellsTheGap(t *testing.T) {
	var g Gate
	at := moment.Of(time.Unix(1000, 0))
	if gap := g.Enter(at); gap != Never {
		t.Errorf("before the first of all: %v", gap)
	}
	if gap := g.Enter(at.Add(time.Second)); gap != 0 {
		t.Errorf("while one is inside: %v", gap)
	}
	g.Leave(at.Add(2 * time.Second))
	if gap := g.Enter(at.Add(time.Minute)); gap != 0 {
		t.Errorf("while the first is still inside: %v", gap)
	}
	g.Leave(at.Add(time.Minute))
	g.Leave(at.Add(2 * time.Minute))
	if gap := g.Enter(at.Add(5 * time.Minute)); gap != 3*time.Minute {
		t.Errorf("%v, want 3m", gap)
	}
	g.Leave(at.Add(6 * time.Minute))
	if gap := g.Enter(at.Add(5 * time.Minute)); gap != 0 {
		t.Errorf("by a clock that was put back: %v", gap)
	}
	g.Leave(at)
	if n, last := g.Inside(); n != 0 || moment.Of(last) != at {
		t.Errorf("%d inside, the last left at %v", n, last)
	}
}

func BenchmarkGate(b *testing.B) {
	var g Gate
	now := moment.Now()
	b.ReportAllocs()
	for b.Loop() {
		g.Enter(now)
		g.Leave(now)
	}
}
