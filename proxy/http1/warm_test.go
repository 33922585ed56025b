package http1_test

import (
	"bytes"
	"net"
	"runtime"
	"syscall"
	"testing"

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
    rate_limit: { requests: 1000000, key: client }
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

// BenchmarkWarmCall is for the difference of the two; the client and the endpoint
// are in the same process.
func BenchmarkWarmCall(b *testing.B) {
	for name, p := range map[string]parts{"nothing": {}, "everything": {prepare: everything("peak_ewma")}} {
		b.Run(name, func(b *testing.B) {
			g := start(b, one(silentEndpoint(b), silentEndpoint(b)), p)
			g.quiet = true
			c, buf, send := g.dial(), make([]byte, 4096), []byte(get)
			var before, after syscall.Rusage
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
			calls := 0
			for b.Loop() {
				calls++
				if _, err := c.Write(send); err != nil {
					b.Fatal(err)
				}
				for have := 0; !bytes.HasSuffix(buf[:have], []byte("world\n")); {
					n, err := c.Conn.Read(buf[have:])
					if err != nil {
						b.Fatal(err)
					}
					have += n
				}
			}
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
			b.ReportMetric(float64(after.Utime.Nano()-before.Utime.Nano())/float64(calls), "user-ns/op")
		})
	}
}

func warmCallAllocs(t *testing.T, p parts) {
	g := start(t, one(silentEndpoint(t)), p)
	g.quiet = true
	for name, request := range map[string]string{
		"get":    "GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test/1\r\nAccept: */*\r\nX-Other: 1\r\n\r\n",
		"traced": "GET / HTTP/1.1\r\nHost: example.com\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=b\r\n\r\n",
		"post":   "POST /a HTTP/1.1\r\nHost: example.com\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
	} {
		c := g.dial()
		buf, send := make([]byte, 4096), []byte(request)
		call := func() {
			if _, err := c.Write(send); err != nil {
				t.Fatal(err)
			}
			for have := 0; !bytes.HasSuffix(buf[:have], []byte("world\n")); {
				n, err := c.Conn.Read(buf[have:])
				if err != nil {
					t.Fatal(err)
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
		// The client, the endpoint and whatever else runs in this process are
		// counted too: a call that allocates shows as 1 and more.
		if per := float64(after.Mallocs-before.Mallocs) / n; per > 0.2 {
			t.Errorf("%s: a warm call allocates %.2f times", name, per)
		}
	}
}
