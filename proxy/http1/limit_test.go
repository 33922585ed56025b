package http1_test

import (
	"fmt"
	"net/http"
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
