package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// target is a server that does what the handler says, until the test ends.
func target(t testing.TB, h http.HandlerFunc, more ...func(*http.Server)) *http.Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Addr: ln.Addr().String(), Handler: h}
	for _, set := range more {
		set(s)
	}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	return s
}

func measure(t *testing.T, l Load) *Report {
	t.Helper()
	r, err := Run(t.Context(), l, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func steady(rate float64, d time.Duration) []Step { return []Step{{rate, rate, d}} }

// Every call that is due is made, once, as it was described.
func TestAnOpenLoopMakesEveryCall(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	s := target(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		seen[fmt.Sprint(r.Method, " ", r.URL, " ", r.Header.Get("X-Who"), " ", len(body))]++
		mu.Unlock()
		w.Header().Set("X-Region", "eu")
	})
	big := strings.Repeat("x", 1<<20) // more than a socket takes at once
	r := measure(t, Load{
		URL: s.Addr, Steps: steady(200, time.Second), Warmup: 100 * time.Millisecond, Timeout: time.Minute, Connections: 8, Workers: 2, ShareBy: "x-region", Seed: 1,
		Kinds: []Kind{
			{Weight: 9, URL: "/a?b=c", Header: map[string]string{"X-Who": "me"}},
			{Weight: 1, URL: "/b", Method: "POST", Body: []byte(big)},
		},
	})
	mu.Lock()
	defer mu.Unlock()
	a, b := seen["GET /a?b=c me 0"], seen[fmt.Sprintf("POST /b  %d", len(big))]
	if len(seen) != 2 || a+b != 220 || b == 0 || a < 4*b {
		t.Errorf("the target saw %v, want 220 calls, nine of ten to /a", seen)
	}
	if r.Calls != 200 || r.Warmup != 20 || r.Failed != 0 || r.Statuses["200"] != 200 || r.Kinds[0].Calls+r.Kinds[1].Calls != 200 {
		t.Errorf("reported: %d calls, %d before, %d failed, %v", r.Calls, r.Warmup, r.Failed, r.Statuses)
	}
	shares := int64(0)
	for _, s := range r.Seconds {
		shares += s.Shares["eu"]
	}
	if shares != 200 {
		t.Errorf("%d shares, want 200", shares)
	}
}

func TestAClosedLoopEndsAtItsCount(t *testing.T) {
	var calls atomic.Int64
	s := target(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	r := measure(t, Load{URL: s.Addr, Connections: 5, Workers: 2, Count: 1001, Duration: time.Minute})
	if r.Calls != 1001 || calls.Load() != 1001 || r.Failed != 0 {
		t.Errorf("%d calls, the target saw %d, want 1001", r.Calls, calls.Load())
	}
}

// The target stalls once, and knows how long. From sending nobody but the calls
// on the wire has waited; from the intended time all that were due meanwhile.
func TestAStalledTargetIsReported(t *testing.T) {
	var once sync.Once
	var gate sync.RWMutex
	stalled := make(chan time.Duration, 1)
	var calls atomic.Int64
	s := target(t, func(http.ResponseWriter, *http.Request) {
		if calls.Add(1) == 50 {
			once.Do(func() {
				gate.Lock()
				began := time.Now()
				time.Sleep(time.Second)
				stalled <- time.Since(began)
				gate.Unlock()
			})
		}
		gate.RLock()
		defer gate.RUnlock()
	})
	r := measure(t, Load{URL: s.Addr, Connections: 4, Steps: steady(200, 2*time.Second), Timeout: time.Minute})
	took := <-stalled
	if r.Calls != 400 || r.Failed != 0 {
		t.Fatalf("%d calls, %d failed", r.Calls, r.Failed)
	}
	if r.Corrected.Max < took*99/100 {
		t.Errorf("the target stalled for %s, the longest call is said to have taken %s", took, r.Corrected.Max)
	}
	// Half of the calls were due in the stall, on average in its middle; four
	// connections saw it.
	if r.Corrected.P90 < took/2 {
		t.Errorf("p90 is %s with a stall of %s in 2 s", r.Corrected.P90, took)
	}
	if r.Uncorrected.Mean >= r.Corrected.Mean/2 {
		t.Errorf("from sending the mean is %s, from the intended time %s: the stall is hidden from neither", r.Uncorrected.Mean, r.Corrected.Mean)
	}
}

// Latencies lie between what the target itself took and no bound: how busy the
// machine is nobody knows.
func TestLatenciesOfARealTarget(t *testing.T) {
	var mu sync.Mutex
	var own []time.Duration
	s := target(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		began := time.Now()
		time.Sleep(time.Duration(len(own)%20) * time.Millisecond)
		own = append(own, time.Since(began))
	})
	r := measure(t, Load{URL: s.Addr, Connections: 1, Count: 100})
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(own)
	for _, c := range []struct {
		got time.Duration
		at  int
	}{{r.Uncorrected.P50, 49}, {r.Uncorrected.P90, 89}, {r.Uncorrected.P99, 98}} {
		if c.got < own[c.at]*99/100 {
			t.Errorf("the target took %s, the report says %s", own[c.at], c.got)
		}
	}
}

func TestConnectionsAreReplaced(t *testing.T) {
	var opened atomic.Int64
	s := target(t, func(http.ResponseWriter, *http.Request) {}, func(s *http.Server) {
		s.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
	})
	for _, c := range []struct {
		load Load
		want int64
	}{
		{Load{Connections: 2, Count: 100, PerConn: 1}, 100},
		{Load{Connections: 2, Count: 100, PerConn: 10}, 10},
		{Load{Connections: 2, Count: 100}, 2},
		{Load{Connections: 2, Steps: steady(100, time.Second), PerConn: 1}, 100},
	} {
		opened.Store(0)
		c.load.URL = s.Addr
		r := measure(t, c.load)
		// One or two may have been opened ahead and never used.
		if n := opened.Load(); r.Calls != 100 || r.Failed != 0 || n < c.want || n > c.want+2 {
			t.Errorf("%s: %d connections for %d calls, %d failed; want %d", r.Load, n, r.Calls, r.Failed, c.want)
		}
	}
}

func TestConnectionsComeFromTheirSources(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	s := target(t, func(_ http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		mu.Lock()
		seen[host]++
		mu.Unlock()
	})
	measure(t, Load{URL: s.Addr, Connections: 1, PerConn: 1, Count: 400, Seed: 1,
		Sources: []Source{{netip.MustParseAddr("127.0.0.2"), 3}, {netip.MustParseAddr("127.0.0.3"), 1}}})
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 2 || seen["127.0.0.2"] < 2*seen["127.0.0.3"] {
		t.Errorf("calls came from %v, want three of four from 127.0.0.2", seen)
	}
}

// What an answer can be but good, and how it is called.
func TestBadAnswersAreNamed(t *testing.T) {
	for _, c := range []struct {
		outcome string
		answer  string // without one: says nothing
	}{
		{"garbage", "hello\r\n\r\n"},
		{"garbage", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nmore than two"},
		{"broken", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nless"},
		{"broken", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
		{"deadline", ""},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					_, _ = conn.Read(make([]byte, 4096))
					if c.answer == "" {
						_, _ = conn.Read(make([]byte, 1)) // until the other side gives up
						return
					}
					_, _ = io.WriteString(conn, c.answer)
				}()
			}
		}()
		r := measure(t, Load{URL: ln.Addr().String(), Connections: 1, Count: 3, Timeout: 200 * time.Millisecond})
		if r.Outcomes[c.outcome] != 3 || r.Failed != 3 {
			t.Errorf("%.40q: %v, want 3 of %s", c.answer, r.Outcomes, c.outcome)
		}
		ln.Close()
	}
}

func TestATargetThatDiesIsSaidToBeDead(t *testing.T) {
	var calls atomic.Int64
	dies := func(_ http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 20 {
			go r.Context().Value(http.ServerContextKey).(*http.Server).Close()
		}
	}
	for _, steps := range [][]Step{nil, steady(100, time.Minute)} {
		calls.Store(0)
		s := target(t, dies)
		r := measure(t, Load{URL: s.Addr, Connections: 4, Duration: time.Minute, Steps: steps, Timeout: time.Second})
		if !r.Died || r.Outcomes["refused"] == 0 || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "the target was gone") }) {
			t.Errorf("died: %v, %v, %q", r.Died, r.Outcomes, r.Notes)
		}
	}
}

func TestARunEndsWhenItIsTold(t *testing.T) {
	s := target(t, func(http.ResponseWriter, *http.Request) {})
	ctx, stop := context.WithCancel(t.Context())
	r, err := Run(ctx, Load{URL: s.Addr, Connections: 1, Duration: time.Hour}, func(Progress) { stop() })
	if err != nil || r.Calls == 0 || r.Failed != 0 || len(r.Notes) == 0 {
		t.Errorf("%v, report %+v", err, r)
	}
}

func TestWhatCannotBeMeasured(t *testing.T) {
	s := target(t, func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		load Load
		says string
	}{
		{Load{URL: "http://192.0.2.1/"}, "--i-own-this-target 192.0.2.1"},
		{Load{URL: "http://192.0.2.1/", Owned: "192.0.2.2"}, "192.0.2.1 is not 192.0.2.2"},
		{Load{URL: "https://localhost/"}, "only http://"},
		{Load{URL: "http://"}, "no host"},
		{Load{URL: s.Addr, Connections: 1 << 30}, "connections"},
		{Load{URL: s.Addr, Duration: 100 * time.Hour}, "duration"},
		{Load{URL: s.Addr, Kinds: []Kind{{URL: "http://localhost:1/"}}}, "one target"},
		{Load{URL: s.Addr, Kinds: []Kind{{Header: map[string]string{"A": "b\r\nc: d"}}}}, "line break"},
	} {
		if _, err := Run(t.Context(), c.load, nil); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.load.URL, err, c.says)
		}
	}
	if _, err := Run(t.Context(), Load{URL: freeAddr(t)}, nil); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestTooFewDescriptors(t *testing.T) {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := needFiles(int(was.Cur) - 64); err != nil {
		t.Error("as many as there may be: ", err)
	}
	err := needFiles(1 << 40)
	if err == nil || !strings.Contains(err.Error(), "ulimit -Hn") {
		t.Errorf("too many: %v", err)
	}
}
