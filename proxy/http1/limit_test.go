package http1_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Of each key as many calls come in as may; all are told what is left.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	f := func(name, limit string, fields []string, in ...int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			g := start(t, under("rate_limit: { requests: 3, window: 1h, "+limit+" }", says(t, ok))+"tenants: { header: X-Tenant }\n", parts{prepare: trustLoopback})
			c := g.dial()
			for i, more := range fields {
				for n := range in[i] + 2 {
					c.send("GET / HTTP/1.1\r\nHost: h\r\n" + more + "\r\n")
					r, body, err := c.answer("GET")
					if err != nil {
						t.Fatal(err)
					}
					if want := map[bool]int{true: 200, false: 429}[n < in[i]]; r.StatusCode != want {
						t.Fatalf("call %d with %q: %d, want %d", n+1, more, r.StatusCode, want)
					}
					if got := strings.Join(r.Header.Values("RateLimit-Policy"), "|"); got != `"default";q=3;w=3600` {
						t.Errorf("policy %s", got)
					}
					var left, full int
					if _, err := fmt.Sscanf(r.Header.Get("RateLimit"), `"default";r=%d;t=%d`, &left, &full); err != nil || left != max(0, in[i]-n-1) || full < 1 || full > 3*3600 {
						t.Errorf("RateLimit: %s", r.Header.Get("RateLimit"))
					}
					if r.StatusCode == 429 {
						checkLimited(t, r.Header, body, full)
					}
				}
			}
		})
	}
	f("of the function", "key: function", []string{"X-Api-Key: a\r\n", "X-Api-Key: b\r\n"}, 3, 0)
	f("by field", "key: 'header:X-API-Key'", []string{"x-api-key: a\r\n", "X-Api-Key: b\r\n", ""}, 3, 3, 3)
	f("by tenant", "key: tenant", []string{
		"X-Tenant: a\r\n", "x-tenant: b\r\n", "", "X-Tenant: \r\n", "X-Tenant: a\r\nX-Tenant: c\r\n", "Connection: x-tenant\r\nX-Tenant: d\r\n",
	}, 3, 3, 3, 0, 0, 0)
	f("by client", "key: client, burst: 2", []string{
		"X-Forwarded-For: 192.0.2.1\r\n", "X-Forwarded-For: 192.0.2.2\r\n", "X-Forwarded-For: 2001:db8::1\r\n", "X-Forwarded-For: 2001:db8::ffff:1\r\n", "X-Forwarded-For: 2001:db8:0:1::1\r\n",
	}, 2, 2, 2, 0, 2)
}

func checkLimited(t *testing.T, h http.Header, body string, full int) {
	t.Helper()
	wait, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || wait < 1 || wait > 1200 || wait > full {
		t.Errorf("Retry-After: %s with t=%d", h.Get("Retry-After"), full)
	}
	if !strings.Contains(body, "rate_limited") || !strings.Contains(body, `"cause":"RL"`) {
		t.Error(body)
	}
}

// Of several limits all have to let a call in; all tell what is left, and whom one turns
// away the others have not counted.
func TestSeveralRateLimits(t *testing.T) {
	t.Parallel()
	g := start(t, under(`rate_limit: [{ requests: 6, window: 1h }, { requests: 2, window: 1m, key: client }, { requests: 3, window: 24h, key: tenant }, { requests: 5, window: 1h, key: client }]`,
		says(t, ok))+"tenants: { header: X-Tenant }\n", parts{prepare: trustLoopback})
	c := g.dial()
	f := func(client, tenant string, status int, left ...int) {
		t.Helper()
		c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: " + client + "\r\nX-Tenant: " + tenant + "\r\n\r\n")
		r, body, err := c.answer("GET")
		if err != nil || r.StatusCode != status {
			t.Fatalf("%s of %s: %v, want %d, %v", client, tenant, r.StatusCode, status, err)
		}
		if got, want := strings.Join(r.Header.Values("RateLimit-Policy"), "|"), `"function";q=6;w=3600, "client";q=2;w=60, "tenant";q=3;w=86400, "client-2";q=5;w=3600`; got != want {
			t.Errorf("policy %s, want %s", got, want)
		}
		var got, full [4]int
		if _, err := fmt.Sscanf(r.Header.Get("RateLimit"), `"function";r=%d;t=%d, "client";r=%d;t=%d, "tenant";r=%d;t=%d, "client-2";r=%d;t=%d`,
			&got[0], &full[0], &got[1], &full[1], &got[2], &full[2], &got[3], &full[3]); err != nil || !slices.Equal(got[:], left) {
			t.Errorf("%s of %s: RateLimit: %s, want %v left", client, tenant, r.Header.Get("RateLimit"), left)
		}
		if status == 429 {
			wait, err := strconv.Atoi(r.Header.Get("Retry-After"))
			if least := map[bool]int{true: 28_000, false: 25}[left[2] == 0]; err != nil || wait < least || wait > least*6/5 {
				t.Errorf("%s of %s: Retry-After: %d", client, tenant, wait)
			}
			if !strings.Contains(body, "rate_limited") {
				t.Error(body)
			}
		}
	}
	f("192.0.2.1", "a", 200, 5, 1, 2, 4)
	f("192.0.2.1", "b", 200, 4, 0, 2, 3)
	for range 3 {
		f("192.0.2.1", "a", 429, 4, 0, 2, 3) // by the client's; the others have lost nothing
	}
	f("192.0.2.2", "a", 200, 3, 1, 1, 4)
	f("192.0.2.3", "a", 200, 2, 1, 0, 4)
	f("192.0.2.4", "a", 429, 2, 2, 0, 5)
	f("192.0.2.1", "a", 429, 2, 0, 0, 3) // by both; it has to wait for the tenant's
	f("192.0.2.4", "b", 200, 1, 1, 1, 4)
	if fn := g.keeper.Table().Functions["f"]; fn.Limiter.Limited() != 5 {
		t.Errorf("%d were turned away", fn.Limiter.Limited())
	}
}

// A limit that stays as it was keeps what it has counted, whatever comes beside it.
func TestRateLimitsStay(t *testing.T) {
	t.Parallel()
	addr := says(t, ok)
	const one, other = "{ requests: 2, window: 1h }", "{ requests: 1, window: 1h, key: 'header:x-key' }"
	g := start(t, under("rate_limit: "+one, addr), parts{})
	c := g.dial()
	f := func(limits, key string, status int) {
		t.Helper()
		if limits != "" {
			g.reload(under("rate_limit: "+limits, addr))
		}
		c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Key: " + key + "\r\n\r\n")
		if r, _, err := c.answer("GET"); err != nil || r.StatusCode != status {
			t.Errorf("%s: %v %v, want %d", limits, r, err, status)
		}
	}
	f("", "a", 200)
	f("["+other+", "+one+"]", "b", 200)
	f("", "c", 429) // by the first limit, which had one left
	f("["+other+"]", "b", 429)
	f("", "c", 200)
	f("["+one+", "+other+"]", "d", 200)
	f("[]", "d", 200)
}
