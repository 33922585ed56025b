package proxy

import (
	"github.com/weir-gateway/weir/shaping"
)

// Tenant is on whose behalf the call came, as a trusted proxy says; nil if nobody
// says it, or not plainly: with two values one may be what the proxy's own client
// said.
func (c *Call) Tenant() (tenant []byte) {
	if c.table == nil || c.table.TenantHeader.Name == nil || !c.Client.Trusted {
		return nil
	}
	fields, name := c.Request.Fields, &c.table.TenantHeader
	i := name.Find(fields)
	if i < 0 || name.Find(fields[i+1:]) >= 0 || len(fields[i].Value) == 0 {
		return nil
	}
	return fields[i].Value
}

// tenantKey is what the calls of the tenant are counted under; those without one are
// together, under nobody's.
func (c *Call) tenantKey() shaping.Key {
	if c.headcount != nil { // under that it is counted already
		return c.crowd
	}
	if tenant := c.Tenant(); tenant != nil {
		return shaping.KeyOf(tenant)
	}
	return shaping.Whole
}

// joinCrowd counts the call as one of its tenant's, if there is a limit to those.
func (c *Call) joinCrowd() (err error) {
	most := c.fn.Concurrency.PerTenant
	if most == 0 {
		return nil
	}
	c.crowd = c.tenantKey()
	c.headcount, err = c.fn.Crowd.Enter(c.crowd, most)
	return err
}

func (c *Call) leaveCrowd() {
	if c.headcount != nil {
		c.headcount.Leave()
		c.headcount = nil
	}
}

// dropTenant takes out what a stranger says of whose the call is: the endpoint
// would believe it.
func (c *Call) dropTenant() {
	for i := range c.Request.Fields {
		if f := &c.Request.Fields[i]; c.table.TenantHeader.Is(f) {
			f.Drop = true
		}
	}
}
