package proxy

import "github.com/weir-gateway/weir/proxy/message"

// Tenant is on whose behalf the call came, as a trusted proxy says; nil if nobody
// says it, or not plainly: with two values one may be what the proxy's own client
// said.
func (c *Call) Tenant() (tenant []byte) {
	if c.table == nil || c.table.TenantHeader == nil || !c.Client.Trusted {
		return nil
	}
	found := false
	for i := range c.Request.Fields {
		f := &c.Request.Fields[i]
		if f.Drop || !message.EqualNames(f.Name, c.table.TenantHeader) {
			continue
		}
		if found {
			return nil
		}
		tenant, found = f.Value, true
	}
	if len(tenant) == 0 {
		return nil
	}
	return tenant
}

// dropTenant takes out what a stranger says of whose the call is: the endpoint
// would believe it.
func (c *Call) dropTenant() {
	for i := range c.Request.Fields {
		if f := &c.Request.Fields[i]; message.EqualNames(f.Name, c.table.TenantHeader) {
			f.Drop = true
		}
	}
}
