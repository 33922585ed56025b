package proxy

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
	"github.com/weir-gateway/weir/shaping"
)

// How many calls may come, and what clients are told of it.

var (
	nameRateLimit  = []byte("RateLimit")
	nameRatePolicy = []byte("RateLimit-Policy")
)

// count counts the call as one of its tenant's, and takes it out of the buckets of
// its keys. If one has none for it, it is none of its tenant's either.
func (c *Call) count() error {
	if err := c.joinCrowd(); err != nil || len(c.fn.RateLimit) == 0 {
		return err
	}
	err := c.limit()
	if err != nil {
		c.leaveCrowd()
	}
	return err
}

// limit takes the call out of the buckets of its keys, one for each limit.
func (c *Call) limit() error {
	limits := c.fn.Limiter.Limits()
	if limits == nil { // a table that has just come has none
		return nil
	}
	var keys [config.MostLimits]shaping.Key
	for i, l := range limits.Each {
		keys[i] = c.limitKey(l)
	}
	by, err := limits.Take(keys[:len(limits.Each)], c.Started, c.quotas[:])
	c.limits, c.limitedBy = limits, by
	return err
}

// limitKey is whose calls the call is counted with.
func (c *Call) limitKey(l *shaping.Limit) shaping.Key {
	switch {
	case l.Key == "client":
		return clientKey(c.Client.Addr)
	case l.Key == "tenant":
		return c.tenantKey()
	case l.Field != nil:
		return shaping.KeyOf(table.FieldValue(c.Request.Fields, l.Field))
	}
	return shaping.Whole
}

// clientKey is the key of a client: its address, or of IPv6 the /64 that it may
// choose its address from.
func clientKey(addr netip.Addr) shaping.Key {
	b := addr.As16()
	if addr.Is4() || addr.Is4In6() {
		return shaping.KeyOf(b[:])
	}
	return shaping.KeyOf(b[:8])
}

// addQuota says what is left, draft-ietf-httpapi-ratelimit-headers-11.
func (c *Call) addQuota(fields []message.Field) []message.Field {
	if c.limits == nil {
		return fields
	}
	start := len(c.scratch)
	b := c.scratch
	for i, l := range c.limits.Each {
		b = append(b, c.limits.Left[i]...)
		b = strconv.AppendInt(b, int64(min(c.quotas[i].Left, l.Requests)), 10)
		b = append(b, ";t="...)
		b = strconv.AppendInt(b, int64((c.quotas[i].Full+time.Second-1)/time.Second), 10)
	}
	c.scratch = b
	return append(fields,
		message.Field{Name: nameRatePolicy, Value: c.limits.Policy},
		message.Field{Name: nameRateLimit, Value: c.scratch[start:]})
}
