package forecast_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

// worlds runs a test with functions, each of which has what the test says.
func worlds(t *testing.T, functions map[string]config.ColdStart, most int, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := create(time.Second, configuration(functions, most))
		test(t, w)
		w.end()
		time.Sleep(100 * 24 * time.Hour) // what is still set finds nothing to do
	})
}

func configuration(functions map[string]config.ColdStart, most int) *config.Config {
	cfg := &config.Config{Functions: map[string]*config.Function{}, ColdStart: config.ColdStartLimits{MaxPrewarmed: most}}
	for name, c := range functions {
		c.Scaler, c.MaxScale, c.StartTimeout = "platform", 1, time.Minute
		if c.IdleAfter == 0 {
			c.IdleAfter = 5 * time.Minute
		}
		if c.PredictRange == 0 {
			c.PredictRange = 4 * time.Hour
		}
		cfg.Functions[name] = &config.Function{Name: name, ColdStart: c}
	}
	return cfg
}

var habitual = config.ColdStart{Predict: "histogram"}

// Whoever calls every half hour finds the function cold ten times and warm from
// then on, and it is down most of the time.
func TestAPeriodicCaller(t *testing.T) {
	worlds(t, map[string]config.ColdStart{"f": habitual}, 16, func(t *testing.T, w *world) {
		for i := range 40 {
			cold := w.call("f", time.Second)
			if want := i <= 10; cold != want { // 10 gaps are 11 calls
				t.Errorf("call %d: cold %v", i, cold)
			}
			time.Sleep(15 * time.Minute)
			synctest.Wait()
			if state := w.state("f"); state != "cold" {
				t.Errorf("a quarter of an hour after call %d it is %s", i, state)
			}
			if at, kind, ok := w.forecast.Expected("f"); ok != (i >= 10) || ok && (kind != "predict" || time.Until(at) > 15*time.Minute || time.Until(at) < 10*time.Minute) {
				t.Errorf("after call %d the next is expected: %v in %v, %s", i, ok, time.Until(at), kind)
			}
			time.Sleep(15 * time.Minute)
		}
		if w.tell().hits != 29 || w.tell().misses != 0 {
			t.Errorf("%d starts ahead of a call were for somebody, %d for nobody; want 29 and 0", w.tell().hits, w.tell().misses)
		}
		if idle := w.actors["f"].idle(0); idle > 29*5*time.Minute+11*6*time.Minute {
			t.Errorf("it was up for %v", idle)
		}
	})
}

// Who has learned a habit that is no more finds it out, pays no more for it, and
// notices when it is back.
func TestTheOffSwitch(t *testing.T) {
	worlds(t, map[string]config.ColdStart{"f": habitual}, 16, func(t *testing.T, w *world) {
		every := func(n int, d time.Duration) {
			for range n {
				w.call("f", time.Second)
				time.Sleep(d)
			}
		}
		every(500, 30*time.Minute) // so that it takes long to forget
		hits := w.tell().hits
		every(60, 5*time.Hour) // beyond what is looked at: every prediction is wrong
		misses := w.tell().misses
		if misses < 35 || misses > 50 {
			t.Errorf("%d predictions were wrong before it was noticed, want 36 at the earliest, 50 at the latest", misses)
		}
		every(20, 5*time.Hour)
		if w.tell().misses != misses {
			t.Errorf("%d more, after it was noticed", w.tell().misses-misses)
		}
		every(80, 30*time.Minute)
		if w.tell().hits < hits+20 {
			t.Errorf("the habit is back, and only %d times it was acted on", w.tell().hits-hits)
		}
	})
}

// However many are expected at once, only so many instances are up for them.
func TestTheBudget(t *testing.T) {
	functions := map[string]config.ColdStart{}
	for i := range 10 {
		functions[fmt.Sprint(i)] = habitual
	}
	worlds(t, functions, 3, func(t *testing.T, w *world) {
		for range 14 {
			for name := range functions {
				go w.call(name, time.Second)
			}
			time.Sleep(29 * time.Minute)
			synctest.Wait()
			up := 0
			for name := range functions {
				if w.state(name) != "cold" {
					up++
				}
			}
			if up > 3 {
				t.Errorf("%d are up on predictions, want 3 at most", up)
			}
			time.Sleep(time.Minute)
		}
		if w.tell().hits != 3*3 {
			t.Errorf("%d starts ahead of a call, want 3 on each of 3 occasions", w.tell().hits)
		}
		w.forecast.Configure(configuration(functions, 0))
		for range 3 {
			for name := range functions {
				go w.call(name, time.Second)
			}
			time.Sleep(30 * time.Minute)
		}
		if w.tell().hits != 3*3+3 { // those that stood already
			t.Errorf("%d starts ahead of a call: some while there may be none", w.tell().hits)
		}
	})
}

func TestADeclaredChain(t *testing.T) {
	worlds(t, map[string]config.ColdStart{
		"a": {Chain: []string{"b"}}, "b": {Chain: []string{"c"}}, "c": {Chain: []string{"a"}}, "d": {},
	}, 16, func(t *testing.T, w *world) {
		began := time.Now()
		if !w.call("a", 100*time.Millisecond) {
			t.Error("a is warm before anybody has called")
		}
		if w.call("b", 100*time.Millisecond) || w.call("c", 100*time.Millisecond) {
			t.Error("what a calls is cold")
		}
		if took := time.Since(began); took > time.Second+300*time.Millisecond {
			t.Errorf("three starts of 1 s took %v, one after the other", took)
		}
		if w.tell().started["chain"] != 2 || w.state("d") != "cold" {
			t.Errorf("started by chain: %d; d is %s", w.tell().started["chain"], w.state("d"))
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for name := range w.actors {
			if state := w.state(name); state != "cold" {
				t.Errorf("%s is %s, and nobody has called for long", name, state)
			}
		}
		if w.tell().misses > 0 {
			t.Errorf("%d for nobody", w.tell().misses)
		}
	})
}

// A visit has one begin and many calls: what it needs stays up meanwhile, and
// no longer.
func TestAChainLastsAsLongAsTheVisit(t *testing.T) {
	worlds(t, map[string]config.ColdStart{"a": {Chain: []string{"b"}}, "b": {IdleAfter: 10 * time.Second}}, 16, func(t *testing.T, w *world) {
		for i := range 600 {
			w.call("a", 100*time.Millisecond)
			if i == 599 && w.call("b", time.Millisecond) {
				t.Error("b is cold in the middle of the visit")
			}
			time.Sleep(time.Second)
		}
		time.Sleep(50 * time.Second)
		synctest.Wait()
		if state := w.state("b"); state != "cold" {
			t.Errorf("b is %s after the visit", state)
		}
	})
}

func TestALearnedChain(t *testing.T) {
	worlds(t, map[string]config.ColdStart{"a": {}, "b": habitual, "c": {}}, 16, func(t *testing.T, w *world) {
		spell := []time.Duration{17 * time.Minute, 3 * time.Hour, time.Hour, 40 * time.Minute, 5 * time.Hour} // nothing that a histogram likes
		cold := func(i int) (b, c bool) {
			w.call("a", 100*time.Millisecond)
			b, c = w.call("b", 100*time.Millisecond), w.call("c", 100*time.Millisecond)
			time.Sleep(spell[i%len(spell)] + time.Duration(i*i%97)*time.Minute)
			return b, c
		}
		for i := range 20 {
			cold(i)
		}
		for i := range 10 {
			if b, c := cold(20 + i); b || !c { // c may not be predicted
				t.Errorf("call %d: b is cold: %v, and c: %v", i, b, c)
			}
		}
	})
}

func TestASchedule(t *testing.T) {
	office := config.Schedule{Cron: "0 8 * * *", Duration: 10 * time.Hour, Timezone: "UTC", Instances: 1}
	worlds(t, map[string]config.ColdStart{"f": {Schedule: []config.Schedule{office}}}, 0, func(t *testing.T, w *world) {
		// A bubble begins on 2000-01-01 at midnight UTC.
		at := func(hour int, want string) {
			t.Helper()
			day := time.Now().UTC().Truncate(24 * time.Hour)
			time.Sleep(time.Until(day.Add(time.Duration(hour)*time.Hour + 10*time.Second)))
			synctest.Wait()
			if got := w.state("f"); got != want {
				t.Errorf("at %d h it is %s, want %s", hour, got, want)
			}
		}
		if when, kind, ok := w.forecast.Expected("f"); !ok || kind != "schedule" || when.UTC().Hour() != 8 {
			t.Errorf("expected: %v %s %v", when, kind, ok)
		}
		at(7, "cold")
		at(8, "warm")
		at(17, "warm")
		at(18, "cold")
		if w.tell().misses != 1 || w.tell().wasted < 10*time.Hour-time.Second || w.tell().wasted > 10*time.Hour+time.Second {
			t.Errorf("nobody came %d times, for which an instance stood %v", w.tell().misses, w.tell().wasted)
		}
		at(24+12, "warm")
		w.call("f", time.Second)
		w.forecast.Configure(configuration(map[string]config.ColdStart{"f": {}}, 0)) // the window is taken back
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if got := w.state("f"); got != "warm" {
			t.Errorf("it is %s: idle_after holds", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := w.state("f"); got != "cold" {
			t.Errorf("it is %s: there is no window any more", got)
		}
	})
}

// What the operator takes back is taken back, and what was learned with it.
func TestPredictTurnedOff(t *testing.T) {
	worlds(t, map[string]config.ColdStart{"f": habitual}, 16, func(t *testing.T, w *world) {
		for range 15 {
			w.call("f", time.Second)
			time.Sleep(30 * time.Minute)
		}
		hits := w.tell().hits
		w.forecast.Configure(configuration(map[string]config.ColdStart{"f": {}}, 16))
		time.Sleep(time.Hour)
		for range 5 {
			if !w.call("f", time.Second) {
				t.Error("it is warm")
			}
			time.Sleep(4 * time.Minute)
			synctest.Wait()
			if state := w.state("f"); state != "warm" {
				t.Errorf("it is %s before idle_after is over", state)
			}
			time.Sleep(26 * time.Minute)
		}
		if w.tell().hits > hits+1 {
			t.Errorf("%d more starts ahead of a call", w.tell().hits-hits)
		}
		if _, _, ok := w.forecast.Expected("f"); ok {
			t.Error("something is expected")
		}
		w.forecast.Configure(&config.Config{}) // and it is gone
		w.call("f", time.Second)
	})
}

// While nobody waits for a start, four are on their way at once (C34); the
// others follow, and a caller goes before them.
func TestManyWindowsAtOnce(t *testing.T) {
	functions := map[string]config.ColdStart{"called": {}}
	for i := range 20 {
		functions[fmt.Sprint(i)] = config.ColdStart{Schedule: []config.Schedule{{Cron: "0 8 * * *", Duration: time.Hour, Timezone: "UTC", Instances: 1}}}
	}
	worlds(t, functions, 0, func(t *testing.T, w *world) {
		time.Sleep(8*time.Hour + 500*time.Millisecond)
		go w.call("called", time.Second)
		synctest.Wait()
		var most []int
		for range 7 {
			n := 0
			for _, a := range w.actors {
				a.mu.Lock()
				if a.running && !a.ready && a.fn.Name != "called" {
					n++
				}
				a.mu.Unlock()
			}
			most = append(most, n)
			if w.state("called") == "cold" {
				t.Error("who is called waits for windows")
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if slices.Max(most) != 4 || w.tell().started["schedule"] != 20 {
			t.Errorf("on their way, every second: %v; %d have started", most, w.tell().started["schedule"])
		}
	})
}
