package message

import "encoding/hex"

// A TraceContext is what a caller says of the trace that its call belongs to,
// in the field traceparent: W3C Trace Context, section 3.2.
type TraceContext struct {
	Trace [16]byte // names the trace
	Span  [8]byte  // names the caller's part of it
	Flags byte     // those of the constants below; others are dropped
}

// The flags of a trace context. Random is of level 2 of the recommendation.
const (
	TraceSampled byte = 1 << iota // the caller records its part
	TraceRandom                   // the last seven bytes of Trace are random
)

// A traceparent of version 00: 00-<32 digits>-<16>-<2>.
const (
	traceparentLen = 55
	traceAt        = 3
	spanAt         = 36
	flagsAt        = 53
)

// ReadTraceContext reads the one that fields have. A malformed one says
// nothing, and neither do two of them.
func ReadTraceContext(fields []Field) (tc TraceContext, ok bool) {
	seen := false
	for i := range fields {
		if fields[i].ID != Traceparent {
			continue
		}
		if seen {
			return TraceContext{}, false
		}
		seen = true
		tc, ok = readTraceparent(fields[i].Value)
	}
	return tc, ok
}

// readTraceparent reads a later version as 00, which it begins like (section
// 3.2.4: Versioning of traceparent).
func readTraceparent(v []byte) (tc TraceContext, ok bool) {
	if len(v) < traceparentLen || v[traceAt-1] != '-' || v[spanAt-1] != '-' || v[flagsAt-1] != '-' {
		return TraceContext{}, false
	}
	var version, flags [1]byte
	if !readHex(version[:], v[:traceAt-1]) || !readHex(tc.Trace[:], v[traceAt:spanAt-1]) ||
		!readHex(tc.Span[:], v[spanAt:flagsAt-1]) || !readHex(flags[:], v[flagsAt:traceparentLen]) {
		return TraceContext{}, false
	}
	tc.Flags = flags[0] & (TraceSampled | TraceRandom)
	switch {
	case version[0] == 0xff,
		version[0] == 0 && len(v) > traceparentLen,
		len(v) > traceparentLen && v[traceparentLen] != '-',
		tc.Trace == [16]byte{}, tc.Span == [8]byte{}:
		return TraceContext{}, false
	}
	return tc, true
}

// readHex reads lower-case digits, the only ones that the recommendation
// allows.
func readHex(to, digits []byte) bool {
	for i := range to {
		high, low := digit(digits[2*i]), digit(digits[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		to[i] = high<<4 | low
	}
	return true
}

// digit is the value of a lower-case hexadecimal digit; over 15 if it is none.
func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// AppendTraceparent writes tc as the value of a traceparent of version 00.
func AppendTraceparent(b []byte, tc TraceContext) []byte {
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, tc.Trace[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, tc.Span[:])
	b = append(b, '-')
	return hex.AppendEncode(b, []byte{tc.Flags})
}
