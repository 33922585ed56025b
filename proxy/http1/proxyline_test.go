package http1

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// v2 writes a header of version 2.
func v2(versionCommand, family byte, rest string) string {
	length := binary.BigEndian.AppendUint16(nil, uint16(len(rest)))
	return string(proxyV2Begin) + string([]byte{versionCommand, family}) + string(length) + rest
}

const (
	v4Addresses = "\xc0\x00\x02\x01\x7f\x00\x00\x01\x12\x34\x01\xbb"
	v6Addresses = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x12\x34\x01\xbb"
	tlv = "\x04\x00\x02ab"
)

func TestParseProxyHeader(t *testing.T) {
	good := func(header, client string, port uint16) {
		t.Helper()
		var want netip.Addr
		if client != "" {
			want = netip.MustParseAddr(client)
		}
		for _, behind := range []string{"", "G", "GET / HTTP/1.1\r\n\r\n", "\r\n\r\n", "PROXY "} {
			h, n, err := parseProxyHeader([]byte(header + behind))
			if err != nil || n != len(header) || h.client != want || h.port != port {
				t.Errorf("%q: %+v, %d of %d bytes, %v", header, h, n, len(header), err)
			}
		}
		for n := range len(header) { // the begin of a header is no header, and no mistake
			if h, used, err := parseProxyHeader([]byte(header[:n])); err != nil || used != 0 || h != (proxyHeader{}) {
				t.Errorf("%q: %+v, %d, %v", header[:n], h, used, err)
			}
		}
	}
	good("PROXY TCP4 192.0.2.1 127.0.0.1 4711 443\r\n", "192.0.2.1", 443)
	good("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", 65535)
	good("PROXY TCP6 2001:db8::1 ::1 0 1\r\n", "2001:db8::1", 1)
	good("PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 443\r\n", "192.0.2.1", 443)
	good("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535)
	good("PROXY UNKNOWN\r\n", "", 0)
	good("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "", 0)
	good(v2(0x21, 0x11, v4Addresses), "192.0.2.1", 443)
	good(v2(0x21, 0x11, v4Addresses+tlv), "192.0.2.1", 443)
	good(v2(0x21, 0x21, v6Addresses), "2001:db8::1", 443)
	good(v2(0x21, 0x21, v6Addresses+strings.Repeat(tlv, 800)), "2001:db8::1", 443)
	good(v2(0x20, 0x00, ""), "", 0)
	good(v2(0x20, 0x11, v4Addresses), "", 0) // LOCAL: what it says is to be ignored
	good(v2(0x20, 0xff, "anything"), "", 0)
	good(v2(0x21, 0x00, tlv), "", 0) // UNSPEC
	good(v2(0x21, 0x12, v4Addresses), "", 0)
	good(v2(0x21, 0x31, strings.Repeat("\x00", 216)), "", 0)

	bad := func(header string, want error) {
		t.Helper()
		if h, n, err := parseProxyHeader([]byte(header)); !errors.Is(err, want) || n != 0 || h != (proxyHeader{}) {
			t.Errorf("%q: %+v, %d, %v; want %v", header, h, n, err, want)
		}
	}
	for _, line := range []string{
		"TCP4 192.0.2.1 127.0.0.1 4711", "TCP4 192.0.2.1 127.0.0.1 4711 443 1", "TCP4  192.0.2.1 127.0.0.1 4711 443",
		"TCP4 192.0.2.1 127.0.0.1 4711 443 ", "TCP4 192.0.2.1 127.0.0.1 04711 443", "TCP4 192.0.2.1 127.0.0.1 4711 65536",
		"TCP4 192.0.2.1 127.0.0.1 4711 +443", "TCP4 192.0.2.1 127.0.0.1 4711 ", "TCP4 192.0.2.01 127.0.0.1 4711 443",
		"TCP4 192.0.2 127.0.0.1 4711 443", "TCP4 ::1 ::1 4711 443", "TCP4 192.0.2.1 ::1 4711 443", "TCP6 192.0.2.1 127.0.0.1 4711 443",
		"TCP6 fe80::1%eth0 ::1 4711 443", "TCP6 [::1] ::1 4711 443", "UDP4 192.0.2.1 127.0.0.1 4711 443", "tcp4 192.0.2.1 127.0.0.1 4711 443",
		"TCP5 192.0.2.1 127.0.0.1 4711 443", "", "TCP4", "UNKNOWNS", " UNKNOWN",
	} {
		bad("PROXY "+line+"\r\n", errProxyHeader)
	}
	bad("PROXY UNKNOWN "+strings.Repeat("x", 200), errProxyHeader)
	bad("PROXY TCP4 192.0.2.1 127.0.0.1 4711 443\n"+strings.Repeat("x", 100), errProxyHeader)
	bad(v2(0x11, 0x11, v4Addresses), errProxyHeader) // version 1
	bad(v2(0x22, 0x11, v4Addresses), errProxyHeader) // no such command
	bad(v2(0x21, 0x13, v4Addresses), errProxyHeader) // nor family
	bad(v2(0x21, 0x41, v4Addresses), errProxyHeader)
	bad(v2(0x21, 0x11, v4Addresses[:11]), errProxyHeader)
	bad(v2(0x21, 0x21, v6Addresses[:35]), errProxyHeader)
	bad(v2(0x21, 0x11, v4Addresses+strings.Repeat("x", 4096)), errProxyHeaderBig)
	bad(v2(0x20, 0x00, strings.Repeat("x", 65535)), errProxyHeaderBig)
	for _, other := range []string{"GET / HTTP/1.1\r\n", "PROXX", "PROPFIND / HTTP/1.1\r\n", "\r\nGET", "\r\n\r\nGET", "\r\n\r\n\x01", "proxy TCP4", "\x16\x03\x01"} {
		bad(other, errNoProxyHeader)
	}
}

// Whatever comes, what is taken is within what came, a longer begin never takes
// back a verdict, and a client has an address that HTTP knows.
func FuzzProxyHeader(f *testing.F) {
	for _, seed := range []string{
		"", "PROXY TCP4 192.0.2.1 127.0.0.1 4711 443\r\nGET", "PROXY TCP6 2001:db8::1 ::1 0 1\r\n", "PROXY UNKNOWN\r\n",
		v2(0x21, 0x11, v4Addresses+tlv), v2(0x21, 0x21, v6Addresses), v2(0x20, 0, ""), "GET / HTTP/1.1\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := parseProxyHeader(b)
		if n < 0 || n > len(b) || n > proxyHeaderMax || err != nil && n != 0 || n == 0 && h != (proxyHeader{}) {
			t.Fatalf("%+v, %d, %v", h, n, err)
		}
		if h.client.Is4In6() || h.client.Zone() != "" {
			t.Fatalf("client %v", h.client)
		}
		if n == 0 && err == nil && len(b) >= proxyHeaderMax {
			t.Fatal("it never ends")
		}
		for cut := range min(n, 300) {
			if h, n, err := parseProxyHeader(b[:cut]); n != 0 || err != nil || h != (proxyHeader{}) {
				t.Fatalf("%q is enough: %+v, %d, %v", b[:cut], h, n, err)
			}
		}
	})
}
