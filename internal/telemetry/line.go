package telemetry

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/message"
)

// appendLine writes a call's line of the access log. Every field is there in
// every line, in this order, but for those that only some calls have: trace_id
// and span_id, queue_ms or cold_start_ms, tenant, fallback_from and
// fallback_reason, collapsed, collapsed_with or followers, and error.
//
// A string that is read as bytes is not copied: the compiler sees that nobody
// writes to them.
func appendLine(b []byte, c *proxy.Call, home string) []byte {
	b = append(b, `{"time":"`...)
	b = c.Ended().UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"`...)
	b = append(b, level(c)...)
	b = append(b, `","msg":"call","request_id":`...)
	b = appendText(b, c.ID())
	b = appendTrace(b, c.Trace())
	b = append(b, `,"client_ip":`...)
	b = appendText(b, c.Client.Text)
	b = append(b, `,"method":`...)
	b = appendText(b, c.Request.Method)
	b = append(b, `,"host":`...)
	b = appendText(b, c.Request.Host)
	b = append(b, `,"path":`...)
	b = appendText(b, c.ShownPath())
	b = append(b, `,"function":`...)
	b = appendText(b, []byte(c.Function().Name))
	b = append(b, `,"region":`...)
	b = appendText(b, []byte(regionOf(c.Endpoint(), home)))
	b = append(b, `,"upstream_addr":`...)
	if ep := c.Endpoint(); ep != nil {
		b = appendText(b, []byte(ep.Addr))
	} else {
		b = append(b, `""`...)
	}
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(c.Status()), 10)
	b = append(b, `,"upstream_status":`...)
	b = strconv.AppendInt(b, int64(c.UpstreamStatus()), 10)
	b = append(b, `,"cause":`...)
	b = appendText(b, []byte(c.Cause()))
	b = append(b, `,"protocol":"`...)
	b = append(b, protocol(c)...)
	b = append(b, `","bytes_in":`...)
	b = strconv.AppendInt(b, c.BytesIn, 10)
	b = append(b, `,"bytes_out":`...)
	b = strconv.AppendInt(b, c.BytesOut, 10)
	b = append(b, `,"duration_ms":`...)
	b = appendMillis(b, c.Duration())
	if c.Cold() {
		b = append(b, `,"cold_start_ms":`...)
		b = appendMillis(b, c.Held())
	} else if c.Held() > 0 {
		b = append(b, `,"queue_ms":`...)
		b = appendMillis(b, c.Held())
	}
	b = append(b, `,"upstream_ms":`...)
	b = appendMillis(b, c.UpstreamDuration())
	b = append(b, `,"attempts":`...)
	b = strconv.AppendInt(b, int64(attempts(c)), 10)
	b = append(b, `,"user_agent":`...)
	b = appendText(b, message.Get(c.Request.Fields, message.UserAgent))
	if tenant := c.Tenant(); tenant != nil {
		b = append(b, `,"tenant":`...)
		b = appendText(b, tenant)
	}
	if c.HandedTo() != nil {
		b = append(b, `,"handed":"out"`...) // to upstream_addr
	} else if c.Handed() {
		b = append(b, `,"handed":"in"`...)
	}
	if from, _ := c.FellBack(); from != nil && c.Resorted() != "" {
		b = append(b, `,"fallback_from":`...)
		b = appendText(b, []byte(from.Name))
		b = append(b, `,"fallback_reason":`...)
		b = appendText(b, []byte(c.Resorted()))
	}
	if result, leader := c.Collapsed(); result != proxy.NotCollapsed {
		b = append(append(b, `,"collapsed":"`...), result.String()...)
		b = append(b, '"')
		if leader != nil {
			b = append(b, `,"collapsed_with":`...)
			b = appendText(b, leader)
		}
	}
	if n := c.Followers(); n > 0 {
		b = append(b, `,"followers":`...)
		b = strconv.AppendInt(b, int64(n), 10)
	}
	if c.Cause() != "" && c.Err() != nil {
		b = append(b, `,"error":`...)
		b = appendText(b, []byte(c.Err().Error()))
	}
	return append(b, '}', '\n')
}

// attempts are the tries of the call, those at a function it has left too.
func attempts(c *proxy.Call) int {
	if b := c.Before(); b != nil {
		return b.Tries + c.Tries()
	}
	return c.Tries()
}

// appendTrace writes which trace the call belongs to, and which of its spans is
// weir's, if there are any.
func appendTrace(b []byte, tc message.TraceContext) []byte {
	if tc.Trace == [16]byte{} {
		return b
	}
	b = append(b, `,"trace_id":"`...)
	b = hex.AppendEncode(b, tc.Trace[:])
	if tc.Span != [8]byte{} {
		b = append(b, `","span_id":"`...)
		b = hex.AppendEncode(b, tc.Span[:])
	}
	return append(b, '"')
}

// level is warn for a call that ended badly through no fault of its client.
func level(c *proxy.Call) string {
	if c.Cause() != "" && (c.Status() >= 500 || answerBroke(c)) {
		return "warn"
	}
	return "info"
}

func protocol(c *proxy.Call) string {
	if c.Request.Minor == 0 {
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// appendMillis writes a duration in milliseconds, to the microsecond.
func appendMillis(b []byte, d time.Duration) []byte {
	us := max(d.Microseconds(), 0)
	b = strconv.AppendInt(b, us/1000, 10)
	us %= 1000
	return append(b, '.', byte('0'+us/100), byte('0'+us/10%10), byte('0'+us%10))
}

// appendText writes a JSON string. What is not UTF-8 becomes U+FFFD, as in
// encoding/json.
func appendText(b, text []byte) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(text); {
		if i+8 <= len(text) && !strange(binary.LittleEndian.Uint64(text[i:])) {
			i += 8
			continue
		}
		c := text[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, text[start:i]...)
			b = appendEscaped(b, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, text[start:i]...)
			b = append(b, `\ufffd`...)
			start = i + 1
		}
		i += size
	}
	b = append(b, text[start:]...)
	return append(b, '"')
}

// strange tells whether one of eight bytes is not printable ASCII or must be
// escaped: a subtraction carries into the highest bit of a byte that is too
// small. Looking at each byte took a third of the whole line's time.
func strange(x uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	return (x|(x-ones*' ')|((x^ones*'"')-ones)|((x^ones*'\\')-ones))&high != 0
}

func appendEscaped(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
