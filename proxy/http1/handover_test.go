package http1_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/table"
)

// A router is one of two routers with a function that one of them holds.
type router struct {
	*gateway
	*stage
	handed atomic.Int64 // calls that it has handed over
}

func newRouter(t *testing.T, settings string, prepare func(*config.Config)) *router {
	p := &router{stage: &stage{}}
	p.gateway = p.stage.start(t, settings, parts{prepare: func(cfg *config.Config) {
		cfg.Functions["f"].ColdStart.Placement = "one_router" // Parse would want peers, whose addresses nobody knows yet
		prepare(cfg)
	}})
	p.peek = func(c *proxy.Call) {
		if c.HandedTo() != nil {
			p.handed.Add(1)
		}
	}
	return p
}

// routers starts two, of which the second holds the function. The first one has others
// before that.
func routers(t *testing.T, here, there string, prepare func(*config.Config), before ...string) (asked, holder *router) {
	t.Helper()
	asked, holder = newRouter(t, here, func(*config.Config) {}), newRouter(t, there, prepare)
	holder.keeper.Routers([]table.Router{{Address: holder.addr, Self: true}})
	asked.handsTo(t, append(before, holder.addr)...)
	return asked, holder
}

// handsTo has a router know others, and come after all of them, as nobody lists it.
func (p *router) handsTo(t *testing.T, others ...string) {
	t.Helper()
	all := []table.Router{{Self: true}}
	for _, address := range others {
		all = append(all, table.Router{Address: address})
	}
	p.keeper.Routers(all)
	eventually(t, "the others are known", func() bool {
		var known []string
		for _, holder := range p.keeper.Table().Functions["f"].Holders() {
			known = append(known, holder.Addr)
		}
		return slices.Equal(slices.Sorted(slices.Values(known)), slices.Sorted(slices.Values(others)))
	})
}

// sees answers with what an instance is told.
func sees(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %q %d", name, r.Method, r.RequestURI, r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Weir-Handed"), len(body))
	}
}

// A call at a router that does not hold the function is held by the one that does, and
// answered from there, with all of its body and the client's address. Nothing is started
// here. The next one finds the instance up.
func TestHandOver(t *testing.T) {
	t.Parallel()
	asked, holder := routers(t, "", "", trustLoopback)
	c := asked.dial()
	c.send("POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300_000))
	holder.held(1)
	holder.raise(t, 0, sees("there"))
	r, body, err := c.answer("POST")
	if want := `there POST /a?b 127.0.0.1, 127.0.0.1 "" 300000`; err != nil || r.StatusCode != 200 || body != want {
		t.Fatalf("%v %v\n%s\n%s", err, r, body, want)
	}
	if r.Header.Get("X-Weir-Handed") != "" || r.Header.Get("X-Weir-Cold") != "held" || len(r.Header["X-Weir-Cold"]) != 1 {
		t.Errorf("the client was told %v", r.Header)
	}
	c.send(get)
	if cold, _ := c.wantCold(); cold != "hit" {
		t.Errorf("the second call: %s", cold)
	}
	if here, there := asked.ups.Load(), holder.ups.Load(); here != 0 || there != 1 {
		t.Errorf("%d starts here, %d there", here, there)
	}
	if r := asked.record(2); r.tries != 1 || r.held != 0 || asked.handed.Load() != 2 {
		t.Errorf("%+v, %d handed over", r, asked.handed.Load())
	}
}

// Beyond what one instance takes calls have one here, and stay as long as it is up.
func TestHandOverIsForFew(t *testing.T) {
	t.Parallel()
	asked, holder := routers(t, ", concurrency: 2", "", trustLoopback)
	open := make(chan struct{})
	var inside atomic.Int64
	there := holder.dial()
	there.send(get)
	holder.held(1)
	holder.raise(t, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			inside.Add(1)
			<-open
		}
		hello(w, r)
	})
	there.want("GET", 200)
	var waiting []*client
	for range 3 {
		c := asked.dial()
		c.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
		waiting = append(waiting, c)
	}
	eventually(t, "two are there", func() bool { return inside.Load() == 2 })
	asked.held(1)
	asked.inState("starting")
	asked.raise(t, 0, sees("here"))
	eventually(t, "the third is answered here", func() bool { return asked.keeper.Table().Functions["f"].Hold.Empty() })
	c := asked.dial()
	c.send(get)
	if body := c.want("GET", 200); !strings.HasPrefix(body, "here") {
		t.Errorf("though one is up here: %s", body)
	}
	close(open)
	for _, c := range waiting {
		c.want("GET", 200)
	}
	if n := asked.handed.Load(); n > 2 {
		t.Errorf("%d were handed over", n)
	}
	asked.set() // ours has gone: the holder has the calls again
	asked.inState("cold")
	c.send(get)
	if body := c.want("GET", 200); body != "hello" {
		t.Errorf("%s", body)
	}
}

// One held call that the holder woke: places come free, and whoever waits here for a
// start goes there.
func TestHeldCallIsHandedOver(t *testing.T) {
	t.Parallel()
	asked, holder := routers(t, ", concurrency: 1", "", trustLoopback)
	there := holder.dial()
	there.send(get)
	holder.held(1)
	first, second := make(chan struct{}), make(chan struct{})
	holder.raise(t, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			close(first)
			<-second
		}
		hello(w, r)
	})
	there.want("GET", 200)
	one, two := asked.dial(), asked.dial()
	one.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
	<-first
	two.send(get)
	asked.held(1)
	close(second)
	one.want("GET", 200)
	two.want("GET", 200) // though nothing has started here
}

// lookAgain is how often a held call that was tried before looks again.
const lookAgain = 100 * time.Millisecond

// Whatever keeps the holder from taking a call, it is held here, with its body.
func TestHolderDoesNotTakeIt(t *testing.T) {
	t.Parallel()
	gone, err := net.Listen("tcp", "127.84.0.11:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for _, c := range []struct {
		name, there string
		prepare     func(*config.Config)
		arrange     func(asked, holder *router)
		before      []string
		tries       int // that failed
	}{
		{name: "it does not trust us", prepare: func(*config.Config) {}, tries: 1},
		{name: "its line is full", there: ", max_pending: 1", prepare: trustLoopback, tries: 1, arrange: func(_, holder *router) {
			holder.dial().send(get)
			holder.held(1)
		}},
		{name: "it shuts down", prepare: trustLoopback, tries: 1, arrange: func(_, holder *router) { holder.proxy.ShutDown() }},
		{name: "it does not hold it", prepare: func(cfg *config.Config) {
			trustLoopback(cfg)
			cfg.Functions["f"].ColdStart.Placement = "each_router"
		}, tries: 1},
		{name: "nobody listens", arrange: func(asked, _ *router) { asked.handsTo(t, gone.Addr().String()) }, prepare: trustLoopback, tries: 1},
		{name: "neither of two", before: []string{gone.Addr().String()}, prepare: func(*config.Config) {}, tries: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			asked, holder := routers(t, "", c.there, c.prepare, c.before...)
			if c.arrange != nil {
				c.arrange(asked, holder)
			}
			d := asked.dial()
			d.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
			asked.held(1)
			time.Sleep(3 * lookAgain) // it looks for a slot again, and asks nobody anew
			asked.raise(t, 0, sees("here"))
			if body := d.want("POST", 200); body != `here POST / 127.0.0.1 "" 5` {
				t.Errorf("%s", body)
			}
			if r := asked.record(1); r.tries != c.tries+1 || asked.handed.Load() != 0 {
				t.Errorf("%+v, %d handed over", r, asked.handed.Load())
			}
		})
	}
}

// The holder is gone, the next one takes the call.
func TestNextHolder(t *testing.T) {
	t.Parallel()
	// Of any two addresses this one is the first for f, but for one time in 10,000.
	asked, holder := routers(t, "", "", trustLoopback, "127.84.75.121:1")
	began := time.Now()
	c := asked.dial() // one connection, so that the records come in the order of the calls
	for i := range 3 {
		c.send(get)
		if i == 0 {
			holder.held(1)
			holder.raise(t, 0, hello)
		}
		c.want("GET", 200)
	}
	quick := time.Since(began) < time.Second // else it may have rested for long enough
	if one, two := asked.record(1), asked.record(2); one.tries != 2 || quick && two.tries != 1 {
		t.Errorf("%d tries, then %d: who refuses a connection rests for a while", one.tries, two.tries)
	}
}

// Who is no router, and answers, is not asked again for a while.
func TestHandOverToAStranger(t *testing.T) {
	t.Parallel()
	asked := newRouter(t, "", func(*config.Config) {})
	stranger := httptest.NewServer(http.NotFoundHandler())
	defer stranger.Close()
	asked.handsTo(t, stranger.Listener.Addr().String())
	c := asked.dial()
	c.send(get)
	c.want("GET", 404) // it may have done something
	c.send(get)
	asked.held(1)
	asked.raise(t, 0, hello)
	c.want("GET", 200)
}

// A client that says it was handed over is not believed, and one that is means only what
// is handed over.
func TestNobodyHandsOver(t *testing.T) {
	t.Parallel()
	_, stranger := routers(t, "", "", func(*config.Config) {})
	_, friend := routers(t, "", "", trustLoopback)
	for g, name := range map[*router]string{stranger: "f", friend: "g"} {
		c := g.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Weir-Handed: " + name + "\r\n\r\n")
		if r, _ := c.problem(421); r.Header.Get("X-Weir-Handed") != "refused" {
			t.Errorf("%v", r.Header)
		}
		if n := g.ups.Load(); n != 0 {
			t.Errorf("%d starts", n)
		}
	}
}

// A client that leaves leaves the holder's line too, and one whose time is over is told
// so by its own router.
func TestHandedCallEnds(t *testing.T) {
	t.Parallel()
	asked, holder := routers(t, "", "", trustLoopback)
	c := asked.dial()
	c.send(get)
	holder.held(1)
	_ = c.Close()
	holder.held(0)
	if r := asked.record(1); r.cause != "DC" {
		t.Errorf("%+v", r)
	}
	d := asked.dial()
	d.send("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Timeout-Ms: 150\r\n\r\n")
	d.want("GET", 504)
	holder.held(0)
	eventually(t, "its place is free", func() bool {
		now, _ := asked.keeper.Table().Functions["f"].Handed()
		return now == 0
	})
}

// What a client may do is counted where it came in, not where its call is held.
func TestHandedCallIsCountedOnce(t *testing.T) {
	t.Parallel()
	one := config.RateLimits{{Requests: 1, Window: time.Hour, Burst: 1, Key: "function", MaxKeys: 10}}
	asked, holder := routers(t, "", "", func(cfg *config.Config) {
		trustLoopback(cfg)
		cfg.Functions["f"].RateLimit = one
	})
	for i := range 3 {
		c := asked.dial()
		c.send(get)
		if i == 0 {
			holder.held(1)
			holder.raise(t, 0, hello)
		}
		c.want("GET", 200)
	}
}
