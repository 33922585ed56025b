package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
)

// numbered are n endpoints that answer with their number.
func numbered(t testing.TB, n int) (addrs []string) {
	for i := range n {
		addrs = append(addrs, says(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", i)))
	}
	return addrs
}

// asks makes n calls with these fields and tells how many each endpoint had.
func (c *client) asks(n int, fields string) map[string]int {
	had := map[string]int{}
	for range n {
		c.send("GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n")
		had[c.want("GET", 200)]++
	}
	return had
}

func TestRoundRobin(t *testing.T) {
	t.Parallel()
	addrs := numbered(t, 2)
	g := start(t, fmt.Sprintf("functions: { f: { load_balancing: { policy: round_robin }, endpoints: [{ address: '%s', weight: 80 }, { address: '%s', weight: 20 }] } }\nroutes: [{ path_prefix: /, function: f }]\n", addrs[0], addrs[1]), parts{})
	c := g.dial()
	for range 20 {
		if had := c.asks(10, ""); had["0"] < 7 || had["0"] > 9 {
			t.Fatalf("of ten calls %v", had)
		}
	}
	if had := c.asks(100, ""); had["0"] != 80 {
		t.Errorf("of a hundred calls %v", had)
	}
}

func TestConsistentHash(t *testing.T) {
	t.Parallel()
	f := func(name, by string, fields func(i int) string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			g := start(t, under("load_balancing: { policy: consistent_hash, hash_key: '"+by+"' }", numbered(t, 4)...), parts{prepare: trustLoopback})
			c := g.dial()
			all := map[string]bool{}
			for i := range 40 {
				had := c.asks(5, fields(i))
				if len(had) != 1 {
					t.Fatalf("key %d was at %v", i, had)
				}
				for n := range had {
					all[n] = true
				}
			}
			if len(all) != 4 {
				t.Errorf("40 keys are at %v", all)
			}
		})
	}
	f("field", "header:X-User", func(i int) string { return fmt.Sprintf("x-user: u%d\r\n", i) })
	f("cookie", "cookie:user", func(i int) string { return fmt.Sprintf("Cookie: a=b; user=u%d; c=d\r\n", i) })
	f("client", "client", func(i int) string { return fmt.Sprintf("X-Forwarded-For: 192.0.2.%d\r\n", i) })
}

// An endpoint with more than its share hands its keys on, and one that does not
// fare well.
func TestConsistentHashIsBounded(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	hanging := func() string {
		return rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
			for {
				if _, err := head(br); err != nil {
					return
				}
				<-held
				_, _ = io.WriteString(nc, ok)
			}
		})
	}
	g := start(t, under("load_balancing: { policy: consistent_hash, hash_key: 'header:x-user' }", hanging(), hanging(), hanging(), hanging()), parts{})
	var clients []*client
	for range 40 {
		c := g.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\nX-User: the same\r\n\r\n")
		clients = append(clients, c)
	}
	inFlight := func() (sum, most int) {
		for n := range 4 {
			calls := g.endpoint(n).Link.Slots.InFlight()
			sum, most = sum+calls, max(most, calls)
		}
		return sum, most
	}
	eventually(t, "all are in flight", func() bool { sum, _ := inFlight(); return sum == 40 })
	if _, most := inFlight(); most > 40/4*125/100+1 {
		t.Errorf("one endpoint has %d of 40", most)
	}
	close(held)
	for _, c := range clients {
		c.want("GET", 200)
	}
}

// What answers took is noted, and of two the one with less to expect has the
// call.
func TestPeakEWMA(t *testing.T) {
	t.Parallel()
	const takes = 300 * time.Millisecond
	slow := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			if _, err := head(br); err != nil {
				return
			}
			time.Sleep(takes)
			_, _ = io.WriteString(nc, ok)
		}
	})
	g := start(t, under("load_balancing: { policy: peak_ewma }", slow, says(t, ok)), parts{})
	c := g.dial()
	is := g.endpoint(0)
	if is.Addr != slow {
		is = g.endpoint(1)
	}
	eventually(t, "it is known to be slow", func() bool {
		c.asks(1, "")
		return is.Latency.Cost(0, moment.Now()) > float64(takes)/2
	})
}

func TestStickyEndpoint(t *testing.T) {
	t.Parallel()
	addrs := numbered(t, 3)
	g := start(t, under("load_balancing: { sticky: { cookie: at, ttl: 1h } }", addrs...), parts{})
	c := g.dial()
	for range 10 {
		c.send(get)
		r, at, err := c.answer("GET")
		if err != nil {
			t.Fatal(err)
		}
		set := r.Header.Get("Set-Cookie")
		if !regexp.MustCompile(`^at=[0-9a-f]{16}; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600$`).MatchString(set) {
			t.Fatal(set)
		}
		cookie, _, _ := strings.Cut(set, ";")
		for range 20 {
			c.send("GET / HTTP/1.1\r\nHost: h\r\nCookie: x=y; " + cookie + "\r\n\r\n")
			r, back, err := c.answer("GET")
			if err != nil || back != at || r.Header.Get("Set-Cookie") != "" {
				t.Fatalf("it was at %s, and came back to %s: %v, %v", at, back, err, r.Header)
			}
		}
	}
	for _, odd := range []string{"at=", "at=0123456789abcdeg", "at=0123456789abcdef", "at=" + strings.Repeat("f", 1000)} {
		c.send("GET / HTTP/1.1\r\nHost: h\r\nCookie: " + odd + "\r\n\r\n")
		if r, _, err := c.answer("GET"); err != nil || r.StatusCode != 200 || r.Header.Get("Set-Cookie") == "" {
			t.Errorf("%s: %v", odd, err)
		}
	}
}
