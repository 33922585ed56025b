package consul

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/testkit"
)

// An index is what WatchServices has reported.
type index struct {
	mu    sync.Mutex
	known map[string]string
	all   []string
}

// report notes of each service the tags of its instances, of one that does not
// serve with a question mark.
func (x *index) report(changed map[string][]Instance) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.known == nil {
		x.known = map[string]string{}
	}
	for name, instances := range changed {
		delete(x.known, name)
		var tags []string
		for _, i := range instances {
			for _, tag := range i.Tags {
				if !i.Serves {
					tag += "?"
				}
				tags = append(tags, tag)
			}
			for _, key := range slices.Sorted(maps.Keys(i.Metadata)) {
				tags = append(tags, key+":"+i.Metadata[key]+"@"+i.Datacenter)
			}
		}
		if len(instances) > 0 {
			x.known[name] = name + "=" + strings.Join(tags, ",")
		}
	}
	words := slices.Sorted(maps.Values(x.known))
	x.all = append(x.all, strings.Join(words, " "))
}

func (x *index) last() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.all) == 0 {
		return "nothing"
	}
	return x.all[len(x.all)-1]
}

func (x *index) until(t *testing.T, want string) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); x.last() != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("reported %q at last, want %q", x.all, want)
		}
	}
}

// Services come and go, in two datacenters, of which one is killed and comes
// back with nothing.
func TestWatchServices(t *testing.T) {
	east, west := testkit.StartConsul(t, "east", ""), testkit.StartConsul(t, "west", "")
	east.Join(west)
	cfg := config.Consul{
		Address: east.Address, Datacenters: map[string]string{"e": "east", "w": "west"},
		AllowStale: true, EmptyAfter: 2 * time.Second, MaxConnections: 16, TagRoutes: true,
	}
	r, err := New(cfg, "e", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	x, done := &index{}, make(chan struct{})
	keep := func(tag string) bool { return strings.HasPrefix(tag, "r") }
	go func() {
		defer close(done)
		r.WatchServices(ctx, nil, keep, x.report)
	}()
	x.until(t, "")
	register := func(c *testkit.Consul, id, name string, tags ...string) {
		c.Register(testkit.ConsulService{ID: id, Name: name, Address: "127.0.0.1", Port: 1, Tags: tags})
	}
	register(east, "a1", "a", "r1", "blue")
	register(east, "b1", "b", "blue") // says nothing of routes
	x.until(t, "a=blue,r1")
	register(east, "a1", "a", "r1")
	register(east, "a2", "a", "r2")
	register(west, "a3", "a", "r3")
	register(west, "c1", "c", "r4")
	x.until(t, "a=r1,r2,r3 c=r4")
	east.Maintain("a2", true)
	x.until(t, "a=r1,r2?,r3 c=r4")
	east.Deregister("a2")
	x.until(t, "a=r1,r3 c=r4")
	west.Register(testkit.ConsulService{ID: "c1", Name: "c", Address: "127.0.0.1", Port: 1, Tags: []string{"r4"}, Meta: map[string]string{"weir_route": "/c", "team": "t"}})
	x.until(t, "a=r1,r3 c=r4,weir_route:/c@west")
	began := time.Now()
	west.Deregister("c1")
	x.until(t, "a=r1,r3")
	if took := time.Since(began); took < cfg.EmptyAfter {
		t.Errorf("c was forgotten after %v, want %v at least", took, cfg.EmptyAfter)
	}
	east.Kill() // through which both are asked
	time.Sleep(time.Second)
	east.Restart()
	register(east, "a1", "a", "r1")
	east.Join(west)
	x.mu.Lock()
	told := len(x.all)
	x.mu.Unlock()
	time.Sleep(3 * time.Second)
	if x.mu.Lock(); len(x.all) != told {
		t.Errorf("an outage was told as %q", x.all[told:])
	}
	x.mu.Unlock()
	register(east, "d1", "d", "r5")
	x.until(t, "a=r1,r3 d=r5")
	cancel()
	<-done
}

// What is not named stays for a while, however often it is said.
func TestListingLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Registry{cfg: config.Consul{EmptyAfter: 10 * time.Second}}
		dc := newDatacenter(r, "e", "")
		l := listing{query: newQuery(r, key{dc, "*"}, nil), keep: func(string) bool { return true }, missing: map[string]time.Time{}}
		index := uint64(1)
		take := func(want bool, stand string, named ...string) {
			t.Helper()
			services := map[string][]string{}
			for _, name := range named {
				services[name] = []string{"tag"}
			}
			index++
			news := l.take(services, &api.QueryMeta{LastIndex: index}, time.Now())
			if got := strings.Join(slices.Sorted(maps.Keys(l.services)), " "); news != want || got != stand {
				t.Errorf("%v: %s stand, news %v; want %s, %v", named, got, news, stand, want)
			}
		}
		take(true, "")
		take(true, "a b", "a", "b")
		take(false, "a b", "a")
		time.Sleep(9 * time.Second)
		take(false, "a b", "a")
		take(false, "a b", "a", "b") // it is back
		time.Sleep(9 * time.Second)
		take(false, "a b", "a")
		time.Sleep(10 * time.Second)
		take(true, "a", "a")
	})
}
