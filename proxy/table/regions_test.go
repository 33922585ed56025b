package table

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/internal/moment"
)

// in makes n endpoints of a region.
func in(region string, n int) (all []discovery.Endpoint) {
	for i := range n {
		all = append(all, discovery.Endpoint{ID: fmt.Sprint(region, i), Addr: fmt.Sprint(region, i, ":1"), Region: region, Weight: 1})
	}
	return all
}

// ail has the health checks of the first n endpoints of a region fail, or of none.
func (k *keeping) ail(function, region string, n int) {
	fn := k.function(function)
	for _, ep := range fn.Set().Endpoints {
		if rest, ok := strings.CutPrefix(ep.ID, region); ok {
			i := 0
			_, _ = fmt.Sscan(rest, &i)
			ep.unhealthy.Store(i < n)
		}
	}
	fn.Shaken()
	synctest.Wait()
}

// shares are those that stand, in percent, and the panic: "a 80.00 b 20.00".
func (k *keeping) shares(function string) string {
	var words []string
	split := k.function(function).Set().Split
	for _, r := range split.Regions {
		words = append(words, fmt.Sprintf("%s %.2f", r.Name, 100*r.Share))
	}
	if split.Panic {
		words = append(words, "panic")
	}
	return strings.Join(words, " ")
}

const twoRegions = "regions: { a: { weight: 80 }, b: { weight: 20 } }\n"

// The rows of the table in the design, through the set that calls see.
func TestRows(t *testing.T) {
	f := func(row, doc string, endpoints []discovery.Endpoint, ill map[string]int, want string) {
		t.Helper()
		if !strings.Contains(doc, "functions") {
			doc += "functions: { f: {} }\n"
		}
		keep(t, doc, func(t *testing.T, k *keeping) {
			k.source.say("f", endpoints...)
			for region, n := range ill {
				k.ail("f", region, n)
			}
			if got := k.shares("f"); got != want {
				t.Errorf("row %s: %s, want %s", row, got, want)
			}
		})
	}
	both := slices.Concat(in("a", 4), in("b", 4))
	f("1", twoRegions, both, nil, "a 80.00 b 20.00")
	f("2", "regions: { a: { weight: 50 }, b: { weight: 50 } }\n", slices.Concat(in("a", 2), in("b", 8)), nil, "a 50.00 b 50.00")
	f("2, nothing configured", "", slices.Concat(in("a", 2), in("b", 8)), nil, "a 50.00 b 50.00")
	f("4a", "regions: { a: { weight: 80, drain: true }, b: { weight: 20 } }\n", both, nil, "a 0.00 b 100.00")
	f("6", "regions: { a: { weight: 100 }, b: { weight: 0 } }\nfailover: { panic_threshold: 0 }\n", both, map[string]int{"a": 4}, "a 0.00 b 0.00")
	f("6, panic", "regions: { a: { weight: 100 }, b: { weight: 0 } }\n", both, map[string]int{"a": 4}, "a 100.00 b 0.00 panic")
	f("7a", twoRegions, both, map[string]int{"a": 4}, "a 0.00 b 100.00")
	f("8a", twoRegions, both, map[string]int{"a": 1}, "a 80.00 b 20.00")
	f("8b", twoRegions, both, map[string]int{"a": 2}, "a 73.68 b 26.32")
	f("14b", "regions: { a: { weight: 60 }, b: { weight: 40 } }\n", slices.Concat(in("a", 6), in("b", 4)), map[string]int{"a": 6}, "a 0.00 b 100.00")
	f("18a", twoRegions, in("a", 4), nil, "a 100.00 b 0.00")
	standby := "regions: { a: {}, b: { priority: 1 } }\n"
	f("9", standby, slices.Concat(in("a", 25), in("b", 4)), map[string]int{"a": 7}, "a 100.00 b 0.00")
	f("9", standby, slices.Concat(in("a", 4), in("b", 4)), map[string]int{"a": 2}, "a 70.00 b 30.00")
	f("override", "regions: { a: {}, b: {} }\nfunctions: { f: { regions: { a: { weight: 3 } } } }\n", both, nil, "a 75.00 b 25.00")
	f("a tenth still gets a third", twoRegions, slices.Concat(in("a", 10), in("b", 10)), map[string]int{"a": 9}, "a 35.90 b 64.10")
	f("all ill", twoRegions, both, map[string]int{"a": 4, "b": 4}, "a 80.00 b 20.00 panic")
}

// An endpoint that is set aside counts as ill for as long as it is, and nobody has
// to say when that is over.
func TestEjectionMovesShares(t *testing.T) {
	keep(t, twoRegions+"functions: { f: {} }\n", func(t *testing.T, k *keeping) {
		k.source.say("f", slices.Concat(in("a", 2), in("b", 2))...)
		fn := k.function("f")
		broken := fn.Set().Endpoints[0]
		began := time.Now()
		fn.Broke(broken, moment.Of(began)) // for a second
		synctest.Wait()
		if got, want := k.shares("f"), "a 73.68 b 26.32"; got != want {
			t.Fatalf("set aside: %s, want %s", got, want)
		}
		time.Sleep(time.Until(broken.Outlier.Until(moment.Of(began))) - 1)
		synctest.Wait()
		if got, want := k.shares("f"), "a 73.68 b 26.32"; got != want {
			t.Fatalf("a moment before: %s, want %s", got, want)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got, want := k.shares("f"), "a 80.00 b 20.00"; got != want {
			t.Fatalf("after: %s, want %s", got, want)
		}
		fn.Broke(broken, moment.Now())
		synctest.Wait()
		if broken.Outlier.Fared() {
			fn.Shaken()
		}
		synctest.Wait()
		if got, want := k.shares("f"), "a 80.00 b 20.00"; got != want {
			t.Fatalf("it answered: %s, want %s", got, want)
		}
	})
}

// Row 16: a region that was down waits, and has its share by and by. While it
// waits it begins anew if it goes down; and it does not wait if the others need it.
func TestFailback(t *testing.T) {
	doc := twoRegions + "failover: { slow_start: { window: 60s }, failback_delay: 10s }\nfunctions: { f: {} }\n"
	keep(t, doc, func(t *testing.T, k *keeping) {
		stands := func(when, want string) {
			t.Helper()
			if got := k.shares("f"); got != want {
				t.Errorf("%s: %s, want %s", when, got, want)
			}
		}
		after := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		state := func(want string) {
			t.Helper()
			if got := k.function("f").Set().Split.Regions[1].State; got != want {
				t.Errorf("b is %s, want %s", got, want)
			}
		}
		k.source.say("f", slices.Concat(in("a", 4), in("b", 4))...)
		stands("at the start there is no ramp", "a 80.00 b 20.00")
		k.ail("f", "b", 4)
		stands("b is down", "a 100.00 b 0.00")
		state(Down)
		k.ail("f", "b", 0)
		stands("b is back, and waits", "a 100.00 b 0.00")
		state(Waiting)
		after(9 * time.Second)
		k.ail("f", "b", 4)
		k.ail("f", "b", 1)
		after(10*time.Second - 1)
		stands("it went down meanwhile", "a 100.00 b 0.00")
		after(1)
		k.ail("f", "b", 0)
		stands("it begins with a tenth", "a 97.56 b 2.44")
		state(Returning)
		after(15 * time.Second)
		stands("15 of 60 s", "a 94.12 b 5.88")
		after(45 * time.Second)
		stands("60 s", "a 80.00 b 20.00")
		state(Active)

		k.ail("f", "b", 4)
		k.ail("f", "a", 1)
		k.ail("f", "b", 0)
		stands("a can do with three quarters", "a 100.00 b 0.00")
		k.ail("f", "a", 2)
		stands("a cannot do with half: b does not wait", "a 96.55 b 3.45")
		k.ail("f", "a", 4)
		stands("the only one left has no ramp", "a 0.00 b 100.00")
		state(Active)
	})
}

// An operator's word holds at once: what is let in again has no delay, but a ramp.
func TestDrain(t *testing.T) {
	doc := func(a, b string) string {
		return fmt.Sprintf("regions: { a: { weight: 80, %s }, b: { %s } }\nfunctions: { f: {} }\n", a, b)
	}
	keep(t, doc("drain: false", "weight: 20"), func(t *testing.T, k *keeping) {
		k.source.say("f", slices.Concat(in("a", 4), in("b", 4))...)
		link := k.function("f").Set().Endpoints[0].Link
		k.propose(t, doc("drain: true", "weight: 20"))
		set := k.function("f").Set()
		if got, want := k.shares("f"), "a 0.00 b 100.00"; got != want || len(set.Callable()) != 4 || len(set.Endpoints) != 8 {
			t.Errorf("a is drained: %s, want %s; %d of %d may be called", got, want, len(set.Callable()), len(set.Endpoints))
		}
		if set.Endpoints[0].Link != link || !set.Split.Keeps(set.Endpoints[0]) || !set.Split.Keeps(set.Endpoints[7]) {
			t.Error("clients with a cookie lose their endpoint")
		}
		time.Sleep(time.Minute)
		k.propose(t, doc("drain: false", "weight: 20"))
		if got, want := k.shares("f"), "a 28.57 b 71.43"; got != want {
			t.Errorf("a is back: %s, want %s", got, want)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, want := k.shares("f"), "a 80.00 b 20.00"; got != want {
			t.Errorf("a minute later: %s, want %s", got, want)
		}
		cfg := parse(t, doc("drain: true", "weight: 20"))
		cfg.Regions["b"] = config.Region{} // as an override may say
		k.Propose(cfg)
		synctest.Wait()
		if set := k.function("f").Set(); set.Split.Void != Drained || set.Split.Keeps(set.Endpoints[7]) {
			t.Errorf("one is drained, one has weight 0: %v", set.Split.Void)
		}
		k.propose(t, "functions: { f: {} }\n")
		if k.function("f").Set().Split == nil {
			t.Error("endpoints in two regions are one")
		}
		k.source.say("f", in("a", 4)...)
		if k.function("f").Set().Split != nil || len(k.due) > 0 {
			t.Error("endpoints in one region, of which nothing is said, are divided")
		}
	})
}

// What is disabled is as if it were not there: nobody asks how its endpoints are, no
// cookie leads there, no connection waits. It comes back as a new one does.
func TestDisable(t *testing.T) {
	doc := func(a string) string {
		return "failover: { failback_delay: 10m }\nregions: { a: { weight: 80, " + a + " }, b: { weight: 20 } }\n" +
			"functions: { f: { health_check: { interval: 1s, healthy_threshold: 1, unhealthy_threshold: 1 } } }\n"
	}
	keep(t, doc("drain: false"), func(t *testing.T, k *keeping) {
		stands := func(when, want, state string) {
			t.Helper()
			set := k.function("f").Set()
			if got := k.shares("f"); got != want || set.Split.Regions[0].State != state {
				t.Errorf("%s: %s, a is %s, want %s, %s", when, got, set.Split.Regions[0].State, want, state)
			}
		}
		asked := func(region string) (n int) {
			for _, ep := range in(region, 4) {
				tr := k.transports[ep.Addr]
				tr.mu.Lock()
				n += tr.checks
				tr.mu.Unlock()
			}
			return n
		}
		k.source.say("f", slices.Concat(in("a", 4), in("b", 4))...)
		for _, tr := range k.transports {
			tr.mu.Lock()
			tr.listens = true
			tr.mu.Unlock()
		}
		time.Sleep(10 * time.Second)
		stands("at first", "a 80.00 b 20.00", Active)
		link := k.function("f").Set().Endpoints[0].Link
		if asked("a") < 20 || asked("b") < 20 {
			t.Fatalf("%d and %d health checks", asked("a"), asked("b"))
		}
		k.propose(t, doc("disabled: true"))
		set := k.function("f").Set()
		stands("disabled", "a 0.00 b 100.00", RegionDisabled)
		if set.Split.Keeps(set.Endpoints[0]) || !set.Split.Keeps(set.Endpoints[7]) || set.Split.Regions[0].Healthy != 0 || len(set.Callable()) != 4 {
			t.Errorf("it is there: %+v", set.Split.Regions[0])
		}
		if got := set.StateOf(set.Endpoints[0], time.Now()) + " " + set.StateOf(set.Endpoints[7], time.Now()); got != "disabled healthy" {
			t.Errorf("the endpoints are %s", got)
		}
		for _, ep := range in("a", 4) {
			if k.transports[ep.Addr].closed == 0 {
				t.Errorf("%s has idle connections", ep.ID)
			}
		}
		a, b := asked("a"), asked("b")
		time.Sleep(time.Minute)
		if asked("a") != a || asked("b") < b+200 {
			t.Errorf("health checks in a minute: %d of a, %d of b", asked("a")-a, asked("b")-b)
		}
		k.propose(t, doc("drain: true, disabled: true"))
		stands("disabled goes before drain", "a 0.00 b 100.00", RegionDisabled)
		k.propose(t, doc("drain: true"))
		stands("only drained", "a 0.00 b 100.00", RegionDrained)
		time.Sleep(time.Minute)
		if asked("a") < a+200 {
			t.Errorf("drained, %d health checks in a minute", asked("a")-a)
		}
		k.propose(t, doc("disabled: true"))
		k.propose(t, doc("drain: false"))
		stands("enabled: without failback_delay", "a 28.57 b 71.43", Returning)
		if k.function("f").Set().Endpoints[0].Link != link {
			t.Error("its calls under way are not counted any more")
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		stands("a minute later", "a 80.00 b 20.00", Active)
		cfg := parse(t, doc("disabled: true"))
		cfg.Regions["b"] = config.Region{Weight: 20, Drain: true} // as an override may say
		k.Propose(cfg)
		synctest.Wait()
		if set := k.function("f").Set(); set.Split.Void != Drained {
			t.Errorf("one is disabled, one drained: %v", set.Split.Void)
		}
	})
}

// A change of regions over the files leaves the endpoints of functions as they are,
// and what follows is what would if they were all told anew.
func TestSteeredByLayers(t *testing.T) {
	doc := "geography: { header: x-place }\nregions: { a: { weight: 80, location: [50, 8] }, b: { weight: 20, location: [40, -74] } }\nfailover: { failback_delay: 2s, slow_start: { window: 5s } }\nfunctions:\n" +
		"  f: {}\n  own: { regions: { a: { weight: 1 }, b: { weight: 3 } } }\n  elsewhere: {}\n  nowhere: {}\n  near: { load_balancing: { regions: nearest } }\n"
	path := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(path, []byte("listeners: [{ address: '127.0.0.1:1' }]\n"+doc), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := config.ReadFiles(path)
	if err != nil {
		t.Fatal(err)
	}
	endpoints := map[string][]discovery.Endpoint{
		"f": slices.Concat(in("a", 4), in("b", 2), in("c", 1)), "own": slices.Concat(in("a", 2), in("b", 2)),
		"elsewhere": in("c", 2), "nowhere": nil, "near": slices.Concat(in("a", 1), in("b", 1)),
	}
	keep(t, doc, func(t *testing.T, k *keeping) {
		look := func() (seen string) {
			for _, name := range slices.Sorted(maps.Keys(endpoints)) {
				split := k.function(name).Set().Split
				seen += fmt.Sprintf("%s: %s void %d", name, k.shares(name), split.Void)
				for _, r := range split.Regions {
					seen += fmt.Sprintf(" %s %v %d", r.State, r.Ramp, r.carry)
				}
				seen += "\n"
			}
			return seen
		}
		tell := func() {
			for name, all := range endpoints {
				k.source.say(name, all...)
			}
			synctest.Wait()
		}
		propose := func(over ...config.Fragment) {
			cfg, err := files.With(over)
			if err != nil {
				t.Fatal(err)
			}
			k.Propose(cfg)
			synctest.Wait()
		}
		tell()
		propose()
		values := map[string][]string{"drain": {"true", "false"}, "weight": {"0", "5", "80"}, "priority": {"0", "1"}}
		r := rand.New(rand.NewPCG(1, 2))
		for range 200 {
			var over []config.Fragment
			for key, of := range values {
				if region := []string{"a", "b", ""}[r.IntN(3)]; region != "" {
					over = append(over, config.Fragment{Layer: config.OverrideLayer, Name: key,
						Path: []string{"regions", region, key}, Text: of[r.IntN(len(of))]})
				}
			}
			endpoints["f"] = slices.Concat(in("c", 1), in("a", r.IntN(5)), in("b", r.IntN(3)))
			tell() // and ramps are those of now
			was := k.function("f").Set().Endpoints[0]
			propose(over...)
			if k.function("f").Set().Endpoints[0] != was {
				t.Fatalf("%v: the endpoints are told anew", over)
			}
			got := look()
			tell()
			if want := look(); got != want {
				t.Fatalf("%v: got\n%swant\n%s", over, got, want)
			}
			time.Sleep(time.Duration(r.IntN(4_000)) * time.Millisecond)
		}
	})
}
