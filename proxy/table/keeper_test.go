package table

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/proxy/message"
)

// A source reports what the test tells it to.
type source struct {
	mu      sync.Mutex
	reports map[string]func([]discovery.Endpoint)
	watches int
	fixed   map[string][]discovery.Endpoint
}

func (s *source) Fixed(fn *config.Function) ([]discovery.Endpoint, bool) {
	set, ok := s.fixed[fn.Name]
	return slices.Clone(set), ok
}

func (s *source) String() string { return "source" }

func (s *source) Watch(ctx context.Context, fn *config.Function, report func([]discovery.Endpoint)) error {
	s.mu.Lock()
	s.watches++
	s.reports[fn.Name] = report
	s.mu.Unlock()
	<-ctx.Done()
	return nil
}

func (s *source) say(function string, endpoints ...discovery.Endpoint) {
	s.mu.Lock()
	report := s.reports[function]
	s.mu.Unlock()
	report(endpoints)
	synctest.Wait()
}

// A transport whose endpoint listens when the test says so.
type transport struct {
	mu      sync.Mutex
	listens bool
	probes  int
	closed  int
	checks  int
}

func (*transport) Try(*message.Exchange) error { return errors.New("not in this test") }
func (*transport) Configure(*Settings)         {}

func (t *transport) Probe(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.probes++
	if !t.listens {
		return message.ErrConnect
	}
	return nil
}

func (t *transport) CloseIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed++
}

type noMeter struct{ unregistered *int }

func (m noMeter) Unregister() { *m.unregistered++ }

// A scaler that does nothing.
type nothing struct{}

func (nothing) String() string                                         { return "nothing" }
func (nothing) ScaleUp(context.Context, config.Function, int) error    { return nil }
func (nothing) ScaleDown(context.Context, config.Function, int) error  { return nil }
func (nothing) Replicas(context.Context, config.Function) (int, error) { return 0, nil }

// A keeping is a Keeper at work.
type keeping struct {
	*Keeper
	source       *source
	transports   map[string]*transport
	unregistered int
}

// keep runs a test with a Keeper for a configuration.
func keep(t *testing.T, doc string, test func(t *testing.T, k *keeping)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := &keeping{source: &source{reports: map[string]func([]discovery.Endpoint){}}, transports: map[string]*transport{}}
		log := slog.New(slog.DiscardHandler)
		activator := coldstart.NewActivator(map[string]coldstart.Scaler{"p": nothing{}}, nil, log)
		k.Keeper = NewKeeper(parse(t, doc), Parts{
			Provider: k.source, Activator: activator, Log: log,
			NewTransport: func(addr string) Transport {
				k.transports[addr] = &transport{}
				return k.transports[addr]
			},
			NewMeter: func(string) Meter { return noMeter{&k.unregistered} },
		})
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { _ = k.Run(ctx) })
		work.Go(func() { _ = activator.Run(ctx) })
		synctest.Wait()
		test(t, k)
		cancel()
		work.Wait()
	})
}

func parse(t *testing.T, doc string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte("listeners: [{ address: '127.0.0.1:1', trusted_proxies: [10.0.0.0/8] }]\n"+doc))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func (k *keeping) propose(t *testing.T, doc string) {
	t.Helper()
	k.Propose(parse(t, doc))
	synctest.Wait()
}

func (k *keeping) function(name string) *Function { return k.Table().Functions[name] }

// ids of a function's endpoints, in order.
func (k *keeping) ids(name string) (ids string) {
	for _, ep := range k.function(name).Set().Endpoints {
		ids += ep.ID
	}
	return ids
}

func ep(id string) discovery.Endpoint {
	return discovery.Endpoint{ID: id, Addr: id + ":1", Weight: 1}
}

const twoFunctions = "functions: { f: {}, g: {} }\nroutes: [{ path_prefix: /f, function: f }, { path_prefix: /g, function: g }]\n"

func TestReadyWhenEveryoneHasSpoken(t *testing.T) {
	keep(t, twoFunctions, func(t *testing.T, k *keeping) {
		ready := func() bool {
			select {
			case <-k.Ready():
				return true
			default:
				return false
			}
		}
		k.source.say("f", ep("a"))
		if ready() {
			t.Error("ready although nothing was said of g")
		}
		k.source.say("g")
		if !ready() {
			t.Error("not ready although all was said")
		}
	})
	keep(t, twoFunctions, func(t *testing.T, k *keeping) {
		time.Sleep(firstWord)
		synctest.Wait()
		<-k.Ready() // a provider that keeps silent does not keep weir down
	})
}

// What never changes needs no watch; it stands with the table, and its links live on
// where it becomes something to be watched.
func TestFixedSetsAreNotWatched(t *testing.T) {
	keep(t, "functions: { f: {} }", func(t *testing.T, k *keeping) {
		k.source.say("f", ep("a"), ep("b"))
		k.source.fixed = map[string][]discovery.Endpoint{"f": {ep("b"), ep("c")}, "g": {ep("d")}}
		link := k.function("f").Set().Endpoints[1].Link
		k.propose(t, "functions: { f: { service_tags: [x], service: s }, g: {} }\ndiscovery: { consul: {} }")
		if k.ids("f") != "bc" || k.ids("g") != "d" || k.source.watches != 1 {
			t.Errorf("f is %s, g is %s, %d watches", k.ids("f"), k.ids("g"), k.source.watches)
		}
		k.source.fixed = nil
		k.propose(t, "functions: { f: {} }")
		k.source.say("f", ep("b"))
		if k.ids("f") != "b" || k.function("f").Set().Endpoints[0].Link != link || k.source.watches != 2 {
			t.Errorf("f is %s, %d watches", k.ids("f"), k.source.watches)
		}
	})
}

func TestStateAndLinkLiveOn(t *testing.T) {
	keep(t, twoFunctions, func(t *testing.T, k *keeping) {
		k.source.say("f", ep("a"), ep("b"))
		state, link := k.function("f").State, k.function("f").Set().Endpoints[0].Link
		k.propose(t, "functions: { f: { concurrency: { max_requests: 7 } } }\n")
		if k.function("f").State != state || k.ids("f") != "ab" {
			t.Error("the function lost its life with its policy")
		}
		if enter(k.function("f"), 8) {
			t.Error("the new limit does not hold")
		}
		k.source.say("f", ep("c"), ep("a"))
		if k.ids("f") != "ca" || k.function("f").Set().Endpoints[1].Link != link {
			t.Error("an endpoint that stayed lost its link")
		}
		if k.unregistered != 1 || k.function("g") != nil {
			t.Error("the function that left is still there")
		}
	})
}

// enter takes n places inside the function's limit, and tells whether it could.
func enter(f *Function, n int) (all bool) {
	for range n {
		all = f.Places.Take()
	}
	return all
}

func TestEndpointThatComesBackKeepsItsSlots(t *testing.T) {
	keep(t, twoFunctions, func(t *testing.T, k *keeping) {
		k.source.say("f", ep("a"))
		link := k.function("f").Set().Endpoints[0].Link
		link.Slots.Take()
		k.source.say("f")
		time.Sleep(10 * sweepEvery)
		k.source.say("f", ep("a"))
		if k.function("f").Set().Endpoints[0].Link != link {
			t.Error("a call is on it, and it was forgotten")
		}
		link.Slots.GiveBack()
		k.source.say("f")
		time.Sleep(2 * sweepEvery)
		k.source.say("f", ep("a"))
		if k.function("f").Set().Endpoints[0].Link == link {
			t.Error("no call was on it, and it was kept")
		}
	})
}

func TestUnprovenEndpointIsProbedFirst(t *testing.T) {
	keep(t, twoFunctions, func(t *testing.T, k *keeping) {
		a := ep("a")
		a.Unproven = true
		k.source.say("f", a, ep("b"))
		if k.ids("f") != "b" {
			t.Fatalf("published %q", k.ids("f"))
		}
		probe := k.transports["a:1"]
		time.Sleep(500 * time.Millisecond)
		probe.mu.Lock()
		probe.listens = true
		if probe.probes < 500/int(wideProbe.Milliseconds()) {
			t.Errorf("only %d probes in 500 ms", probe.probes)
		}
		probe.mu.Unlock()
		time.Sleep(2 * wideProbe)
		synctest.Wait()
		if k.ids("f") != "ab" {
			t.Errorf("published %q", k.ids("f"))
		}
		k.source.say("f", a)
		if k.ids("f") != "a" {
			t.Error("it has proven itself once, and that is forgotten")
		}
	})
}

func TestFunctionThatLeavesAnswersItsLine(t *testing.T) {
	keep(t, twoFunctions, func(t *testing.T, k *keeping) {
		hold := k.function("f").Hold
		var w coldstart.Waiter
		p := make(parker, 1)
		if err := hold.Join(&w, p, coldstart.Claim{Now: time.Now()}); err != nil {
			t.Fatal(err)
		}
		k.propose(t, "functions: { g: {} }\n")
		if err := w.Wait(time.Now().Add(time.Hour)); !errors.Is(err, coldstart.ErrGone) {
			t.Errorf("told %v", err)
		}
		w.Leave()
	})
}

type parker chan struct{}

func (p parker) Wake() {
	select {
	case p <- struct{}{}:
	default:
	}
}

func (p parker) Wait(time.Time) error { <-p; return nil }

func TestWithdrawIsAllOrNothing(t *testing.T) {
	keep(t, twoFunctions, func(t *testing.T, k *keeping) {
		k.source.say("f", ep("a"), ep("b"))
		f := k.function("f")
		a, b := f.Set().Endpoints[0], f.Set().Endpoints[1]
		b.Link.Slots.Take()
		if f.Withdraw() {
			t.Fatal("withdrawn under a call")
		}
		if !a.Link.Slots.Take() {
			t.Error("a call was kept off although nothing was withdrawn")
		}
		a.Link.Slots.GiveBack()
		b.Link.Slots.GiveBack()
		if !f.Withdraw() || a.Link.Slots.Take() {
			t.Error("a call got onto a withdrawn endpoint")
		}
		f.Restore()
		if !a.Link.Slots.Take() {
			t.Error("restored, and nobody gets on")
		}
	})
}

// What refuses is in no call's choice, but what is on it counts.
func TestWithdrawCountsWhatRefuses(t *testing.T) {
	keep(t, twoFunctions, func(t *testing.T, k *keeping) {
		k.source.say("f", ep("a"), ep("b"))
		f := k.function("f")
		link := f.Set().Endpoints[0].Link
		link.Slots.Take() // a stream that goes on
		link.Doubt()
		synctest.Wait()
		if k.ids("f") != "b" || f.Refusing() != 1 {
			t.Fatalf("%q are published, %d refuse", k.ids("f"), f.Refusing())
		}
		if f.Withdraw() {
			t.Fatal("withdrawn under a call")
		}
		link.Slots.GiveBack()
		if !f.Withdraw() || link.Slots.Take() {
			t.Error("what refuses could still be called")
		}
		f.Restore()
		transport := k.transports[ep("a").Addr]
		transport.mu.Lock()
		transport.listens = true
		transport.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if k.ids("f") != "ab" || f.Refusing() != 0 || !link.Slots.Take() {
			t.Errorf("%q are published, %d refuse", k.ids("f"), f.Refusing())
		}
	})
}

func TestNewerWatchTakesOver(t *testing.T) {
	keep(t, "functions: { f: { endpoints: ['127.0.0.1:1'] } }\n", func(t *testing.T, k *keeping) {
		k.source.say("f", ep("a"))
		old := k.source.reports["f"]
		k.propose(t, "functions: { f: { endpoints: ['127.0.0.1:2'] } }\n")
		if k.source.watches != 2 || k.ids("f") != "a" {
			t.Errorf("%d watches, %q published before the new one spoke", k.source.watches, k.ids("f"))
		}
		old([]discovery.Endpoint{ep("late")})
		k.source.say("f", ep("b"))
		if k.ids("f") != "b" {
			t.Errorf("published %q", k.ids("f"))
		}
	})
}

func TestDrawGoesByWeight(t *testing.T) {
	set := &Set{}
	for i, weight := range []int{1, 3, 6} {
		e := ep(string(rune('a' + i)))
		e.Weight = weight
		set.Endpoints = append(set.Endpoints, &Endpoint{Endpoint: e})
	}
	set.weigh()
	drawn := map[string]int{}
	for r := range uint64(1000) {
		drawn[set.Draw(r).ID]++
	}
	if drawn["a"] != 100 || drawn["b"] != 300 || drawn["c"] != 600 {
		t.Errorf("drawn %v", drawn)
	}
}

func TestReloadLeavesAloneWhatIsTheSame(t *testing.T) {
	const scaled = "scalers: { p: { type: process } }\nfunctions: { f: { process: { command: [x] }, cold_start: { scaler: p, max_wait: 1s } }, g: {} }\n"
	keep(t, scaled, func(t *testing.T, k *keeping) {
		k.source.say("f", ep("a"))
		k.source.say("g", ep("b"))
		closed := &coldstart.NoStart{Reason: errors.New("no"), Retry: time.Hour}
		shut := func() bool {
			var w coldstart.Waiter
			err := k.function("f").Hold.Join(&w, make(parker, 1), coldstart.Claim{Now: time.Now()})
			if err == nil {
				w.Leave()
			}
			return errors.Is(err, coldstart.ErrNoStart)
		}
		f, g := k.function("f").Set(), k.function("g").Set()
		k.function("f").Hold.Fail(closed, time.Now())
		k.propose(t, scaled+"# nothing else\n")
		if k.function("f").Set() != f || k.function("g").Set() != g {
			t.Error("a set was made anew, and nothing had changed")
		}
		if !shut() {
			t.Error("the door was opened, and nothing had changed")
		}
		k.propose(t, strings.Replace(scaled, "1s", "2s", 1))
		if shut() {
			t.Error("the function has changed, and its door is still closed")
		}
		k.source.say("f", ep("a"), ep("c"))
		if k.ids("f") != "ac" {
			t.Errorf("published %q", k.ids("f"))
		}
	})
}

// A set that changes while the Activator looks at it.
func TestWithdrawLooksAtOneSet(t *testing.T) {
	keep(t, twoFunctions, func(t *testing.T, k *keeping) {
		k.source.say("f", ep("a"), ep("b"), ep("c"))
		f := k.function("f")
		first := f.Set()
		second := &Set{Endpoints: []*Endpoint{first.Endpoints[2], first.Endpoints[0], first.Endpoints[1]}}
		first.Endpoints[2].Link.Slots.Take()
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
					f.set.Store(second)
					f.set.Store(first)
				}
			}
		}()
		for range 100_000 {
			if f.Withdraw() {
				t.Error("withdrawn under a call")
			}
		}
		close(stop)
		<-done
		for _, ep := range first.Endpoints[:2] {
			if !ep.Link.Slots.Take() {
				t.Errorf("%s is closed although nothing was withdrawn", ep.ID)
			}
		}
	})
}

func (t *transport) Check(context.Context, string) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checks++
	if !t.listens {
		return 503, nil
	}
	return 200, nil
}

// A probe that is not answered is not waited for: who drops the first packets of a
// connection while it boots is found to listen soon after it does.
func TestProbesOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began, boot := time.Now(), 3100*time.Millisecond
		var mu sync.Mutex
		most, open, refusals := 0, 0, 0
		k := &Keeper{}
		ready := k.awaitReady(ctx, func(ctx context.Context) error {
			mu.Lock()
			open++
			most = max(most, open)
			mu.Unlock()
			defer func() { mu.Lock(); open--; mu.Unlock() }()
			if time.Since(began) >= boot {
				return nil
			}
			if refusals < 50 { // as long as nothing is there
				refusals++
				return message.ErrConnect
			}
			select { // then packets are dropped
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			return message.ErrConnectTimeout
		})
		if late := time.Since(began) - boot; !ready || late > probeOverlap {
			t.Errorf("ready: %v, %v after it was", ready, late)
		}
		if most > 5 || refusals < 50 {
			t.Errorf("%d were open at once, and %d refused", most, refusals)
		}
		cancel()
		if k.awaitReady(ctx, func(context.Context) error { return nil }) {
			t.Error("ready, though nobody wants to know")
		}
		k.work.Wait()
	})
}

// Who says that they are called is asked for more only if they are new.
func TestReadyPathOverAReload(t *testing.T) {
	const doc = "scalers: { p: { type: process } }\nfunctions: { f: { process: { command: [x] }, cold_start: { scaler: p, max_scale: 3 } } }\n"
	keep(t, doc, func(t *testing.T, k *keeping) {
		listens := func(id string) {
			transport := k.transports[ep(id).Addr]
			transport.mu.Lock()
			defer transport.mu.Unlock()
			transport.listens = true
		}
		k.source.say("f", ep("a"))
		k.propose(t, strings.Replace(doc, "scaler: p", "scaler: p, ready_path: /ready", 1))
		if k.ids("f") != "a" {
			t.Fatalf("%q are published", k.ids("f"))
		}
		k.source.say("f", ep("a"), ep("b"))
		time.Sleep(time.Minute)
		if k.ids("f") != "a" {
			t.Errorf("%q are published, though b is not ready", k.ids("f"))
		}
		listens("b")
		time.Sleep(time.Second)
		if k.ids("f") != "ab" {
			t.Errorf("%q are published", k.ids("f"))
		}
		k.source.say("f", ep("a"), ep("b"), ep("c")) // and where it is taken back
		k.propose(t, doc)
		if k.ids("f") != "abc" {
			t.Errorf("%q are published", k.ids("f"))
		}
	})
}

// With ready_probe: none who is there is called, and a setting that is taken back
// holds for those that come from then on.
func TestNoProbeOverAReload(t *testing.T) {
	const doc = "scalers: { p: { type: process } }\nfunctions: { f: { process: { command: [x] }, cold_start: { scaler: p, ready_probe: none, max_scale: 3 } } }\n"
	keep(t, doc, func(t *testing.T, k *keeping) {
		unproven := func(id string) discovery.Endpoint {
			e := ep(id)
			e.Unproven = true
			return e
		}
		k.source.say("f", unproven("a"))
		if k.ids("f") != "a" {
			t.Fatalf("%q are published", k.ids("f"))
		}
		k.propose(t, strings.Replace(doc, ", ready_probe: none", "", 1))
		k.source.say("f", unproven("a"), unproven("b"))
		time.Sleep(time.Minute)
		if k.ids("f") != "a" {
			t.Errorf("%q are published, though nobody knows whether b listens", k.ids("f"))
		}
		k.propose(t, doc)
		if k.ids("f") != "ab" {
			t.Errorf("%q are published", k.ids("f"))
		}
	})
}
