package consul

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settings are the defaults, with the agent's address.
func settings(address string) config.Consul {
	return config.Consul{
		Address: address, AllowStale: true, MaxStale: 10 * time.Second, Warning: "weigh",
		ProbeNew: time.Minute, EmptyAfter: 10 * time.Second, MaxConnections: 128,
	}
}

// An ear keeps what is reported of one function.
type ear struct {
	t       *testing.T
	mu      sync.Mutex
	sets    [][]Endpoint
	changed chan struct{}
}

// listen watches with a provider until the test ends.
func listen(t *testing.T, p discovery.Provider, fn config.Function) *ear {
	t.Helper()
	e := &ear{t: t, changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := p.Watch(ctx, &fn, e.hear); err != nil {
			t.Errorf("the watch ended with %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		work.Wait()
	})
	return e
}

func (e *ear) hear(set []Endpoint) {
	e.mu.Lock()
	e.sets = append(e.sets, set)
	e.mu.Unlock()
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// now is the last set, an endpoint as port, what stands out, and count of
// reports.
func (e *ear) now() (text string, reports int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.sets) == 0 {
		return "silence", 0
	}
	words := []string{}
	for _, ep := range e.sets[len(e.sets)-1] {
		_, port, _ := net.SplitHostPort(ep.Addr)
		if ep.Unproven {
			port += "?"
		}
		if ep.Weight != 1 {
			port += fmt.Sprintf("*%d", ep.Weight)
		}
		words = append(words, port)
	}
	slices.Sort(words)
	return strings.Join(words, " "), len(e.sets)
}

const patience = 90 * time.Second // a service that is put off waits for its turn, a minute at most

// wants waits until the last set is this one.
func (e *ear) wants(set string) {
	e.t.Helper()
	timeout := time.After(patience)
	for {
		now, _ := e.now()
		if now == set {
			return
		}
		select {
		case <-e.changed:
		case <-timeout:
			e.t.Fatalf("reported is %q, want %q", now, set)
		}
	}
}

// stays checks that the set is this one, and for how long it remains.
func (e *ear) stays(set string, d time.Duration) {
	e.t.Helper()
	timeout := time.After(d)
	for {
		if now, _ := e.now(); now != set {
			e.t.Fatalf("reported is %q, want %q for %v", now, set, d)
		}
		select {
		case <-e.changed:
		case <-timeout:
			return
		}
	}
}

func open(t *testing.T, cfg config.Consul) *Registry {
	t.Helper()
	r, err := New(cfg, "here", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func ttl(id string) []testkit.ConsulCheck {
	return []testkit.ConsulCheck{{CheckID: id, TTL: "1h"}}
}

func passing(id string) []testkit.ConsulCheck {
	return []testkit.ConsulCheck{{CheckID: id, TTL: "1h", Status: "passing"}}
}

// service is an instance of f that listens, they say, on a port.
func service(id string, port int, checks []testkit.ConsulCheck) testkit.ConsulService {
	return testkit.ConsulService{ID: id, Name: "f", Address: "127.0.0.1", Port: port, Checks: checks}
}

func TestHealthDecides(t *testing.T) {
	t.Parallel()
	agent := testkit.StartConsul(t, "dc1", "")
	f := listen(t, open(t, settings(agent.Address)).Providers()[0], config.Function{Name: "f", Service: "f"})
	f.wants("")
	agent.Register(service("a", 1, passing("a")))
	f.wants("1")
	b := service("b", 2, passing("b"))
	b.Weights = &testkit.ConsulWeights{Passing: 10, Warning: 3}
	agent.Register(b)
	f.wants("1 2*10")
	agent.Check("b", "warning")
	f.wants("1 2*3")
	agent.Check("b", "critical")
	f.wants("1")
	agent.Check("b", "passing")
	f.wants("1 2*10")
	agent.Maintain("b", true)
	f.wants("1")
	agent.Maintain("b", false)
	f.wants("1 2*10")
	agent.Deregister("a")
	f.wants("2*10")
	agent.Maintain("b", true) // the last one: an operator's word needs no confirmation
	f.wants("")
}

func TestWhatAnInstanceSaysOfItself(t *testing.T) {
	t.Parallel()
	agent := testkit.StartConsul(t, "dc1", "")
	a := service("a", 1, nil)
	a.Meta = map[string]string{"region": "eu-west", "zone": "b", "node": "n7", "rack": "r3", "slots": "4"}
	a.Tags = []string{"v2"}
	agent.Register(a)
	b := service("b", 2, nil)
	b.Meta = map[string]string{"region": "no\nregion", "slots": "many"}
	agent.Register(b)
	agent.Register(testkit.ConsulService{ID: "c", Name: "f", Address: "not-an-address.internal", Port: 3})
	agent.Register(testkit.ConsulService{ID: "d", Name: "f", Address: "127.0.0.1"}) // no port

	r := open(t, settings(agent.Address))
	p := r.Providers()[0]
	fn := config.Function{Name: "f", Service: "f"}
	fn.ColdStart.Concurrency = 9
	all := listen(t, p, fn)
	all.wants("1 2")
	want := []Endpoint{
		{ID: "consul/node-dc1/a@127.0.0.1:1", Addr: "127.0.0.1:1", Region: "eu-west", Zone: "b", Node: "n7", Rack: "r3", Slots: 4, Weight: 1},
		{ID: "consul/node-dc1/b@127.0.0.1:2", Addr: "127.0.0.1:2", Region: "here", Node: "node-dc1", Slots: 9, Weight: 1},
	}
	if got := all.sets[0]; !slices.Equal(got, want) {
		t.Errorf("reported %+v, want %+v", got, want)
	}
	tagged := listen(t, p, config.Function{Name: "g", Service: "f", ServiceTags: []string{"v2"}})
	tagged.wants("1")
	none := listen(t, p, config.Function{Name: "h", Service: "f", ServiceTags: []string{"v2", "v3"}})
	none.wants("")
	if c := r.Counts()[0]; c.Services != 1 {
		t.Errorf("%d services are watched for three functions of one", c.Services)
	}
	unserved := listen(t, p, config.Function{Name: "i"})
	unserved.wants("")
}

// A new instance is called before its first check has run, if nobody else is
// there; one that nobody knows for how long it is broken is not.
func TestNewInstanceIsProbed(t *testing.T) {
	t.Parallel()
	agent := testkit.StartConsul(t, "dc1", "")
	agent.Register(service("old", 1, ttl("old")))
	cfg := settings(agent.Address)
	cfg.ProbeNew = 3 * time.Second
	f := listen(t, open(t, cfg).Providers()[0], config.Function{Name: "f", Service: "f"})
	f.wants("")
	agent.Register(service("new", 2, ttl("new")))
	f.wants("2?")
	agent.Check("new", "passing")
	f.wants("2")
	agent.Register(service("second", 3, ttl("second"))) // there is somebody: it can wait
	f.stays("2", 300*time.Millisecond)
	agent.Check("new", "critical") // it has passed once: it is broken, not new
	f.wants("3?")
	agent.Deregister("second")
	f.wants("")
	agent.Register(service("never", 4, ttl("never")))
	f.wants("4?")
	f.wants("") // its time is up
	agent.Register(service("judged", 5, ttl("judged")))
	f.wants("5?")
	agent.Check("judged", "critical")
	f.stays("5?", 100*time.Millisecond) // Consul tells the words of a check that stays critical late
	f.wants("")
}

func TestTwoDatacentersFailByThemselves(t *testing.T) {
	t.Parallel()
	east, west := testkit.StartConsul(t, "east", ""), testkit.StartConsul(t, "west", "")
	east.Join(west)
	east.Register(service("a", 1, nil))
	west.Register(service("a", 2, nil))
	cfg := settings(east.Address)
	cfg.Datacenters = map[string]string{"us-east": "east", "eu-west": "west"}
	cfg.EmptyAfter = time.Second
	r := open(t, cfg)
	f := listen(t, discovery.Merge(r.Providers()...), config.Function{Name: "f", Service: "f"})
	f.wants("1 2")
	regions := map[string]string{}
	for _, ep := range f.sets[len(f.sets)-1] {
		regions[ep.Addr] = ep.Region
	}
	if regions["127.0.0.1:1"] != "us-east" || regions["127.0.0.1:2"] != "eu-west" {
		t.Errorf("regions are %v", regions)
	}
	west.Kill()
	east.Register(service("b", 3, nil))
	f.wants("1 2 3")
	east.Deregister("b")
	f.wants("1 2")
}

func TestLostRegistryTakesNobody(t *testing.T) {
	t.Parallel()
	agent := testkit.StartConsul(t, "dc1", "")
	agent.Register(service("a", 1, nil))
	agent.Register(service("b", 2, nil))
	cfg := settings(agent.Address)
	cfg.EmptyAfter = 4 * time.Second
	r := open(t, cfg)
	f := listen(t, r.Providers()[0], config.Function{Name: "f", Service: "f"})
	f.wants("1 2")

	agent.Stop()
	f.stays("1 2", time.Second)
	agent.Continue()
	agent.Register(service("c", 3, nil))
	f.wants("1 2 3")

	agent.Kill()
	f.stays("1 2 3", 2*time.Second)
	if c := r.Counts()[0]; c.FailingFrom.IsZero() || c.Failures["unreachable"] == 0 {
		t.Errorf("nobody can see that it is away: %+v", c)
	}
	agent.Restart()
	agent.Register(service("c", 3, nil)) // it comes back by itself
	agent.Register(service("d", 4, nil))
	f.wants("1 2 3 4")
	if c := r.Counts()[0]; c.Guarded != 1 {
		t.Errorf("it is back: %+v", c)
	}
	f.wants("3 4") // the others did not
	recovered(t, r)
}

// An agent that comes back knowing nothing takes nobody along who registers again
// at once; who never does leaves when the guard does.
func TestRestartedEmpty(t *testing.T) {
	t.Parallel()
	agent := testkit.StartConsul(t, "dc1", "")
	register := func() {
		agent.Register(service("a", 1, nil))
		agent.Register(service("b", 2, nil))
	}
	register()
	cfg := settings(agent.Address)
	cfg.EmptyAfter = 3 * time.Second
	r := open(t, cfg)
	f := listen(t, r.Providers()[0], config.Function{Name: "f", Service: "f"})
	f.wants("1 2")
	agent.Kill()
	agent.Restart()
	register()
	recovered(t, r)
	f.stays("1 2", cfg.EmptyAfter+time.Second)

	agent.Kill()
	down := time.Now()
	agent.Restart()
	recovered(t, r)
	f.wants("")
	if took := time.Since(down); took < cfg.EmptyAfter {
		t.Errorf("it was believed after %v", took)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	whole := slices.IndexFunc(f.sets, func(set []Endpoint) bool { return len(set) == 2 })
	for _, set := range f.sets[whole : len(f.sets)-1] {
		if len(set) != 2 {
			t.Errorf("reported were %v", f.sets)
		}
	}
}

// An answer without anybody is believed when the leader says it again.
func TestEmptyAnswerIsConfirmed(t *testing.T) {
	t.Parallel()
	agent := testkit.StartConsul(t, "dc1", "")
	agent.Register(service("a", 1, nil))
	f := listen(t, open(t, settings(agent.Address)).Providers()[0], config.Function{Name: "f", Service: "f"})
	f.wants("1")
	began := time.Now()
	agent.Deregister("a")
	f.wants("")
	if took := time.Since(began); took < confirmAfter || took > 5*time.Second {
		t.Errorf("believed after %v", took)
	}
	agent.Register(service("a", 1, nil))
	f.wants("1")
}

// More services than connections: all are seen, and the agent's limit is kept.
func TestServicesTakeTurns(t *testing.T) {
	t.Parallel()
	const most = 8
	agent := testkit.StartConsul(t, "dc1", fmt.Sprintf("limits { http_max_conns_per_client = %d }", most+2)) // two for the test's own
	cfg := settings(agent.Address)
	cfg.MaxConnections = most
	r := open(t, cfg)
	p := r.Providers()[0]
	var ears []*ear
	for i := range 3 * most {
		name := fmt.Sprintf("s%d", i)
		ears = append(ears, listen(t, p, config.Function{Name: name, Service: name}))
	}
	for _, e := range ears {
		e.wants("")
	}
	for i, e := range ears {
		s := service(fmt.Sprintf("i%d", i), i+1, nil)
		s.Name = fmt.Sprintf("s%d", i)
		agent.Register(s)
		e.wants(fmt.Sprint(i + 1))
	}
	if c := r.Counts()[0]; len(c.Failures) > 0 {
		t.Errorf("failures: %v", c.Failures)
	}
}

// An agent that does not let us in is noticed, and asked less.
func TestAgentLimitsConnections(t *testing.T) {
	t.Parallel()
	agent := testkit.StartConsul(t, "dc1", "limits { http_max_conns_per_client = 10 }")
	r := open(t, settings(agent.Address)) // which wants 128
	p := r.Providers()[0]
	var ears []*ear
	for i := range 40 {
		name := fmt.Sprintf("s%d", i)
		ears = append(ears, listen(t, p, config.Function{Name: name, Service: name}))
	}
	for end := time.Now().Add(patience); len(r.Counts()[0].Failures) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the agent has let in more than it should: this test shows nothing")
		}
	}
	for _, e := range ears {
		e.wants("") // it recovers
	}
}

// A door is a listener that can be shut: then it hangs up on whoever comes.
type door struct {
	net.Listener
	shut atomic.Bool
}

func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil || !d.shut.Load() {
			return c, err
		}
		_ = c.Close()
	}
}

// An agent at its limit hangs up before anybody can read why. If a query waits
// there, it lives, and it is the limit.
func TestLimitIsRecognised(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d, waits := &door{Listener: ln}, make(chan struct{}, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("index") {
			select {
			case waits <- struct{}{}:
			default:
			}
			<-r.Context().Done()
			return
		}
		w.Header().Set("X-Consul-Index", "7")
		w.Header().Set("X-Consul-LastContact", "0")
		w.Header().Set("X-Consul-KnownLeader", "true")
		fmt.Fprint(w, "[]")
	})}
	go server.Serve(d)
	defer server.Close()

	d.shut.Store(true)
	alone := open(t, settings(ln.Addr().String()))
	listen(t, alone.Providers()[0], config.Function{Name: "f", Service: "f"})
	failing(t, alone, "unreachable", 0) // nobody waits there: it may be anything
	if n := alone.Counts()[0].Failures["limited"]; n > 0 {
		t.Errorf("%d were taken for a limit", n)
	}

	d.shut.Store(false)
	r := open(t, settings(ln.Addr().String()))
	listen(t, r.Providers()[0], config.Function{Name: "f", Service: "f"})
	<-waits
	for r.Counts()[0].Queries == 0 {
		time.Sleep(time.Millisecond)
	}
	d.shut.Store(true)
	g := listen(t, r.Providers()[0], config.Function{Name: "g", Service: "g"})
	failing(t, r, "limited", 0)
	if n := r.Counts()[0].Failures["unreachable"]; n > 0 {
		t.Errorf("%d were not taken for the limit", n)
	}
	d.shut.Store(false)
	g.wants("") // it is let in
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	answers := make(chan func(http.ResponseWriter), 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case answer := <-answers:
			answer(w)
		case <-r.Context().Done():
		}
	})}
	go server.Serve(ln)
	defer server.Close()
	r := open(t, settings(ln.Addr().String()))
	f := listen(t, r.Providers()[0], config.Function{Name: "f", Service: "f"})
	good := func(w http.ResponseWriter) {
		w.Header().Set("X-Consul-Index", "7")
		w.Header().Set("X-Consul-LastContact", "0")
		w.Header().Set("X-Consul-KnownLeader", "true")
		fmt.Fprint(w, `[{"Node":{"Node":"n","Address":"127.0.0.1"},"Service":{"ID":"a","Service":"f","Port":1,"Weights":{"Passing":1,"Warning":1}},"Checks":[]}]`)
	}
	answers <- good
	f.wants("1")
	for what, answer := range map[string]func(http.ResponseWriter){
		"refused": func(w http.ResponseWriter) { http.Error(w, "No cluster leader", 500) },
		"denied":  func(w http.ResponseWriter) { http.Error(w, "Permission denied", http.StatusForbidden) },
		"limited": func(w http.ResponseWriter) {
			http.Error(w, "too many concurrent connections", http.StatusTooManyRequests)
		},
		"malformed":   func(w http.ResponseWriter) { fmt.Fprint(w, "[]") }, // of whatever listens there
		"unreachable": func(w http.ResponseWriter) { w.Header().Set("X-Consul-Index", "8"); fmt.Fprint(w, `[{"Node"`) },
	} {
		answers <- answer
		for end := time.Now().Add(patience); r.Counts()[0].Failures[what] == 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not counted as %s: %+v", what, r.Counts()[0])
			}
		}
	}
	f.stays("1", 50*time.Millisecond)
	answers <- good
}
