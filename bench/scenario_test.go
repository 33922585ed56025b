package bench

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestScenariosAreStrict(t *testing.T) {
	for _, name := range Scenarios() {
		s, err := ReadScenario(name)
		if err != nil {
			t.Error(err)
		} else if s.About == "" || reflect.DeepEqual(s.Thresholds, Thresholds{}) {
			t.Errorf("%s does not say what it is about, or what may come of it", name)
		}
	}
	const good = "endpoints: [{ name: a }]\n"
	for _, c := range []struct{ doc, says string }{
		{good + "thresholds: { p98: 1s }\n", `unknown field "p98"`},
		{good + "load: { duration: fast }\n", "fast"},
		{good + "load: { connections: many }\n", "[2:"},
		{good + good, "already defined"},
		{good + "events: [{ at: 1s, kill: b }]\n", "events[0]"},
		{good + "events: [{ at: 1s, drain: a }]\n", "events[0]"},
		{good + "thresholds: { shares: [{ region: b, from: 1s, to: 2s }] }\n", "shares[0]"},
		{"endpoints: [{ name: a, region: b }]\nthresholds: { shares: [{ region: b, from: 1500ms, to: 2s }] }\n", "whole seconds"},
		{good + "events: [{ at: 2s, kill: a }, { at: 1s, back: a }]\n", "events[1]"},
		{good + "cold: { functions: 1, calls: 1 }\n", "either"},
		{"endpoints: [{ name: a }, { name: a }]\n", "endpoints[1]"},
		{"endpoints: [{ name: a, bad_percent: 101 }]\n", "percentage"},
		{"load: { rate: \"1\" }\n", "either"},
		{"cold: { functions: 0, calls: 1 }\n", "cold"},
		{"cold: { functions: 1, calls: 1, cycles: -1 }\n", "cycles"},
		{good + "knee: { from: 2, to: 1, p99: 1s }\n", "knee"},
		{"", ""},
	} {
		if _, err := ParseScenario("one", []byte(c.doc)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want %q", c.doc, err, c.says)
		}
	}
	if _, err := ReadScenario("stedy"); err == nil || !strings.Contains(err.Error(), "steady") {
		t.Errorf("a slip: %v", err)
	}
}

func play(t *testing.T, doc string) (*Report, []string) {
	t.Helper()
	s, err := ParseScenario("one", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	r, broken, err := s.Play(t.Context(), weir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, broken
}

// An endpoint dies and comes back under load; weir is the real one.
func TestAScenarioIsPlayed(t *testing.T) {
	r, broken := play(t, `
endpoints: [{ name: a }, { name: b }]
load: { rate: "100", connections: 8, duration: 2s, share_by: x-region, timeout: 30s }
events: [{ at: 500ms, kill: a }, { at: 1s, back: a }]
thresholds: { failed_percent: 50 }
`)
	shares := map[string]int64{}
	for _, s := range r.Seconds {
		for name, n := range s.Shares {
			shares[name] += n
		}
	}
	if len(broken) != 0 || r.Calls != 200 || shares["a"] == 0 || shares["b"] == 0 {
		t.Errorf("broken %v, %d calls, shares %v", broken, r.Calls, shares)
	}
}

// Each threshold can be broken.
func TestThresholds(t *testing.T) {
	zero, none := 0.0, int64(0)
	st := &story{Scenario: &Scenario{
		Endpoints: []EndpointPlan{{Name: "a", Region: "r"}},
		Thresholds: Thresholds{FailedPercent: &zero, P50: 1, P99: 1, P999: 1, Garbage: &none, Starts: &none, Knee: 1,
			MemoryGrowthPercent: &zero, GoroutineGrowth: &zero, Rejoins: true, Shares: []ShareOf{{Region: "r", To: time.Second, Percent: 100}}},
	}}
	long := Digest{P50: time.Second, P99: time.Second, P999: time.Second}
	bad := &Report{Calls: 2, Failed: 1, Corrected: long, Outcomes: map[string]int64{"garbage": 1}, Starts: 1, MemoryGrowth: 1, GoroutineGrowth: 1, Took: time.Second, Seconds: []Second{{}}}
	if broken := st.judge(bad); len(broken) != 11 {
		t.Errorf("%d broken: %q", len(broken), broken)
	}
	good := &Report{Calls: 2, Knee: 1, Took: time.Second, Seconds: []Second{{Shares: map[string]int64{"a": 1}}}}
	if broken := st.judge(good); len(broken) != 0 {
		t.Errorf("broken though all is well: %q", broken)
	}
}

func TestColdStartsArePlayed(t *testing.T) {
	r, broken := play(t, `
cold: { functions: 2, boot: 20ms, calls: 5 }
thresholds: { failed_percent: 0, starts: 2 }
`)
	if len(broken) != 0 || r.Calls != 10 || r.Starts != 2 || len(r.Phases) == 0 || r.Corrected.P50 < 20*time.Millisecond {
		t.Errorf("broken %v, %d calls, %d starts, phases %v, p50 %s", broken, r.Calls, r.Starts, r.Phases, r.Corrected.P50)
	}
}

// One function, over and over: it goes back to zero in between.
func TestCyclesAreColdStarts(t *testing.T) {
	r, broken := play(t, `
cold: { functions: 1, cycles: 3, boot: 20ms, calls: 2 }
thresholds: { failed_percent: 0, starts: 3 }
`)
	if len(broken) != 0 || r.Calls != 6 || r.Starts != 3 || r.Corrected.P50 < 20*time.Millisecond {
		t.Errorf("broken %v, %d calls, %d starts, p50 %s", broken, r.Calls, r.Starts, r.Corrected.P50)
	}
}

func TestTheKneeIsFound(t *testing.T) {
	r, _ := play(t, `
endpoints: [{ name: a }]
load: { connections: 8, duration: 300ms, timeout: 30s }
knee: { from: 50, to: 100, p99: 30s }
thresholds: { knee: 100 }
`)
	if r.Knee != 100 || len(r.Notes) < 3 {
		t.Errorf("knee at %g: %q", r.Knee, r.Notes)
	}
}
