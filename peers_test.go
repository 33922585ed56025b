package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/internal/testkit"
	"github.com/weir-gateway/weir/shaping"
)

// The limit that the routers of these tests share: 300 calls a second. What a
// router leaves unused while the machine is busy is there for it two seconds long.
const sharedPerSecond = 300

// A router is a weir at an address of its own that finds its peers by a source of
// discovery.
type router struct {
	*running
	file, address string
}

func startRouter(t *testing.T, source, endpoint string) router {
	t.Helper()
	ln, err := net.Listen("tcp", "127.84.11.1:0") // where nobody else takes ports
	if err != nil {
		t.Fatal(err)
	}
	r := router{file: filepath.Join(t.TempDir(), "weir.yaml"), address: ln.Addr().String()}
	ln.Close()
	write(t, r.file, fmt.Sprintf(`listeners: [{ address: %q }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
shutdown: { drain_delay: 1m }
discovery: { %s }
peers: { service: weir }
functions:
  f: { endpoints: [%q], rate_limit: { requests: %d, burst: %d, shared: true } }
routes: [{ path_prefix: /, function: f }]
`, r.address, source, endpoint, sharedPerSecond, 2*sharedPerSecond))
	r.running = startRun(t, r.file)
	return r
}

// find waits until each of these finds n routers and has cut its limit.
func find(t *testing.T, n int, all ...router) {
	t.Helper()
	for _, r := range all {
		eventually(t, fmt.Sprintf("%d routers are found", n), func() bool { return r.metric("weir_peers") == float64(n) })
		eventually(t, "the limit is cut", func() bool { return r.metric("weir_rate_limit_share") == 1/float64(n) })
	}
}

// A pressure is more calls on a router than it may let in.
type pressure struct {
	in, out atomic.Int64 // calls that were let in, and that were turned away
	other   atomic.Int64
	stop    chan struct{}
	work    sync.WaitGroup
}

func press(r router) *pressure {
	p := &pressure{stop: make(chan struct{})}
	for range 2 {
		p.work.Go(func() {
			client := http.Client{Transport: &http.Transport{}, Timeout: patience}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-p.stop:
					return
				default:
				}
				res, err := client.Get(r.url + "/")
				switch {
				case err != nil:
					p.other.Add(1)
				case res.StatusCode == http.StatusOK:
					p.in.Add(1)
				case res.StatusCode == http.StatusTooManyRequests:
					p.out.Add(1)
				default:
					p.other.Add(1)
				}
				if err == nil {
					res.Body.Close()
				}
			}
		})
	}
	return p
}

func (p *pressure) end() {
	close(p.stop)
	p.work.Wait()
}

// empty waits until the buckets of all have run empty.
func empty(t *testing.T, all []*pressure) {
	t.Helper()
	for _, p := range all {
		before := p.out.Load()
		eventually(t, "a call is turned away", func() bool { return p.out.Load() > before })
	}
}

// letIn is how many calls a second come in through all of them. It is counted from
// empty buckets to empty buckets, so that what a busy machine holds up counts too.
func letIn(t *testing.T, all []*pressure) float64 {
	t.Helper()
	sum := func() (n int64) {
		for _, p := range all {
			n += p.in.Load()
		}
		return n
	}
	empty(t, all)
	began, before := time.Now(), sum()
	time.Sleep(3 * time.Second)
	empty(t, all)
	return float64(sum()-before) / time.Since(began).Seconds()
}

// Three routers let in what one would, two of them too when one has left, and
// nobody forgets the others because the list is away.
func TestSharedLimit(t *testing.T) {
	hello := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(hello.Close)
	list := filepath.Join(t.TempDir(), "peers.yaml")
	lists := func(text string) {
		write(t, list+".new", text)
		if err := os.Rename(list+".new", list); err != nil {
			t.Fatal(err)
		}
	}
	names := func(addresses []string) string {
		return `services: { weir: ["` + strings.Join(addresses, `", "`) + `"] }`
	}
	lists("services: { weir: [] }")
	var routers []router
	var addresses []string
	for range 3 {
		r := startRouter(t, fmt.Sprintf("file: { path: %q }", list), strings.TrimPrefix(hello.URL, "http://"))
		find(t, 1, r)
		routers, addresses = append(routers, r), append(addresses, r.address)
	}
	lists(names(addresses))
	find(t, 3, routers...)
	routers[1].says(addresses[1]+"  yes", "peers")
	routers[1].says(addresses[2]+"  -", "peers")
	routers[1].says("now this router, one of 3, lets in 100 per second, 200 at once", "explain", "--url", routers[1].url)

	var all []*pressure
	for _, r := range routers {
		p := press(r)
		defer p.end()
		all = append(all, p)
	}
	near := func(what string, got float64) {
		t.Helper()
		if got < 0.9*sharedPerSecond || got > 1.1*sharedPerSecond {
			t.Errorf("%s let in %.1f calls a second, want %d", what, got, sharedPerSecond)
		}
		t.Logf("%s let in %.1f calls a second", what, got)
	}
	near("three routers", letIn(t, all))

	lists(names(addresses[:2]))
	routers[2].signal(os.Kill)
	routers, all = routers[:2], all[:2]
	left := time.Now()
	find(t, 2, routers...)
	t.Logf("after %d ms both have their half", time.Since(left).Milliseconds())
	near("the two that stay", letIn(t, all))

	lists("services: [")
	eventually(t, "the list is known to be broken", func() bool { return routers[0].metric("weir_discovery_refused") > 0 })
	find(t, 2, routers...)
	if err := os.Remove(list); err != nil {
		t.Fatal(err)
	}
	find(t, 2, routers...)
	for i, p := range all {
		if p.other.Load() > 0 {
			t.Errorf("%d calls through router %d were neither let in nor turned away", p.other.Load(), i)
		}
	}
	if said := routers[0].stderr.String(); !strings.Contains(said, `"left":["`+addresses[2]+`"]`) {
		t.Errorf("the log does not say who has left: %s", said)
	}
}

// Routers that are registered in Consul, each with its /readyz as the check.
func TestPeersInConsul(t *testing.T) {
	agent := testkit.StartConsul(t, "dc1", "")
	source := fmt.Sprintf("remember: known, consul: { address: %q }", agent.Address)
	register := func(r router) {
		host, port, _ := net.SplitHostPort(r.address)
		number, _ := strconv.Atoi(port)
		agent.Register(testkit.ConsulService{ID: r.address, Name: "weir", Address: host, Port: number, Checks: []testkit.ConsulCheck{
			{CheckID: r.address, HTTP: r.admin + "/readyz", Interval: "1s", Timeout: "1s"},
		}})
	}
	one, two := startRouter(t, source, "127.84.11.2:1"), startRouter(t, source, "127.84.11.2:1")
	find(t, 1, one, two)
	register(one)
	register(two)
	find(t, 2, one, two)
	one.says(one.address+"  yes", "peers")

	// Who drains leaves its part before it stops to serve.
	two.signal(syscall.SIGTERM)
	find(t, 1, one)
	if res, _, err := get(two.url + "/"); err != nil {
		t.Errorf("it does not serve any more: %v %v", res, err)
	}

	// A weir that is started while Consul is away knows who there was.
	agent.Register(testkit.ConsulService{ID: "far", Name: "weir", Address: "10.0.0.3", Port: 80})
	find(t, 2, one)
	eventually(t, "they are remembered", func() bool {
		known, err := os.ReadFile(filepath.Join(filepath.Dir(one.file), "known", "consul", "_peers.endpoints"))
		return err == nil && strings.Contains(string(known), "10.0.0.3:80")
	})
	agent.Kill()
	find(t, 2, one)
	one.signal(os.Kill)
	one.ended()
	one.running = startRun(t, one.file)
	find(t, 2, one)
}

func TestPartOf(t *testing.T) {
	for _, c := range []struct {
		routers string // an asterisk is this one
		want    shaping.Part
	}{
		{"", shaping.Part{}},
		{"*", shaping.Part{First: 0, Own: 1, Of: 1}},
		{"a * b", shaping.Part{First: 1, Own: 1, Of: 3}},
		{"a b *", shaping.Part{First: 2, Own: 1, Of: 3}},
		{"a * b *", shaping.Part{First: 1, Own: 2, Of: 4}},
	} {
		var routers []discovery.Router
		for _, r := range strings.Fields(c.routers) {
			routers = append(routers, discovery.Router{Address: r, Self: r == "*"})
		}
		if got := partOf(routers); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.routers, got, c.want)
		}
	}
}
