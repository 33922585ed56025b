package proxy

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

const (
	trip    = 80 * time.Millisecond // to the other region and back
	boot    = 3 * time.Second       // of an instance
	serving = 5 * time.Millisecond  // of a call
)

// A land is a weir in its region, with a platform that takes boot for an instance,
// in time that the test makes pass.
type land struct {
	name   string
	proxy  *Proxy
	keeper *table.Keeper
	abroad []discovery.Endpoint

	mu      sync.Mutex // guards all below
	report  func([]discovery.Endpoint)
	starts  int
	from    int // calls that came with X-Weir-Overflow
	inside  map[string]int
	most    map[string]int // calls at once, by address
	came    map[string]int
	foreign map[string]*land // weirs behind addresses
}

func (*land) String() string                                         { return "land" }
func (*land) ScaleDown(context.Context, config.Function, int) error  { return nil }
func (*land) Replicas(context.Context, config.Function) (int, error) { return 0, nil }
func (*land) Unregister()                                            {}
func (*land) Record(*Call)                                           {}

func (l *land) ScaleUp(ctx context.Context, _ config.Function, _ int) error {
	if coldstart.Repeated(ctx) {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.starts++; l.starts == 1 {
		time.AfterFunc(boot, func() { l.up(true) })
	}
	return nil
}

// up reports the endpoints: those abroad, and the one here if it is up.
func (l *land) up(here bool) {
	all := slices.Clone(l.abroad)
	if here {
		all = append(all, discovery.Endpoint{ID: "here", Addr: "here", Weight: 1})
	}
	l.report(all)
}

func (l *land) Watch(ctx context.Context, _ *config.Function, report func([]discovery.Endpoint)) error {
	l.report = report
	l.up(false)
	<-ctx.Done()
	return nil
}

// A lane is the way to an address.
type lane struct {
	table.Transport
	addr   string
	from   *land
	dialed bool
}

func (*lane) Configure(*table.Settings)   {}
func (*lane) CloseIdle()                  {}
func (*lane) Probe(context.Context) error { return nil }

func (l *lane) Try(x *message.Exchange) error {
	from := l.from
	from.mu.Lock()
	x.Dialed = 0
	if from.came[l.addr]++; l.addr != "here" && !l.dialed {
		x.Dialed, l.dialed = trip, true
	}
	from.inside[l.addr]++
	from.most[l.addr] = max(from.most[l.addr], from.inside[l.addr])
	to := from.foreign[l.addr]
	from.mu.Unlock()
	defer func() {
		from.mu.Lock()
		from.inside[l.addr]--
		from.mu.Unlock()
	}()
	if l.addr != "here" {
		time.Sleep(trip / 2)
		defer time.Sleep(trip / 2)
	}
	x.Response = message.Response{Status: 200}
	if to != nil {
		x.Response.Status = to.call(message.Get(x.Request.Added, message.XWeirOverflow)).status
	} else {
		time.Sleep(serving)
	}
	x.Up = nobody{}
	return nil
}

type nobody struct{ message.Upstream }

func (nobody) Ready() bool               { return true }
func (nobody) Next() ([]byte, error)     { return nil, io.EOF }
func (nobody) Trailers() []message.Field { return nil }
func (nobody) Release()                  {}

// A caller is a client's side of a call.
type caller struct {
	message.Downstream
	woken  chan struct{}
	status int
	cold   string
}

func (c *caller) WriteHead(r *message.Response) error {
	c.status = r.Status
	for _, f := range r.Added {
		if string(f.Name) == "X-Weir-Cold" {
			c.cold = string(f.Value)
		}
	}
	return nil
}
func (*caller) Write([]byte) error                   { return nil }
func (*caller) Flush() error                         { return nil }
func (*caller) Finish() error                        { return nil }
func (*caller) Rewind() bool                         { return true }
func (*caller) Memory() int                          { return 0 }
func (*caller) Abort()                               {}
func (*caller) Watch(message.Canceler, uint64)       {}
func (*caller) Unwatch() bool                        { return false }
func (*caller) Next() ([]byte, error)                { return nil, io.EOF }
func (*caller) Ready() bool                          { return true }
func (*caller) Trailers() []message.Field            { return nil }
func (c *caller) Wait(until time.Time) error         { return (&viewer{woken: c.woken}).Wait(until) }
func (c *caller) Wake()                              { (&viewer{woken: c.woken}).Wake() }
func (*caller) Take(message.Upstream) (int64, error) { return 0, nil }

// An outcome is what became of a call.
type outcome struct {
	status int
	cold   string
	took   time.Duration
}

// call makes one; hop is what X-Weir-Overflow says, nil: there is none.
func (l *land) call(hop []byte) outcome {
	c, d := &Call{}, &caller{woken: make(chan struct{}, 1)}
	c.Down = d
	c.Start(time.Now())
	c.Request.Method, c.Request.Path, c.Request.RawPath = []byte("GET"), []byte("/"), []byte("/")
	if hop != nil {
		l.mu.Lock()
		l.from++
		l.mu.Unlock()
		c.Request.Fields = []message.Field{{Name: message.Name(message.XWeirOverflow), Value: hop, ID: message.XWeirOverflow}}
	}
	l.proxy.Serve(c)
	return outcome{d.status, d.cold, time.Since(c.Started)}
}

// found makes the weir of a region, at work until ctx ends.
func found(ctx context.Context, t *testing.T, work *sync.WaitGroup, name, doc string, abroad ...discovery.Endpoint) *land {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte("listeners: [{ address: '127.0.0.1:1' }]\nregion: "+name+"\n"+doc+
		"functions: { f: { cold_start: { scaler: process, prefer_warm_region: true }, process: { command: [none] } } }\n"+
		"routes: [{ path_prefix: /, function: f }]\n"))
	if err != nil {
		t.Fatal(err)
	}
	l := &land{name: name, abroad: abroad, inside: map[string]int{}, most: map[string]int{}, came: map[string]int{}, foreign: map[string]*land{}}
	log := slog.New(slog.DiscardHandler)
	activator := coldstart.NewActivator(map[string]coldstart.Scaler{"process": l}, nil, log)
	l.keeper = table.NewKeeper(cfg, table.Parts{Provider: l, Activator: activator, Log: log,
		NewTransport: func(addr string) table.Transport { return &lane{addr: addr, from: l} }, NewMeter: func(string) table.Meter { return l }})
	l.proxy = New(l.keeper, l, log)
	work.Go(func() { _ = l.keeper.Run(ctx) })
	work.Go(func() { _ = activator.Run(ctx) })
	<-l.keeper.Ready()
	time.Sleep(10 * time.Second) // it is no news any more who is there
	return l
}

// away is a warm instance in another region that takes 20 calls at once.
var away = discovery.Endpoint{ID: "away", Addr: "away", Weight: 1, Region: "away", Slots: 20}

// flood makes calls, at random moments, for a while.
func (l *land) flood(perSecond int, d time.Duration) []outcome {
	var mu sync.Mutex
	var all []outcome
	var work sync.WaitGroup
	random := rand.New(rand.NewPCG(1, 2))
	for end := time.Now().Add(d); time.Now().Before(end); {
		work.Go(func() {
			o := l.call(nil)
			mu.Lock()
			all = append(all, o)
			mu.Unlock()
		})
		time.Sleep(time.Duration(random.ExpFloat64() * float64(time.Second) / float64(perSecond)))
	}
	work.Wait()
	return all
}

func p99(all []outcome) time.Duration {
	took := make([]time.Duration, len(all))
	for i, o := range all {
		took[i] = o.took
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// simulate runs a test beside a weir in the region home. Home's weight is 80, that of
// the other region, which is warm, 20.
func simulate(t *testing.T, doc string, test func(t *testing.T, home *land)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		home := found(ctx, t, &work, "home", doc, away)
		test(t, home)
		cancel()
		work.Wait()
	})
}

// C35: calls of a cold region are answered after the way to a warm one, and not when
// an instance is up here; one is started meanwhile.
func TestColdRegionSendsItsCallsToAWarmOne(t *testing.T) {
	regions := func(percent string) string {
		return "regions: { home: { weight: 80 }, away: { weight: 20, overflow_percent: " + percent + " } }\nfailover: { slow_start: { window: 20s } }\n"
	}
	simulate(t, regions("60"), func(t *testing.T, home *land) {
		all := home.flood(40, boot)
		if got := p99(all); got > trip+60*time.Millisecond {
			t.Errorf("cold p99 is %v, want %v at most", got, trip+60*time.Millisecond)
		}
		if home.starts != 1 {
			t.Errorf("%d starts for %d calls", home.starts, len(all))
		}
		spilt := 0
		for _, o := range all {
			if o.status != 200 {
				t.Fatalf("%+v", o)
			}
			if o.cold == "overflow" {
				spilt++
			}
		}
		if part := float64(spilt) / float64(len(all)); part < 0.6 || part > 0.97 { // 127 calls: within .035, one standard deviation
			t.Errorf("%.2f of the calls are said to be another region's, want 0.8", part)
		}
		t.Logf("cold: %d calls, p99 %v, %d at once elsewhere at most", len(all), p99(all), home.most["away"])

		time.Sleep(time.Second) // it is up: now it has its share by and by
		share := func(d time.Duration) float64 {
			before := home.came["here"]
			n := len(home.flood(40, d))
			return float64(home.came["here"]-before) / float64(n)
		}
		first := share(5 * time.Second) // 200 calls: within .035, one standard deviation
		time.Sleep(20 * time.Second)
		last := share(50 * time.Second) // 2,000: within .009
		if first < .2 || first > .62 || last < .75 || last > .85 {
			t.Errorf("home has %.2f and at last %.2f of the calls, want 0.8 by and by", first, last)
		}
	})
	simulate(t, regions("0"), func(t *testing.T, home *land) { // what it is worth
		all := home.flood(40, boot)
		if got := p99(all); got < boot*9/10 {
			t.Errorf("p99 is %v without overflow", got)
		}
		t.Logf("held: %d calls, p99 %v", len(all), p99(all))
	})
}

// The warm region is not sent more calls at once than it is to have beside its own.
func TestOverflowIsBounded(t *testing.T) {
	simulate(t, "regions: { home: {}, away: { priority: 1 } }\n", func(t *testing.T, home *land) {
		all := home.flood(200, boot)
		held := 0
		for _, o := range all {
			if o.status != 200 {
				t.Fatalf("%+v", o)
			}
			if o.cold == "held" {
				held++
			}
		}
		if most := home.most["away"]; most != 4 {
			t.Errorf("%d calls at once, want 4: a fifth of 20", most)
		}
		if held == 0 || home.starts != 1 {
			t.Errorf("%d calls of %d were held, %d starts", held, len(all), home.starts)
		}
		if taken := home.keeper.Table().Functions["f"].Set().Split.Regions[0].Spill.Taken(); taken != 0 {
			t.Errorf("%d places are taken for ever", taken)
		}
	})
}

// A start that is over before the call would be back is waited for; one that then
// takes longer is not.
func TestOverflowOnlyIfItIsSooner(t *testing.T) {
	simulate(t, "regions: { home: {}, away: { priority: 1 } }\n", func(t *testing.T, home *land) {
		first := home.call(nil) // nothing is known: at once, and away is 80 ms off
		if first.cold != "overflow" || first.took > trip+2*serving {
			t.Fatalf("%+v", first)
		}
		time.Sleep(2 * boot)
		home.up(false)
		synctest.Wait()
		held := make(chan outcome, 1)
		for range 20 { // from now on, starts take 100 ms
			go func() { held <- home.call([]byte("elsewhere")) }()
			time.Sleep(100 * time.Millisecond)
			home.up(true)
			<-held
			home.up(false)
			synctest.Wait()
		}
		go func() { held <- home.call(nil) }()
		time.Sleep(90 * time.Millisecond)
		if home.keeper.Table().Functions["f"].Hold.Len() != 1 {
			t.Fatal("it is not held, though an instance is up sooner than the call is back")
		}
		if o := <-held; o.cold != "overflow" || o.took > 400*time.Millisecond {
			t.Errorf("the start takes longer than ever, and the call %+v", o)
		}
	})
}

// Two weirs each of which is the other's warm region: a call goes there, and stays.
func TestOverflowGoesOneHop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		doc := "regions: { a: {}, b: {} }\n"
		a := found(ctx, t, &work, "a", strings.ReplaceAll(doc, "b: {}", "b: { priority: 1 }"), discovery.Endpoint{ID: "b", Addr: "weir.b", Weight: 1, Region: "b"})
		b := found(ctx, t, &work, "b", strings.ReplaceAll(doc, "a: {}", "a: { priority: 1 }"), discovery.Endpoint{ID: "a", Addr: "weir.a", Weight: 1, Region: "a"})
		a.foreign["weir.b"], b.foreign["weir.a"] = b, a
		o := a.call(nil)
		if o.status != 200 || o.cold != "overflow" || o.took < boot || o.took > boot+time.Second {
			t.Errorf("%+v", o)
		}
		if b.from != 1 || a.from != 0 || a.starts != 1 || b.starts != 1 {
			t.Errorf("b had %d calls from elsewhere, a %d, want 1 and 0; %d and %d starts, want 1 each", b.from, a.from, a.starts, b.starts)
		}
		cancel()
		work.Wait()
	})
}

// Whoever is ill elsewhere is no reason to answer 503: an instance is started here.
func TestColdRegionBesideOneThatIsDown(t *testing.T) {
	simulate(t, "regions: { home: {}, away: {} }\nfailover: { panic_threshold: 0 }\n", func(t *testing.T, home *land) {
		for range 20 {
			fn := home.keeper.Table().Functions["f"]
			ep := fn.Set().Endpoints[0]
			ep.Outlier.Failed(moment.Now().Add(time.Hour))
			ep.Outlier.Failed(moment.Now())
			fn.Shaken()
		}
		synctest.Wait()
		if o := home.call(nil); o.status != 200 || o.cold != "held" {
			t.Errorf("%+v", o)
		}
	})
}
