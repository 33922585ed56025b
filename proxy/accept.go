package proxy

import (
	"strconv"

	"github.com/weir-gateway/weir/proxy/message"
)

// maxAdded is how many fields weir adds to a request at most.
const maxAdded = 15

// maxHops is how often a call may pass a weir before it counts as a loop.
const maxHops = 8

var (
	via = []byte("1.1 weir")
	sep = []byte(", ")
)

// accept decides which fields of the head pass, and adds weir's own.
func (p *Proxy) accept(c *Call) error {
	hops := c.dropFields()
	if c.table.TenantHeader.Name != nil && !c.Client.Trusted {
		c.dropTenant()
	}
	c.describe()
	p.identify(c)
	if s := p.sampling.Load(); s != nil {
		joinTrace(c, s)
	}
	if c.Client.Barred {
		return errForbidden
	}
	if hops > maxHops {
		return errLoop
	}
	if !c.countDown() {
		return errFinal
	}
	if p.closing.Load() {
		return errShuttingDown
	}
	return nil
}

// dropFields marks what does not pass: what belongs to the connection (RFC
// 9110 section 7.6.1), what weir writes anew, what an untrusted client says of
// others or of another path than its own, and Proxy, which CGI takes for a
// setting (CVE-2016-5385). It returns how many weirs the call has passed.
func (c *Call) dropFields() (hops int) {
	fields := c.Request.Fields
	for i := range fields {
		f := &fields[i]
		switch f.ID {
		case message.Other:
		case message.Connection:
			f.Drop = true
			message.DropNamed(fields, f.Value)
		case message.KeepAlive, message.ProxyConnection, message.ProxyAuthorization, message.TE, message.Trailer,
			message.TransferEncoding, message.Upgrade, message.ContentLength, message.Host, message.Expect,
			message.XForwardedFor, message.XForwardedHost, message.XForwardedPort, message.XForwardedProto,
			message.Forwarded, message.XRequestID, message.Proxy:
			f.Drop = true
		case message.XForwarded, message.XRealIP, message.XClientIP, message.XClusterClientIP,
			message.TrueClientIP, message.XOriginalURL, message.XRewriteURL:
			f.Drop = !c.Client.Trusted
		case message.XRequestTimeout, message.XEnvoyUpstreamTimeout, message.XEnvoyExpectedTimeout, message.GrpcTimeout:
			c.timed = true // heed looks at it
		case message.XWeirOverflow: // whoever says so: to be held here is no advantage
			c.hopped = true
		case message.XWeirHanded:
			f.Drop, c.handed = true, f.Value
		case message.Via:
			hops += countHops(f.Value)
		}
	}
	return hops
}

// errFinal: the client wants weir itself to answer, RFC 9110 section 7.6.2.
var errFinal = message.Refuse(message.KindMethod, "Max-Forwards is 0, and weir itself has no answer to this method")

// countDown takes one from a Max-Forwards field, RFC 9110 section 7.6.2, and
// tells whether the call may go on.
func (c *Call) countDown() bool {
	if m := string(c.Request.Method); m != "OPTIONS" && m != "TRACE" {
		return true
	}
	for i := range c.Request.Fields {
		f := &c.Request.Fields[i]
		if f.ID != message.MaxForwards {
			continue
		}
		n, err := strconv.ParseUint(string(f.Value), 10, 32)
		if err != nil {
			f.Drop = true // it bounds nothing
			continue
		}
		if n == 0 {
			return false
		}
		start := len(c.scratch)
		c.scratch = strconv.AppendUint(c.scratch, n-1, 10)
		f.Value = c.scratch[start:]
	}
	return true
}

// countHops counts the weirs in a Via field, RFC 9110 section 7.6.3.
func countHops(value []byte) (n int) {
	const suffix = " weir"
	message.Elements(value, func(e []byte) bool {
		if len(e) >= len(suffix) && string(e[len(e)-len(suffix):]) == suffix {
			n++
		}
		return true
	})
	return n
}

// describe adds what the endpoint should know of the client: X-Forwarded-*, as
// the connection tells it, or appended to what a trusted proxy said.
func (c *Call) describe() {
	from := c.Client.Peer
	proto, host, port := c.Client.Scheme, c.Request.Authority, c.Client.Port
	if c.Client.Trusted {
		from = c.appendForwarded(from)
		proto = c.said(message.XForwardedProto, proto)
		host = c.said(message.XForwardedHost, host)
		port = c.said(message.XForwardedPort, port)
	}
	c.add(message.XForwardedFor, from)
	c.add(message.XForwardedProto, proto) // these three in a row: see ask
	c.add(message.XForwardedHost, host)
	c.add(message.XForwardedPort, port)
	if c.Client.Forwarded {
		c.tellForwarded()
	}
	c.add(message.Via, via)
}

// said returns what the client's field says, or else what weir knows.
func (c *Call) said(id message.ID, known []byte) []byte {
	for i := range c.Request.Fields {
		if c.Request.Fields[i].ID == id && len(c.Request.Fields[i].Value) > 0 {
			return c.Request.Fields[i].Value
		}
	}
	return known
}

// appendForwarded returns the client's X-Forwarded-For with peer at its end.
func (c *Call) appendForwarded(peer []byte) []byte {
	start := len(c.scratch)
	for i := range c.Request.Fields {
		if f := &c.Request.Fields[i]; f.ID == message.XForwardedFor && len(f.Value) > 0 {
			c.scratch = append(append(c.scratch, f.Value...), sep...)
		}
	}
	c.scratch = append(c.scratch, peer...)
	return c.scratch[start:]
}

func (c *Call) add(id message.ID, value []byte) {
	n := len(c.Request.Added)
	c.added[n] = message.Field{Name: message.Name(id), Value: value, ID: id}
	c.Request.Added = c.added[:n+1]
}
