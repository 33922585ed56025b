package http1_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/table"
)

// A slowpoke answers each request only when it is let, and tells how it went.
type slowpoke struct {
	addr  string
	asked atomic.Int64
	quick atomic.Bool // it answers at once
	say   chan string // what the next answer is
	gone  chan error  // of each request whose connection ended before: how
}

func newSlowpoke(t testing.TB) *slowpoke {
	s := &slowpoke{say: make(chan string), gone: make(chan error, 100)}
	s.addr = rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			if strings.Contains(h, "Content-Length: 2\r\n") {
				if _, err := br.Discard(2); err != nil {
					return
				}
			}
			s.asked.Add(1)
			if s.quick.Load() {
				if _, err := io.WriteString(nc, okWith("slow")); err != nil {
					return
				}
				continue
			}
			ended := make(chan error, 1)
			go func() {
				_, err := br.Peek(1)
				ended <- err
			}()
			select {
			case err := <-ended:
				s.gone <- err
				return
			case answer := <-s.say:
				if _, err := io.WriteString(nc, answer); err != nil {
					return
				}
			}
			if err := <-ended; err != nil {
				return
			}
		}
	})
	return s
}

func okWith(what string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(what), what)
}

// hedged is a function of which the first call goes to the first address, and its
// hedge to another.
func hedged(settings string, addrs ...string) string {
	return under("load_balancing: { policy: round_robin }, hedging: { after: 5ms, budget: { percent: 100, min_per_second: 1000 } }"+settings, addrs...)
}

// wasReset waits until the slowpoke's request has been given up, and how.
func (s *slowpoke) wasReset(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.gone:
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the try that lost ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the try that lost goes on")
	}
}

func TestHedgeWins(t *testing.T) {
	t.Parallel()
	slow := newSlowpoke(t)
	g := start(t, hedged(", outlier_detection: { consecutive_5xx: 1, max_ejection_percent: 100 }, circuit_breaker: { consecutive_failures: 1 }",
		slow.addr, says(t, okWith("quick"))), parts{})
	c := g.dial()
	for range 4 { // of two calls in turn one goes to the slow one
		c.send(get)
		if body := c.want("GET", 200); body != "quick" {
			t.Errorf("answered %q", body)
		}
	}
	fn := g.keeper.Table().Functions["f"]
	var hedges, won int
	for n := 1; n <= 4; n++ {
		r := g.record(n)
		if r.hedged {
			hedges++
		}
		if r.hedgeWon {
			won++
		}
		if r.status != 200 || r.tries != 1 {
			t.Errorf("recorded %+v", r)
		}
	}
	if won != 2 || hedges < won { // on a busy machine the quick one may take long too
		t.Errorf("%d hedged, %d won", hedges, won)
	}
	for range slow.asked.Load() { // a hedge may have been over before it was connected
		slow.wasReset(t)
	}
	for i := range 2 {
		if ep := g.endpoint(i); ep.Link.Slots.InFlight() != 0 || ep.State(moment.Now()) != table.Healthy {
			t.Errorf("endpoint %d: %d in flight, %s", i, ep.Link.Slots.InFlight(), ep.State(moment.Now()))
		}
	}
	if fn.Breaker.State() != 0 {
		t.Error("the circuit minds a try that lost")
	}
	if n := fn.Account.Closed(table.Canceled); n < 2 || n > int64(hedges) {
		t.Errorf("%d connections were canceled, %d hedged", n, hedges)
	}
}

func TestHedgeLoses(t *testing.T) {
	t.Parallel()
	first, second := newSlowpoke(t), newSlowpoke(t)
	g := start(t, hedged("", first.addr, second.addr), parts{})
	c := g.dial()
	c.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
	eventually(t, "both have it", func() bool { return first.asked.Load() == 1 && second.asked.Load() == 1 })
	first.say <- "HTTP/1.1 200 OK\r\nX-From: first\r\nContent-Length: 5\r\n\r\n"
	r, _, err := c.answer("HEAD")
	if err != nil || r.Header.Get("X-From") != "first" {
		t.Fatal(r, err)
	}
	second.wasReset(t)
	if r := g.record(1); !r.hedged || r.hedgeWon || r.tries != 1 {
		t.Errorf("recorded %+v", r)
	}
	// The connection of the one that counts is used again.
	c.send(get)
	eventually(t, "both have it", func() bool { return first.asked.Load() == 2 && second.asked.Load() == 2 })
	second.say <- okWith("second") // it is the first try's this time
	if body := c.want("GET", 200); body != "second" {
		t.Error(body)
	}
	first.wasReset(t)
}

// Whichever of the two fails, the other is waited for.
func TestHedgeAndFailures(t *testing.T) {
	t.Parallel()
	f := func(name, settings string, play func(t *testing.T, first, second *slowpoke), status int, body, cause string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			first, second := newSlowpoke(t), newSlowpoke(t)
			g := start(t, hedged(", retries: { attempts: 0 }"+settings, first.addr, second.addr), parts{})
			c := g.dial()
			c.send(get)
			eventually(t, "both have it", func() bool { return first.asked.Load() == 1 && second.asked.Load() == 1 })
			play(t, first, second)
			r, got, err := c.answer("GET")
			if err != nil || r.StatusCode != status || body != "" && got != body {
				t.Fatal(r, got, err)
			}
			if r := g.record(1); !r.hedged || r.cause != cause {
				t.Errorf("recorded %+v", r)
			}
			for i := range 2 {
				if n := g.endpoint(i).Link.Slots.InFlight(); n != 0 {
					t.Errorf("%d in flight at endpoint %d", n, i)
				}
			}
		})
	}
	broken, failed := "HTTP/9 nonsense\r\n\r\n", "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\noh"
	f("the first is broken", "", func(_ *testing.T, first, second *slowpoke) {
		first.say <- broken
		second.say <- okWith("second")
	}, 200, "second", "")
	f("the second is broken", "", func(_ *testing.T, first, second *slowpoke) {
		second.say <- broken
		first.say <- okWith("first")
	}, 200, "first", "")
	f("the second fails", "", func(_ *testing.T, first, second *slowpoke) {
		second.say <- failed
		first.say <- okWith("first")
	}, 200, "first", "")
	f("the first fails", "", func(t *testing.T, first, second *slowpoke) {
		first.say <- failed
		second.wasReset(t)
	}, 500, "oh", "")
	f("both are broken", "", func(_ *testing.T, first, second *slowpoke) {
		second.say <- broken
		first.say <- broken
	}, 502, "", "UPE")
	f("neither is in time", ", timeouts: { request: 200ms }", func(t *testing.T, first, second *slowpoke) {
		first.isLeft(t)
		second.isLeft(t)
	}, 504, "", "UT")
}

// isLeft waits until the slowpoke's request has been given up, in whatever way.
func (s *slowpoke) isLeft(t *testing.T) {
	t.Helper()
	select {
	case <-s.gone:
	case <-time.After(10 * time.Second):
		t.Error("the try goes on")
	}
}

func TestClientLeavesBothTries(t *testing.T) {
	t.Parallel()
	first, second := newSlowpoke(t), newSlowpoke(t)
	g := start(t, hedged("", first.addr, second.addr), parts{})
	c := g.dial()
	c.send(get)
	eventually(t, "both have it", func() bool { return first.asked.Load() == 1 && second.asked.Load() == 1 })
	_ = c.Close()
	first.wasReset(t)
	second.wasReset(t)
	if r := g.record(1); r.status != 499 {
		t.Errorf("recorded %+v", r)
	}
}

// Nobody is asked twice who might mind, and nobody beyond the budget.
func TestNotHedged(t *testing.T) {
	t.Parallel()
	f := func(name, doc, request string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			first, second := newSlowpoke(t), newSlowpoke(t)
			g := start(t, strings.NewReplacer("FIRST", first.addr, "SECOND", second.addr).Replace(doc), parts{})
			c := g.dial()
			c.send(request)
			eventually(t, "one has it", func() bool { return first.asked.Load()+second.asked.Load() == 1 })
			time.Sleep(40 * time.Millisecond) // eight times as long as it would take
			for _, s := range []*slowpoke{first, second} {
				for range s.asked.Load() {
					s.say <- okWith("ok")
				}
			}
			c.want("GET", 200)
			if r := g.record(1); r.hedged || first.asked.Load()+second.asked.Load() != 1 {
				t.Errorf("recorded %+v, asked %d and %d", r, first.asked.Load(), second.asked.Load())
			}
		})
	}
	two := hedged("", "FIRST", "SECOND")
	f("a POST", two, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
	f("a DELETE", two, "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n")
	f("a body", two, "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
	f("an upgrade", two, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	f("one endpoint", hedged("", "FIRST"), get)
	f("no budget", strings.Replace(two, "percent: 100, min_per_second: 1000", "percent: 0, min_per_second: 0", 1), get)
	f("the p95 is not known", strings.Replace(two, "after: 5ms", "after: p95", 1), get)
	f("no place", strings.Replace(two, "hedging", "concurrency: { max_requests: 1 }, hedging", 1), get)
}

// What is hedged at what time is learned from the answers themselves.
func TestHedgedAfterTheP95(t *testing.T) {
	t.Parallel()
	var slowly atomic.Bool
	var addrs []string
	gone := make(chan struct{}, 1)
	for i := range 3 {
		addrs = append(addrs, rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
			for {
				if _, err := head(br); err != nil {
					return
				}
				if i == 0 && slowly.Load() {
					awaitGone(nc)
					gone <- struct{}{}
					return
				}
				if _, err := io.WriteString(nc, ok); err != nil {
					return
				}
			}
		}))
	}
	doc := strings.Replace(hedged("", addrs...), "after: 5ms", "after: p90", 1)
	g := start(t, doc, parts{})
	g.quiet = true
	c := g.dial()
	for range 250 {
		c.send(get)
		c.want("GET", 200)
	}
	slowly.Store(true)
	for range 3 { // one of them is the first one's
		c.send(get)
		c.want("GET", 200)
	}
	<-gone
}

// Answers, losers, clients that leave, all at once: every slot comes back, and nobody
// has another's answer.
func TestHedgingUnderSiege(t *testing.T) {
	t.Parallel()
	var addrs []string
	for range 4 {
		addrs = append(addrs, rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
			for n := 0; ; n++ {
				h, err := head(br)
				if err != nil {
					return
				}
				path := strings.Fields(h)[1]
				time.Sleep(time.Duration(len(path)*n%7) * time.Millisecond)
				if _, err := io.WriteString(nc, okWith(path)); err != nil {
					return
				}
			}
		}))
	}
	doc := strings.Replace(hedged(", concurrency: { max_requests: 24, max_pending: 100, queue_timeout: 10s }", addrs...), "after: 5ms", "after: 2ms", 1)
	g := start(t, doc, parts{})
	g.quiet = true
	var work sync.WaitGroup
	for i := range 16 {
		c := g.dial()
		work.Go(func() {
			for n := range 60 {
				path := fmt.Sprintf("/%d/%d", i, n)
				c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
				if i%4 == 3 && n%20 == 19 {
					time.Sleep(3 * time.Millisecond)
					_ = c.Close()
					c = g.dial()
					continue
				}
				r, body, err := c.answer("GET")
				if err != nil || r.StatusCode != 200 || body != path {
					t.Errorf("%s: %v %q %v", path, r, body, err)
					return
				}
			}
		})
	}
	work.Wait()
	fn := g.keeper.Table().Functions["f"]
	eventually(t, "all has come back", func() bool {
		n := fn.Places.InFlight()
		for i := range 4 {
			n += g.endpoint(i).Link.Slots.InFlight()
		}
		return n == 0 && g.proxy.InFlight() == 0
	})
}

// An endpoint that answers nothing in time is asked last, after it has been outrun
// three times in a row; and as before once it answers in time again.
func TestOutrunEndpointIsAskedLast(t *testing.T) {
	slow := newSlowpoke(t)
	settings := "load_balancing: { policy: least_request }, hedging: { after: 50ms, budget: { percent: 100, min_per_second: 1000 } }"
	var n counting
	g := start(t, under(settings, slow.addr, rawEndpoint(t, n.serve(answers)), rawEndpoint(t, n.serve(answers))), parts{})
	c := g.dial()
	ask := func(times int) (met int64) {
		before := slow.asked.Load()
		for range times {
			c.send(get)
			c.want("GET", 200)
		}
		return slow.asked.Load() - before
	}
	began := time.Now()
	met := ask(100)
	// It may be tried again after 1 s, and after 2 s more.
	if again := int64(time.Since(began)/time.Second) + 1; met < 3 || met > 3+again {
		t.Errorf("met %d of 100 calls in %v", met, time.Since(began))
	}
	slow.quick.Store(true)
	eventually(t, "it is asked as often as the others", func() bool { return ask(30) >= 5 })
}

// A third of the budget is for calls that have waited twice as long: the seven that
// are late first take the rest, and the next three are hedged all the same, but later.
func TestHedgesAreSavedForTheSlowest(t *testing.T) {
	var n atomic.Int64
	serve := func(nc net.Conn, br *bufio.Reader) { // the first try of each call is never answered
		for {
			if _, err := head(br); err != nil {
				return
			}
			if n.Add(1)%2 == 1 {
				awaitGone(nc)
				return
			}
			if _, err := io.WriteString(nc, ok); err != nil {
				return
			}
		}
	}
	const after = 50 * time.Millisecond
	settings := "hedging: { after: 50ms, budget: { percent: 0, min_per_second: 1 } }, timeouts: { request: 1s }"
	g := start(t, under(settings, rawEndpoint(t, serve), rawEndpoint(t, serve)), parts{})
	g.quiet = true
	c := g.dial()
	began := time.Now()
	for i := range 10 {
		sent := time.Now()
		c.send(get)
		c.want("GET", 200)
		if took := time.Since(sent); i >= 7 && took < 2*after && time.Since(began) < 9*time.Second {
			t.Errorf("call %d of ten has had its second try after less than %v", i+1, took)
		}
	}
	c.send(get)
	if time.Since(began) < 9*time.Second { // else the budget is a new one
		c.want("GET", 504)
		if refused := g.keeper.Table().Functions["f"].Hedges.Refused(); refused != 1 {
			t.Errorf("%d calls were refused a second try, want 1", refused)
		}
	}
}
