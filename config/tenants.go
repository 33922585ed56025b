package config

import (
	"maps"
	"slices"
	"strings"
)

// Tenants are those on whose behalf calls come: customers, teams. Functions may
// limit what each of them has (rate_limit.key: tenant, concurrency.per_tenant), the
// calls that wait for one go by their tenants' shares, and the access log names them.
type Tenants struct {
	// Header is the field of the request that names the tenant of a call, from
	// trusted proxies only: it is taken out of what others send, so that an endpoint
	// may believe it. A call in which it is empty, missing or there more than once
	// has no tenant. Without header nobody has.
	Header string `yaml:"header"`
	// Weights of tenants by their names, 1 if not given. Where calls of one priority
	// wait for a function, what comes free is shared out among those tenants who wait
	// in proportion to their weights, and so is the line when it is full. Calls without
	// a tenant are those of one more, of weight 1.
	Weights map[string]int `yaml:"weights"`
}

// mostTenantWeight is what nobody needs more of: a tenant of weight 1 would wait for so many
// calls of the other.
const mostTenantWeight = 1000

// notTenant are fields that weir writes or reads for something else: whoever takes
// one of them out changes more than the tenant.
var notTenant = map[string]bool{
	"connection": true, "content-length": true, "content-type": true, "cookie": true, "expect": true, "forwarded": true,
	"host": true, "te": true, "trailer": true, "transfer-encoding": true, "upgrade": true, "via": true,
	"x-forwarded-for": true, "x-forwarded-host": true, "x-forwarded-port": true, "x-forwarded-proto": true, "x-request-id": true,
}

func (c *checker) tenants(p *path, t Tenants) {
	header := p.key("header")
	c.tenantWeights(p.key("weights"), t)
	switch {
	case t.Header == "":
	case !validField.MatchString(t.Header):
		c.fail(header, "say header: x-tenant", "is not the name of a field: %q", t.Header)
	case notTenant[strings.ToLower(t.Header)]:
		c.fail(header, "say header: x-tenant", "is %q, which says something else", t.Header)
	case !slices.ContainsFunc(c.cfg.Listeners, func(l Listener) bool { return len(l.TrustedProxies) > 0 }):
		c.d.warn(c.d.find(header), "tenants.header is for trusted proxies, and no listener has trusted_proxies: no call will have a tenant")
	}
}

func (c *checker) tenantWeights(p *path, t Tenants) {
	if len(t.Weights) > 0 {
		c.byTenant(p, "is for tenants")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Weights)) {
		at := p.entry(name)
		switch weight := t.Weights[name]; {
		case name == "":
			c.fail(p, "take it out: calls without a tenant are those of one of weight 1", "has a tenant without a name")
		case weight < 1 || weight > mostTenantWeight:
			c.fail(at, "", "must be from 1 to %d, not %d", mostTenantWeight, weight)
		}
	}
}

// byTenant refuses to count calls by what no call has.
func (c *checker) byTenant(p *path, is string) {
	var top *path
	if c.cfg.Tenants.Header == "" && c.d.sound(top.key("tenants")) {
		c.fail(p, "say what names them: tenants: { header: x-tenant }", "%s, but nothing says whose a call is", is)
	}
}
