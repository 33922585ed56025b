package message

import (
	"bytes"
	"encoding/binary"
)

// An ID is a field name that weir knows.
type ID uint8

// The names that weir acts on. All others are Other and pass.
const (
	Other ID = iota
	Accept
	Connection
	ContentLength
	ContentType
	Cookie
	Date
	Expect
	Forwarded
	GrpcTimeout
	Host
	IdempotencyKey
	KeepAlive
	MaxForwards
	Prefer
	Priority
	Proxy
	ProxyAuthenticate
	ProxyAuthorization
	ProxyConnection
	RetryAfter
	TE
	Traceparent
	Tracestate
	Trailer
	TransferEncoding
	TrueClientIP
	Upgrade
	UserAgent
	Via
	XClientIP
	XClusterClientIP
	XEnvoyExpectedTimeout
	XEnvoyUpstreamTimeout
	XForwardedFor
	XForwardedHost
	XForwardedPort
	XForwardedProto
	XOriginalURL
	XRealIP
	XWeirCold
	XWeirHanded
	XWeirOverflow
	XRequestID
	XRequestTimeout
	XRewriteURL
	numIDs
)

// XForwarded is every other name that begins with X-Forwarded-.
const XForwarded = numIDs

// names as weir writes them, by ID.
var names = [numIDs][]byte{
	Accept:                []byte("Accept"),
	Connection:            []byte("Connection"),
	ContentLength:         []byte("Content-Length"),
	ContentType:           []byte("Content-Type"),
	Cookie:                []byte("Cookie"),
	Date:                  []byte("Date"),
	Expect:                []byte("Expect"),
	Forwarded:             []byte("Forwarded"),
	GrpcTimeout:           []byte("Grpc-Timeout"),
	Host:                  []byte("Host"),
	IdempotencyKey:        []byte("Idempotency-Key"),
	KeepAlive:             []byte("Keep-Alive"),
	MaxForwards:           []byte("Max-Forwards"),
	Prefer:                []byte("Prefer"),
	Priority:              []byte("Priority"),
	Proxy:                 []byte("Proxy"),
	ProxyAuthenticate:     []byte("Proxy-Authenticate"),
	ProxyAuthorization:    []byte("Proxy-Authorization"),
	ProxyConnection:       []byte("Proxy-Connection"),
	RetryAfter:            []byte("Retry-After"),
	TE:                    []byte("TE"),
	Traceparent:           []byte("Traceparent"),
	Tracestate:            []byte("Tracestate"),
	Trailer:               []byte("Trailer"),
	TransferEncoding:      []byte("Transfer-Encoding"),
	TrueClientIP:          []byte("True-Client-Ip"),
	Upgrade:               []byte("Upgrade"),
	UserAgent:             []byte("User-Agent"),
	Via:                   []byte("Via"),
	XClientIP:             []byte("X-Client-Ip"),
	XClusterClientIP:      []byte("X-Cluster-Client-Ip"),
	XEnvoyExpectedTimeout: []byte("X-Envoy-Expected-Rq-Timeout-Ms"),
	XEnvoyUpstreamTimeout: []byte("X-Envoy-Upstream-Rq-Timeout-Ms"),
	XForwardedFor:         []byte("X-Forwarded-For"),
	XForwardedHost:        []byte("X-Forwarded-Host"),
	XForwardedPort:        []byte("X-Forwarded-Port"),
	XForwardedProto:       []byte("X-Forwarded-Proto"),
	XOriginalURL:          []byte("X-Original-Url"),
	XRealIP:               []byte("X-Real-Ip"),
	XWeirCold:             []byte("X-Weir-Cold"),
	XWeirHanded:           []byte("X-Weir-Handed"),
	XWeirOverflow:         []byte("X-Weir-Overflow"),
	XRequestID:            []byte("X-Request-Id"),
	XRequestTimeout:       []byte("X-Request-Timeout-Ms"),
	XRewriteURL:           []byte("X-Rewrite-Url"),
}

// Name returns the name of a known field as weir writes it.
func Name(id ID) []byte { return names[id] }

// candidates are the IDs of names by their length and first letter, so that a
// name is compared with two others at most.
var candidates = func() (c [32][26][2]ID) {
	for id := Accept; id < numIDs; id++ {
		name := names[id]
		slot := &c[len(name)][name[0]|0x20-'a']
		switch {
		case slot[0] == Other:
			slot[0] = id
		case slot[1] == Other:
			slot[1] = id
		default:
			panic("BUG: three known field names of one length and first letter: " + string(name))
		}
	}
	return c
}()

// Lookup tells which known name it is, in any case.
func Lookup(name []byte) ID {
	if len(name) == 0 {
		return Other
	}
	letter := name[0] | 0x20
	if letter < 'a' || letter > 'z' {
		return Other
	}
	if len(name) < len(candidates) {
		for _, id := range candidates[len(name)][letter-'a'] {
			if id != Other && EqualNames(name, names[id]) {
				return id
			}
		}
	}
	if letter == 'x' && len(name) > len(forwarded) && EqualNames(name[:len(forwarded)], forwarded) {
		return XForwarded
	}
	return Other
}

var forwarded = []byte("X-Forwarded-")

// EqualNames tells whether a and b are the same but for the case of ASCII
// letters.
func EqualNames(a, b []byte) bool { return len(a) == len(b) && (bytes.Equal(a, b) || equalFold(a, b)) }

// equalFold is EqualNames of what has the same length, eight bytes at a time; the last
// eight may have been compared before.
func equalFold(a, b []byte) bool {
	n := len(a)
	if n < 8 || len(b) < n {
		return equalShort(a, b)
	}
	for at := 0; ; at += 8 {
		at = min(at, n-8)
		x, y := binary.LittleEndian.Uint64(a[at:]), binary.LittleEndian.Uint64(b[at:])
		if x != y && !equalWords(x, y) {
			return false
		}
		if at == n-8 {
			return true
		}
	}
}

func equalShort(a, b []byte) bool {
	for i, x := range a {
		y := b[i]
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}

// equalWords tells whether eight bytes differ by the case of ASCII letters at most.
func equalWords(x, y uint64) bool {
	const ones = 0x0101010101010101
	lower := x | 0x20*ones
	if lower != y|0x20*ones {
		return false
	}
	// The highest bit of each byte, taken out of it, tells of the sums whether it is at
	// least 'a', and whether it is more than 'z'.
	ascii := lower & (0x7f * ones)
	letters := (ascii + (0x80-'a')*ones) &^ (ascii + (0x7f-'z')*ones) &^ lower & (0x80 * ones)
	return (x^y)&^(letters>>2) == 0
}

// IsToken tells whether value is the token, given in lower case, but for the
// case of ASCII letters.
func IsToken(value []byte, token string) bool {
	if len(value) != len(token) {
		return false
	}
	for i, c := range value {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != token[i] {
			return false
		}
	}
	return true
}

// Get returns the value of the first field with this name that passes.
func Get(fields []Field, id ID) []byte {
	for i := range fields {
		if fields[i].ID == id && !fields[i].Drop {
			return fields[i].Value
		}
	}
	return nil
}

// DropNamed drops the fields that a Connection field names. It cannot name one
// that weir knows: those are decided on by what they are, and a client must
// not be able to take Host or X-Forwarded-For away from the endpoint.
func DropNamed(fields []Field, connection []byte) {
	Elements(connection, func(name []byte) bool {
		for i := range fields {
			if fields[i].ID == Other && EqualNames(fields[i].Name, name) {
				fields[i].Drop = true
			}
		}
		return true
	})
}

// LooksKnown tells whether a name is one that weir knows but for other
// characters in the place of hyphens. CGI, and what came after it, cannot tell
// an underscore from a hyphen (RFC 3875 section 4.1.18), and some make an
// underscore of everything that is neither letter nor digit.
func LooksKnown(name []byte) bool {
	var spelled [64]byte
	if len(name) > len(spelled) {
		return false
	}
	odd := false
	for i, c := range name {
		if c != '-' && !unreserved(c) || c == '_' || c == '.' || c == '~' {
			c, odd = '-', true
		}
		spelled[i] = c
	}
	return odd && Lookup(spelled[:len(name)]) != Other
}

// Elements calls f with every element of a comma-separated list, RFC 9110
// section 5.6.1, trimmed; empty ones are passed over. It ends early when f
// returns false.
func Elements(list []byte, f func(element []byte) bool) {
	for len(list) > 0 {
		end := 0
		for end < len(list) && list[end] != ',' {
			end++
		}
		if e := Trim(list[:end]); len(e) > 0 && !f(e) {
			return
		}
		list = list[min(end+1, len(list)):]
	}
}

// Trim takes spaces and tabs off both ends.
func Trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
