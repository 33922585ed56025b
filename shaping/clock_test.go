package shaping

import (
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/internal/testkit"
)

// Whoever sets the wall clock changes nothing: what was to be over in a second
// is, and what has just happened has.
func TestClockIsSet(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		began := moment.Now()
		after := func(d time.Duration) moment.Moment { return moment.Of(testkit.Jumped(began.Add(d).Time(), jump)) }

		var o Outlier
		o.Failed(began)
		if !o.Ejected(after(firstEjection/2)) || o.Ejected(after(firstEjection+time.Millisecond)) {
			t.Errorf("clock set by %v: an endpoint is set aside for another time", jump)
		}
		rules := &config.OutlierDetection{BaseEjectionTime: 10 * time.Second, MaxEjectionTime: time.Minute}
		o.Eject(rules, began)
		if !o.EjectedByRule(after(9*time.Second)) || o.EjectedByRule(after(11*time.Second)) {
			t.Errorf("clock set by %v: an endpoint is ejected for another time", jump)
		}

		var g Gate
		g.Enter(began)
		g.Leave(began)
		if _, last := g.Inside(); after(3*time.Second).Sub(moment.Of(last)) != 3*time.Second {
			t.Errorf("clock set by %v: the last call left %v before", jump, after(3*time.Second).Sub(moment.Of(last)))
		}
		if gap := g.Enter(after(3 * time.Second)); gap != 3*time.Second {
			t.Errorf("clock set by %v: nobody was inside for %v", jump, gap)
		}

		var l Latency
		l.Note(time.Second, began)
		if cost, want := l.Cost(0, after(5*time.Second)), l.Cost(0, began.Add(5*time.Second)); cost != want {
			t.Errorf("clock set by %v: a call costs %v, want %v", jump, cost, want)
		}

		var w window
		w.count(began)
		if sum := w.sum(after(time.Second)); sum != 1 {
			t.Errorf("clock set by %v: %d counted", jump, sum)
		}
		w.count(after(time.Second))
		if sum := w.sum(after(20 * time.Second)); sum != 0 {
			t.Errorf("clock set by %v: %d are not forgotten", jump, sum)
		}
	}
}
