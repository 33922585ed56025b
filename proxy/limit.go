package proxy

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
	"github.com/weir-gateway/weir/shaping"
)

// How many calls may come, and what clients are told of it.

var (
	nameRateLimit  = []byte("RateLimit")
	nameRatePolicy = []byte("RateLimit-Policy")
)

// count counts the call as one of its tenant's, and takes it out of its key's bucket. If
// that has none for it, it is none of its tenant's either.
func (c *Call) count() error {
	if err := c.joinCrowd(); err != nil || c.fn.RateLimit == nil {
		return err
	}
	err := c.limit()
	if err != nil {
		c.leaveCrowd()
	}
	return err
}

// limit takes the call out of its key's bucket.
func (c *Call) limit() (err error) {
	r := c.fn.RateLimit
	key := shaping.Whole
	switch {
	case r.Key == "client":
		key = clientKey(c.Client.Addr)
	case r.Key == "tenant":
		key = c.tenantKey()
	case c.fn.RateHeader != nil:
		key = shaping.KeyOf(table.FieldValue(c.Request.Fields, c.fn.RateHeader))
	}
	c.quota, err = c.fn.Limiter.Take(key, c.Started)
	c.counted = true
	return err
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

// addQuota says what is left, draft-ietf-httpapi-ratelimit-headers-10.
func (c *Call) addQuota(fields []message.Field) []message.Field {
	if !c.counted {
		return fields
	}
	start := len(c.scratch)
	b := append(c.scratch, `"default";r=`...)
	b = strconv.AppendInt(b, int64(min(c.quota.Left, c.fn.RateLimit.Requests)), 10)
	b = append(b, ";t="...)
	c.scratch = strconv.AppendInt(b, int64((c.quota.Full+time.Second-1)/time.Second), 10)
	return append(fields,
		message.Field{Name: nameRatePolicy, Value: c.fn.RatePolicy},
		message.Field{Name: nameRateLimit, Value: c.scratch[start:]})
}
