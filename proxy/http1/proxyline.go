package http1

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"

	"github.com/weir-gateway/weir/internal/moment"
)

// The PROXY protocol: what stands in front of weir and passes bytes, not calls,
// says in front of the first of them whose they are
// (haproxy.org/download/3.2/doc/proxy-protocol.txt; its sections are cited). It
// is believed from the listener's proxy_protocol.from only; anybody else's is
// no HTTP.
//
// Decision, 2026-11-25: read here, not by a library. go-proxyproto wants a
// bufio.Reader, beside which the wire's own buffer would lose bytes or need a
// second copy, and brings two modules; the two forms are a page.

// A proxyHeader is what a PROXY header says.
type proxyHeader struct {
	client netip.Addr // not valid: the peer speaks for itself, or does not say
	port   uint16     // that the client came to; 0 with it
}

const (
	proxyLineMax   = 107 // section 2.1, the line's end included
	proxyV2Fixed   = 16  // section 2.2, without addresses
	proxyHeaderMax = smallBuffer
)

var (
	proxyLineBegin = []byte("PROXY ")
	proxyV2Begin   = []byte("\r\n\r\n\x00\r\nQUIT\n")

	errNoProxyHeader  = errors.New("no PROXY header")
	errProxyHeader    = errors.New("malformed PROXY header")
	errProxyHeaderBig = errors.New("a PROXY header of more than 4 KiB")
)

// parseProxyHeader reads the header at the begin of b and returns its length. 0
// without an error is a begin of one: more has to come.
func parseProxyHeader(b []byte) (h proxyHeader, n int, err error) {
	switch {
	case begins(b, proxyV2Begin):
		return parseProxyV2(b)
	case begins(b, proxyLineBegin):
		return parseProxyLine(b)
	}
	return h, 0, errNoProxyHeader
}

// begins tells whether b begins with prefix, as far as it goes.
func begins(b, prefix []byte) bool {
	n := min(len(b), len(prefix))
	return bytes.Equal(b[:n], prefix[:n])
}

// parseProxyLine reads version 1, section 2.1: "PROXY TCP4 from to port port".
func parseProxyLine(b []byte) (h proxyHeader, n int, err error) {
	end := bytes.Index(b[:min(len(b), proxyLineMax)], crlf)
	if end < 0 {
		if len(b) >= proxyLineMax {
			return h, 0, errProxyHeader
		}
		return h, 0, nil
	}
	n = end + len(crlf)
	words := bytes.Split(b[:end], []byte(" "))
	if len(words) >= 2 && string(words[1]) == "UNKNOWN" {
		return h, n, nil // whatever else it says
	}
	if len(words) != 6 || string(words[1]) != "TCP4" && string(words[1]) != "TCP6" {
		return h, 0, errProxyHeader
	}
	v4 := words[1][3] == '4'
	from, err1 := netip.ParseAddr(string(words[2]))
	to, err2 := netip.ParseAddr(string(words[3]))
	_, ok1 := parseProxyPort(words[4])
	port, ok2 := parseProxyPort(words[5])
	if err1 != nil || err2 != nil || from.Is4() != v4 || to.Is4() != v4 || from.Zone() != "" || to.Zone() != "" || !ok1 || !ok2 {
		return h, 0, errProxyHeader
	}
	return proxyHeader{from.Unmap(), port}, n, nil
}

// parseProxyPort reads up to five digits without a zero in front.
func parseProxyPort(b []byte) (uint16, bool) {
	if !isPort(b) || len(b) > 1 && b[0] == '0' {
		return 0, false
	}
	port, err := strconv.ParseUint(string(b), 10, 16)
	return uint16(port), err == nil
}

// parseProxyV2 reads version 2, section 2.2. What follows the addresses is
// passed over.
func parseProxyV2(b []byte) (h proxyHeader, n int, err error) {
	if len(b) < proxyV2Fixed {
		return h, 0, nil
	}
	version, command, family := b[12]>>4, b[12]&0xf, b[13]
	rest := int(binary.BigEndian.Uint16(b[14:]))
	n = proxyV2Fixed + rest
	if version != 2 || command > 1 {
		return h, 0, errProxyHeader
	}
	if n > proxyHeaderMax {
		return h, 0, errProxyHeaderBig
	}
	const local, tcp4, tcp6 = 0, 0x11, 0x21
	const unspec, udp4, udp6, stream, datagram = 0x00, 0x12, 0x22, 0x31, 0x32
	size := 0
	switch {
	case command == local: // the proxy itself, to see whether weir lives
	case family == tcp4:
		size = 4 + 4 + 2 + 2
	case family == tcp6:
		size = 16 + 16 + 2 + 2
	case family == unspec, family == udp4, family == udp6, family == stream, family == datagram: // no client that HTTP knows
	default:
		return h, 0, errProxyHeader
	}
	if rest < size {
		return h, 0, errProxyHeader
	}
	if len(b) < n {
		return h, 0, nil
	}
	switch at := b[proxyV2Fixed:]; size {
	case 12:
		h = proxyHeader{netip.AddrFrom4([4]byte(at)), binary.BigEndian.Uint16(at[10:])}
	case 36:
		h = proxyHeader{netip.AddrFrom16([16]byte(at)).Unmap(), binary.BigEndian.Uint16(at[34:])}
	}
	return h, n, nil
}

// readProxyHeader reads the header that has begun, and takes its word for who
// the client is. It tells whether the connection goes on; else it stays unproven.
func (c *conn) readProxyHeader() bool {
	c.cfg = c.server.settings.Load()
	patience := c.cfg.Limits.HeadTimeout
	until := moment.Now().Add(patience)
	for {
		h, n, err := parseProxyHeader(c.unread())
		switch {
		case err == errNoProxyHeader && c.cfg.ProxyProtocol.Header == "optional":
			return c.become(proxyHeader{})
		case err != nil:
			return c.noProxyHeader(err)
		case n > 0:
			c.r += n
			return c.become(h)
		}
		if c.w == len(c.buf) { // its begin lies behind something: there is room in front
			c.room(proxyHeaderMax, false)
		}
		c.until(until, patience/8)
		if err := c.fill(); err != nil {
			return c.noProxyHeader(err)
		}
	}
}

// noProxyHeader counts a connection that has no whole header.
func (c *conn) noProxyHeader(err error) bool {
	c.server.door.refused[refusedProxyHeader].Add(1)
	c.server.log.Debug("connection closed", "listener", c.server.Name(), "peer", string(c.client.Peer), "error", err.Error())
	return false
}

// become makes the connection that of the client in the header, and lets it in
// or not.
func (c *conn) become(h proxyHeader) bool {
	if h.client.IsValid() {
		c.describe(h.client, h.port)
	}
	c.meet(c.cfg)
	if h.client.IsValid() && !c.client.Trusted {
		if !c.server.enter(h.client, c.cfg.Limits.ConnectionsPerClient) {
			c.server.door.refused[refusedPerClient].Add(1)
			return false
		}
		c.counted = true
	}
	c.unproven = false
	return true
}
