package http1_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/weir-gateway/weir/proxy"
)

// Whose a call is, a trusted proxy says, once; endpoints are told nothing else.
func TestTenant(t *testing.T) {
	t.Parallel()
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Tenant"))
	}))
	t.Cleanup(endpoint.Close)
	doc := one(endpoint.Listener.Addr().String()) + "tenants: { header: X-Tenant }\n"
	f := func(name string, p parts, fields, want, told string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			seen := make(chan string, 1)
			g := start(t, doc, p)
			g.peek = func(c *proxy.Call) { seen <- string(c.Tenant()) }
			c := g.dial()
			c.send("GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n")
			if got := c.want("GET", 200); got != told {
				t.Errorf("the endpoint is told %q, want %q", got, told)
			}
			if got := <-seen; got != want {
				t.Errorf("tenant %q, want %q", got, want)
			}
		})
	}
	proxied := parts{prepare: trustLoopback}
	f("a proxy says it", proxied, "x-tenant: acme\r\n", "acme", "acme")
	f("a proxy says nothing", proxied, "", "", "")
	f("a proxy passes on what its client said", proxied, "X-Tenant: acme\r\nX-Tenant: own\r\n", "", "acme")
	f("a stranger says it", parts{}, "X-Tenant: acme\r\n", "", "")
	f("a stranger says it twice", parts{}, "X-Tenant: acme\r\nX-TENANT: own\r\n", "", "")
}
