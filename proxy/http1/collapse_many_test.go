package http1_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/coldstart"
)

// Of a thousand calls that ask for the same at once one reaches the endpoint. Each has
// the same answer under its own id, and a record of its own.
func TestThousandAskForTheSame(t *testing.T) {
	s := newSight(t)
	g := start(t, s.doc(""), parts{prepare: trustLoopback})
	var clients []*client
	const n = 1000
	for i := range n {
		c := g.dial()
		_ = c.SetDeadline(time.Now().Add(time.Minute)) // beside others' work a thousand take a while
		fmt.Fprintf(c, "GET /a?b=%%20 HTTP/1.1\r\nHost: h\r\nUser-Agent: %d\r\nX-Request-Id: id-%d\r\n\r\n", i, i)
		clients = append(clients, c)
		if i == 0 {
			g.waiting(0)
			eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
		}
	}
	g.waiting(n - 1)
	body := strings.Repeat("0123456789abcdef", 5000)
	s.answers(reply(body, "Date: Mon, 23 Nov 2026 00:00:00 GMT", "Etag: \"7\"", "Keep-Alive: timeout=5"))
	for i, c := range clients {
		r, got, err := c.answer("GET")
		if err != nil || got != body || r.StatusCode != 200 {
			t.Fatalf("call %d: %v, %d bytes", i, err, len(got))
		}
		marked := ""
		if i > 0 {
			marked = "1"
		}
		h := r.Header
		if h.Get("X-Request-Id") != fmt.Sprint("id-", i) || h.Get("X-Weir-Collapsed") != marked || h.Get("Etag") != `"7"` ||
			h.Get("Date") != "Mon, 23 Nov 2026 00:00:00 GMT" || len(h["Date"]) != 1 || h.Get("Via") != "1.1 weir" || h.Get("Keep-Alive") != "" {
			t.Fatalf("call %d: %v", i, h)
		}
	}
	if asked := s.asked.Load(); asked != 1 {
		t.Errorf("the endpoint was asked %d times", asked)
	}
	tries := 0
	for i := range n {
		r := g.record(1 + i)
		tries += r.tries
		if r.status != 200 || r.out != int64(len(body)) || r.held != 0 {
			t.Fatalf("recorded %+v", r)
		}
	}
	if tries != 1 {
		t.Errorf("%d tries are recorded", tries)
	}
	g.landed()

	// It is no cache: the next one asks anew.
	c := g.dial()
	c.send("GET /a?b=%20 HTTP/1.1\r\nHost: h\r\n\r\n")
	s.answers(reply("anew"))
	if got := c.want("GET", 200); got != "anew" {
		t.Errorf("%q", got)
	}
}

// A thousand calls of a function that is down: one stands in line.
func TestThousandAskForTheSameOfWhatIsDown(t *testing.T) {
	s := &stage{}
	doc := "functions: { f: { collapse: {}, cold_start: { scaler: process, max_pending: 2 }, process: { command: [none] } } }\nroutes: [{ path_prefix: /, function: f }]\n"
	g := start(t, doc, parts{provider: s, scalers: map[string]coldstart.Scaler{"process": s}})
	var clients []*client
	const n = 1000
	for i := range n {
		c := g.dial()
		_ = c.SetDeadline(time.Now().Add(time.Minute)) // beside others' work a thousand take a while
		c.send(get)
		clients = append(clients, c)
		if i == 0 {
			g.held(1)
		}
	}
	g.waiting(n - 1)
	g.held(1)
	other := g.dial()
	other.send("GET /other HTTP/1.1\r\nHost: h\r\n\r\n")
	g.held(2)
	var asked atomic.Int64
	s.raise(t, 0, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		echo(w, r)
	})
	for i, c := range clients {
		r, body, err := c.answer("GET")
		if err != nil || body != `GET / ""` || r.Header.Get("X-Weir-Cold") != "held" {
			t.Fatalf("call %d: %v %v %q", i, err, r, body)
		}
	}
	if got := other.want("GET", 200); got != `GET /other ""` {
		t.Errorf("%q", got)
	}
	if asked.Load() != 2 || s.ups.Load() != 1 {
		t.Errorf("asked %d times, %d starts", asked.Load(), s.ups.Load())
	}
	for i := range n {
		if r := g.record(1 + i); r.held == 0 {
			t.Fatalf("recorded %+v", r)
		}
	}
	g.landed()
}

// There are bounds to how many follow, and to what is kept for them.
func TestCollapseIsBounded(t *testing.T) {
	s := newSight(t)
	g := start(t, s.doc("max_followers: 2, max_body: 100, max_bytes: 150"), parts{})
	ask := func(path string) *client {
		c := g.dial()
		c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
		return c
	}
	var clients []*client
	for i := range 3 {
		clients = append(clients, ask("/a"))
		if i == 0 {
			eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
		} else {
			g.waiting(i)
		}
	}
	clients = append(clients, ask("/a"))
	eventually(t, "one too many asks for itself", func() bool { return s.asked.Load() == 2 })
	for range 2 {
		s.answers(reply("x"))
	}
	for _, c := range clients {
		c.want("GET", 200)
	}
	g.landed()
}

// A follower is counted by the function's limit as any other call.
func TestFollowersAreLimited(t *testing.T) {
	s := newSight(t)
	g := start(t, strings.Replace(s.doc(""), "f: {", "f: { rate_limit: { requests: 2, window: 1h, key: function },", 1), parts{})
	leads, follows, over := g.dial(), g.dial(), g.dial()
	leads.send(get)
	eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
	follows.send(get)
	g.waiting(1)
	over.send(get)
	over.want("GET", 429)
	s.answers(reply("x"))
	leads.want("GET", 200)
	r, _, err := follows.answer("GET")
	if err != nil || r.Header.Get("RateLimit") == "" {
		t.Errorf("%v %v", err, r)
	}
}

// A call allocates nothing for that others may follow it.
func TestCollapseAllocs(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	g := start(t, strings.Replace(one(silentEndpoint(t)), "f: {", "f: { collapse: {},", 1), parts{})
	g.quiet = true
	for _, fields := range []string{"", "Cookie: a=b\r\n"} {
		if per := g.mallocsPerCall("GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test/1\r\nAccept: */*\r\n" + fields + "\r\n"); per > 0.2 {
			t.Errorf("with %q a call allocates %.2f times", fields, per)
		}
	}
}

// Whatever clients and endpoints do, every call has one whole answer that is its
// question's, and nothing is left behind.
func TestCollapseUnderStress(t *testing.T) {
	var tries atomic.Int64
	doc := backend(t, func(w http.ResponseWriter, r *http.Request) {
		n := tries.Add(1)
		time.Sleep(time.Duration(n%5) * time.Millisecond)
		switch n % 11 {
		case 0:
			panic(http.ErrAbortHandler)
		case 1:
			w.WriteHeader(500)
		case 2:
			w.Header().Set("Set-Cookie", "a=b")
		case 3:
			w.Header().Set("Content-Length", fmt.Sprint(len(r.URL.Path)+1))
		}
		fmt.Fprintf(w, "%s.", r.URL.Path)
		if n%11 == 4 {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler) // in the middle
		}
	})
	doc = strings.Replace(doc, "f: {", "f: { collapse: { max_followers: 20, max_body: 1KiB, max_bytes: 3KiB }, concurrency: { max_requests: 4, max_pending: 1000, queue_timeout: 10s },", 1)
	g := start(t, doc, parts{})
	g.quiet = true
	var shared, whole atomic.Int64
	var work sync.WaitGroup
	for i := range 40 {
		work.Go(func() {
			for j := range 60 {
				nc, err := net.Dial("tcp", g.addr)
				if err != nil {
					t.Error(err)
					return
				}
				_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
				path := fmt.Sprintf("/%d.%d%s", j/6, j%3, strings.Repeat("x", 100*(j%3))) // others after a while: those go apart of which one had a cookie
				fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path)
				if (i+j)%7 == 0 {
					_ = nc.Close() // in the middle of whatever it is
					continue
				}
				r, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: "GET"})
				if err != nil { // its first bytes may have been lost with the reset
					if !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF) {
						t.Errorf("no answer: %v", err)
					}
					_ = nc.Close()
					continue
				}
				body, err := io.ReadAll(r.Body)
				switch {
				case err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, unix.ECONNRESET):
					t.Errorf("%v", err)
				case err == nil && r.StatusCode == 200:
					whole.Add(1)
					if string(body) != path+"." {
						t.Errorf("asked for %s, got %q", path, body)
					}
				case err == nil && r.StatusCode != 500 && r.StatusCode != 502:
					t.Errorf("%d %s", r.StatusCode, body)
				}
				if r.Header.Get("X-Weir-Collapsed") != "" {
					shared.Add(1)
					if err != nil || r.StatusCode != 200 || r.Header.Get("Set-Cookie") != "" {
						t.Errorf("shared: %v %v", err, r)
					}
				}
				_ = nc.Close()
			}
		})
	}
	work.Wait()
	g.landed()
	if inside, _ := g.keeper.Table().Functions["f"].Gate.Inside(); inside != 0 {
		eventually(t, "nobody is inside", func() bool {
			inside, _ := g.keeper.Table().Functions["f"].Gate.Inside()
			return inside == 0
		})
	}
	t.Logf("%d whole answers, %d of them shared, %d tries", whole.Load(), shared.Load(), tries.Load())
	if shared.Load() == 0 {
		t.Error("nothing was shared")
	}
}

// The memory for an answer of which the length is known is counted as soon as it is taken.
func TestRoomForAnswersIsCounted(t *testing.T) {
	s := newSight(t)
	g := start(t, s.doc("max_body: 100, max_bytes: 150"), parts{})
	leads, follows := g.dial(), g.dial()
	leads.send(get)
	eventually(t, "it is on its way", func() bool { return s.asked.Load() == 1 })
	follows.send(get)
	g.waiting(1)
	s.answers("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n") // of which the body does not come
	eventually(t, "all of it is counted", func() bool {
		_, bytes := g.keeper.Table().Functions["f"].Flights.Waiting()
		return bytes == 100
	})
	_, _ = leads.Close(), follows.Close()
	g.landed()
}
