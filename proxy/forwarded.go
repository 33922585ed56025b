package proxy

import (
	"bytes"

	"github.com/weir-gateway/weir/proxy/message"
)

// The field Forwarded, RFC 7239: what X-Forwarded-* says, in one field that has a
// grammar. A listener has it told to endpoints if its configuration says so;
// then the last element is always weir's own: whom weir saw, what host was asked
// for, how.

// tellForwarded adds the field, behind what a trusted proxy said. A list that is
// malformed is not taken over: weir's element could end up in a quoted text
// that nobody has closed.
func (c *Call) tellForwarded() {
	start := len(c.scratch)
	if c.Client.Trusted {
		for i := range c.Request.Fields {
			f := &c.Request.Fields[i]
			if f.ID != message.Forwarded || len(f.Value) == 0 {
				continue
			}
			if !isForwarded(f.Value) {
				c.scratch = c.scratch[:start]
				break
			}
			c.scratch = append(append(c.scratch, f.Value...), sep...)
		}
	}
	b := appendNode(append(c.scratch, "for="...), c.Client.Peer)
	if len(c.Request.Authority) > 0 {
		b = appendValue(append(b, ";host="...), c.Request.Authority)
	}
	c.scratch = append(append(b, ";proto="...), c.Client.Scheme...)
	c.add(message.Forwarded, c.scratch[start:])
}

// appendNode writes an address as section 6 wants it; nil is one that weir does
// not know.
func appendNode(b, addr []byte) []byte {
	switch {
	case len(addr) == 0:
		return append(b, "unknown"...)
	case bytes.IndexByte(addr, ':') >= 0: // IPv6
		return append(append(append(b, `"[`...), addr...), `]"`...)
	}
	return append(b, addr...)
}

// appendValue writes a token as it is, and anything else in quotes, section 4.
func appendValue(b, value []byte) []byte {
	if tokenEnd(value, 0) == len(value) {
		return append(b, value...)
	}
	b = append(b, '"')
	for _, c := range value {
		if c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return append(b, '"')
}

// isForwarded tells whether a value follows the grammar of section 4: elements
// between commas, pairs of a name and a value between semicolons, of which
// RFC 9110 section 5.6.1 lets either be left out.
func isForwarded(v []byte) bool {
	i := spaceEnd(v, 0)
	for i < len(v) {
		if v[i] != ',' && v[i] != ';' {
			if i = pairEnd(v, i); i < 0 {
				return false
			}
			i = spaceEnd(v, i)
		}
		switch {
		case i == len(v):
		case v[i] == ',', v[i] == ';': // by the letter no space may stand around the second; many write one
			i = spaceEnd(v, i+1)
		default:
			return false
		}
	}
	return true
}

// pairEnd finds the end of the pair that begins at v[i]; -1 if it is none.
func pairEnd(v []byte, i int) int {
	equals := tokenEnd(v, i)
	if equals == i || equals == len(v) || v[equals] != '=' {
		return -1
	}
	i = equals + 1
	if i == len(v) || v[i] != '"' {
		if end := tokenEnd(v, i); end > i {
			return end
		}
		return -1
	}
	for i++; i < len(v); i++ {
		switch v[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

func spaceEnd(v []byte, i int) int {
	for i < len(v) && (v[i] == ' ' || v[i] == '\t') {
		i++
	}
	return i
}

// tokenEnd finds the end of a token, RFC 9110 section 5.6.2.
func tokenEnd(v []byte, i int) int {
	for i < len(v) && (isAlphanumeric(v[i]) || bytes.IndexByte(tokenSigns, v[i]) >= 0) {
		i++
	}
	return i
}

var tokenSigns = []byte("!#$%&'*+-.^_`|~")

func isAlphanumeric(c byte) bool {
	letter := c | 0x20
	return 'a' <= letter && letter <= 'z' || '0' <= c && c <= '9'
}
