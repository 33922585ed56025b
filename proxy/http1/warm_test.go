package http1_test

import (
	"bytes"
	"net"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
)

// silentEndpoint answers every request head with a fixed response and
// allocates nothing while it does.
func silentEndpoint(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nContent-Length: 13\r\n\r\nhello, world\n")
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				buf, have := make([]byte, 8192), 0
				for {
					n, err := nc.Read(buf[have:])
					if err != nil {
						return
					}
					have += n
					if bytes.Contains(buf[:have], []byte("\r\n\r\n")) {
						have = 0
						if _, err := nc.Write(answer); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func TestWarmCallAllocs(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	t.Run("untraced", func(t *testing.T) { warmCallAllocs(t, parts{}) })
	t.Run("not recorded", func(t *testing.T) { warmCallAllocs(t, parts{traced: ratio(0)}) })
	for _, policy := range []string{"round_robin", "peak_ewma", "consistent_hash"} {
		t.Run("everything configured, "+policy, func(t *testing.T) { warmCallAllocs(t, parts{prepare: everything(policy)}) })
	}
}

// everything gives the function all that is against failures and floods, none of
// which has anything to do.
func everything(policy string) func(*config.Config) {
	return func(cfg *config.Config) {
		all, err := config.Parse("everything.yaml", []byte(`listeners: [{ address: "127.0.0.1:1" }]
regions: { local: { weight: 2, location: [48.86, 2.35] }, east: { location: [39.04, -77.49] } }
geography: { places: [{ cidr: 127.0.0.0/8, location: [53.35, -6.26] }], header: x-client-location }
functions:
  f:
    endpoints: ["127.0.0.1:1"]
    timeouts: { per_try: 10s }
    load_balancing: { policy: `+policy+`, hash_key: path, sticky: {}, regions: nearest }
    retries: { retry_on: [connect_failure, reset, 5xx] }
    circuit_breaker: {}
    outlier_detection: {}
    health_check: { interval: 1h }
    rate_limit: [{ requests: 1000000, key: client }, { requests: 2000000 }]
    concurrency: { max_requests: 1000, max_pending: 100, adaptive: {} }
    hedging: { after: 9s }
`))
		if err != nil {
			panic(err)
		}
		fn := all.Functions["f"]
		fn.Endpoints = cfg.Functions["f"].Endpoints
		if len(fn.Endpoints) > 1 {
			fn.Endpoints[1].Region = "east"
		}
		cfg.Functions["f"], cfg.Geography = fn, all.Geography
	}
}

// A warmth is a gateway with a client whose calls are warm.
type warmth struct {
	c   *client
	buf []byte
}

func warmUp(b *testing.B, p parts) *warmth {
	g := start(b, one(silentEndpoint(b), silentEndpoint(b)), p)
	g.quiet = true
	return &warmth{g.dial(), make([]byte, 4096)}
}

// calls makes n calls and returns what each took of the process's processor time, in
// nanoseconds: all of it, and what the kernel holds to be user code's.
func (w *warmth) calls(b *testing.B, n int) (all, user float64) {
	var before, after syscall.Rusage
	send := []byte(get)
	if err := w.c.Conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		b.Fatal(err)
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for range n {
		if _, err := w.c.Write(send); err != nil {
			b.Fatal(err)
		}
		for have := 0; !bytes.HasSuffix(w.buf[:have], []byte("world\n")); {
			n, err := w.c.Conn.Read(w.buf[have:])
			if err != nil {
				b.Fatal(err)
			}
			have += n
		}
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	user = float64(after.Utime.Nano() - before.Utime.Nano())
	all = user + float64(after.Stime.Nano()-before.Stime.Nano())
	return all / float64(n), user / float64(n)
}

// BenchmarkWarmCall: what a warm call costs with everything against failures
// configured, and how much more that is than with nothing. Client and endpoint are in
// the process. The two are in turn, 4,000 calls each, and the difference is taken
// within a turn; run with -benchtime 60x.
func BenchmarkWarmCall(b *testing.B) {
	nothing, everything := warmUp(b, parts{}), warmUp(b, parts{prepare: everything("peak_ewma")})
	var plain, more, moreUser []float64
	for round := 0; b.Loop(); round++ {
		const n = 4000
		var with, withUser, without, withoutUser float64
		if round%2 == 0 {
			with, withUser = everything.calls(b, n)
		}
		without, withoutUser = nothing.calls(b, n)
		if round%2 == 1 {
			with, withUser = everything.calls(b, n)
		}
		plain, more, moreUser = append(plain, without), append(more, with-without), append(moreUser, withUser-withoutUser)
	}
	slices.Sort(plain)
	slices.Sort(more)
	slices.Sort(moreUser)
	b.ReportMetric(plain[len(plain)/2], "nothing-ns/call")
	b.ReportMetric(more[len(more)/4], "more-p25-ns/call")
	b.ReportMetric(more[len(more)/2], "more-p50-ns/call")
	b.ReportMetric(more[len(more)*3/4], "more-p75-ns/call")
	b.ReportMetric(moreUser[len(moreUser)/2], "more-user-p50-ns/call")
}

func warmCallAllocs(t *testing.T, p parts) {
	g := start(t, one(silentEndpoint(t)), p)
	g.quiet = true
	for name, request := range map[string]string{
		"get":    "GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test/1\r\nAccept: */*\r\nX-Other: 1\r\n\r\n",
		"traced": "GET / HTTP/1.1\r\nHost: example.com\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=b\r\n\r\n",
		"post":   "POST /a HTTP/1.1\r\nHost: example.com\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
	} {
		// The client, the endpoint and whatever else runs in this process are
		// counted too: a call that allocates shows as 1 and more.
		if per := g.mallocsPerCall(request); per > 0.2 {
			t.Errorf("%s: a warm call allocates %.2f times", name, per)
		}
	}
}

// mallocsPerCall is how often this process allocates for each of a client's calls.
func (g *gateway) mallocsPerCall(request string) float64 {
	g.t.Helper()
	c := g.dial()
	buf, send := make([]byte, 4096), []byte(request)
	call := func() {
		if _, err := c.Write(send); err != nil {
			g.t.Fatal(err)
		}
		for have := 0; !bytes.HasSuffix(buf[:have], []byte("world\n")); {
			n, err := c.Conn.Read(buf[have:])
			if err != nil {
				g.t.Fatal(err)
			}
			have += n
		}
	}
	for range 200 {
		call()
	}
	const n = 2000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		call()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / n
}
