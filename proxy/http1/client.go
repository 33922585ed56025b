package http1

import (
	"bytes"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"github.com/weir-gateway/weir/proxy/message"
)

// Who a call's client is: the peer of the connection, or whom the peer says it
// speaks for, if it is trusted to. A PROXY header says it for all calls of a
// connection (proxyline.go), X-Forwarded-For for one.

var schemeHTTP = []byte("http")

// describe notes who is at the other end, and the port it came to.
func (c *conn) describe(peer netip.Addr, port uint16) {
	text := []byte(peer.String())
	if !peer.IsValid() {
		text = nil
	}
	c.client = message.Client{Addr: peer, Text: text, Peer: text, Scheme: schemeHTTP}
	if port > 0 {
		c.client.Port = strconv.AppendUint(nil, uint64(port), 10)
	}
}

// meet takes over settings, which may see the peer in another light.
func (c *conn) meet(cfg *settings) {
	c.cfg = cfg
	c.client.Trusted = cfg.trusted.Allows(c.client.Addr)
	c.client.Barred = !cfg.access.Allows(c.client.Addr)
	c.client.Forwarded = cfg.Forwarded == "append"
}

// addrOf is the address of one end of a connection, IPv4 as that; the zero Addr
// if it has none.
func addrOf(a net.Addr) (addr netip.Addr, port uint16) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return addr, 0
	}
	ap := tcp.AddrPort()
	return ap.Addr().Unmap().WithZone(""), ap.Port()
}

// findClient finds the client of a call that came through trusted proxies: the
// right-most address of X-Forwarded-For that is not one of theirs. Each proxy
// has appended whom it saw, so the walk goes from the right; it ends at the
// first address that nobody trusted has written, and at what is no address.
func (c *conn) findClient() {
	r := &c.call.Request
	client := &c.call.Client
	addr := client.Addr
	trusted := true
	for i := len(r.Fields) - 1; i >= 0 && trusted; i-- {
		if r.Fields[i].ID != message.XForwardedFor {
			continue
		}
		for list := r.Fields[i].Value; len(list) > 0 && trusted; {
			comma := bytes.LastIndexByte(list, ',')
			element := message.Trim(list[comma+1:])
			list = list[:max(comma, 0)]
			if len(element) == 0 {
				continue // RFC 9110 section 5.6.1
			}
			next, ok := parseNode(element)
			if !ok {
				trusted = false
				break
			}
			addr = next
			trusted = c.cfg.trusted.Allows(addr)
		}
	}
	if addr == client.Addr {
		return
	}
	client.Addr = addr
	start := len(r.Scratch)
	r.Scratch = addr.AppendTo(r.Scratch)
	client.Text = r.Scratch[start:]
	client.Barred = !c.cfg.access.Allows(addr)
}

// parseNode reads one address of X-Forwarded-For. There is no standard for it;
// some write the port behind the address, and then brackets around IPv6.
func parseNode(b []byte) (addr netip.Addr, ok bool) {
	colon := bytes.LastIndexByte(b, ':')
	switch {
	case b[0] == '[':
		end := bytes.IndexByte(b, ']')
		if end < 0 || end+1 < len(b) && (colon != end+1 || !isPort(b[end+2:])) {
			return addr, false
		}
		b = b[1:end]
	case colon > 0 && bytes.IndexByte(b, ':') == colon: // one colon: IPv4 and a port
		if !isPort(b[colon+1:]) {
			return addr, false
		}
		b = b[:colon]
	}
	if len(b) == 0 || len(b) > len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") {
		return addr, false
	}
	// The text is not kept, but by the error that is thrown away.
	addr, err := netip.ParseAddr(unsafe.String(&b[0], len(b)))
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

func isPort(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 5
}
