package proxy

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/weir-gateway/weir/proxy/message"
)

// titles are the reason phrases of the statuses that weir itself answers with,
// RFC 9110 section 15 and the registry.
var titles = map[int]string{
	200: "OK", 201: "Created", 202: "Accepted", 204: "No Content",
	301: "Moved Permanently", 302: "Found", 307: "Temporary Redirect", 308: "Permanent Redirect",
	400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
	405: "Method Not Allowed", 408: "Request Timeout", 410: "Gone", 413: "Content Too Large",
	414: "URI Too Long", 421: "Misdirected Request", 429: "Too Many Requests", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
	501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
	505: "HTTP Version Not Supported", 508: "Loop Detected",
}

// names and values of a fault's answer that are always the same.
var (
	nameContentType  = message.Name(message.ContentType)
	nameCacheControl = []byte("Cache-Control")
	nameProxyStatus  = []byte("Proxy-Status")
	nameAllow        = []byte("Allow")
	nameRetryAfter   = message.Name(message.RetryAfter)

	noStore     = []byte("no-store")
	kindProblem = []byte("application/problem+json")
	kindText    = []byte("text/plain; charset=utf-8")
)

// answerFault answers with the call's fault: problem+json (RFC 9457), or a
// line of text for a client that wants no JSON, or the waiting page. All texts
// but the page's are made in the call's scratch: turning away a flood allocates
// nothing.
func (c *Call) answerFault() {
	f := c.fault
	retry := c.retryAfter()
	var body []byte
	switch kind := grpcKind(message.Get(c.Request.Fields, message.ContentType)); {
	case kind != nil:
		c.composeGrpc(kind, retry)
	case c.showsPage():
		c.compose(f.status, kindHTML)
		body = c.page(retry)
	case wantsJSON(message.Get(c.Request.Fields, message.Accept)):
		c.compose(f.status, kindProblem)
		body = c.write(func(b []byte) []byte { return c.appendProblem(b, retry) })
	default:
		c.compose(f.status, kindText)
		body = c.write(func(b []byte) []byte {
			return append(append(append(append(b, titles[f.status]...), ": "...), c.detail()...), '\n')
		})
	}
	c.Response.Fields = append(c.Response.Fields, message.Field{Name: nameProxyStatus, Value: c.write(func(b []byte) []byte {
		return append(append(b, "weir; error="...), f.proxy...)
	})})
	c.addAllow()
	c.addRetry(retry)
	c.Request.Close = c.Request.Close || f.close
	if c.deliver(body) != nil {
		c.Down.Abort()
	}
}

// addAllow names the methods that there are routes for, RFC 9110 section 15.5.6.
func (c *Call) addAllow() {
	if c.allowed != 0 && c.fault.status == 405 {
		c.Response.Fields = append(c.Response.Fields, message.Field{Name: nameAllow, Value: c.write(func(b []byte) []byte {
			return c.table.AppendMethods(b, c.allowed)
		})})
	}
}

// write makes a text in the call's scratch.
func (c *Call) write(text func([]byte) []byte) []byte {
	start := len(c.scratch)
	c.scratch = text(c.scratch)
	return c.scratch[start:]
}

// appendProblem writes the body of RFC 9457.
func (c *Call) appendProblem(b []byte, retry int) []byte {
	f := c.fault
	b = append(b, `{"type":"urn:weir:problem:`...)
	b = append(b, f.slug...)
	b = append(b, `","title":"`...)
	b = append(b, titles[f.status]...)
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(f.status), 10)
	b = append(b, `,"detail":`...)
	b = strconv.AppendQuote(b, c.detail()) // details are plain ASCII of our own
	b = append(b, `,"instance":"`...)
	b = append(b, c.ID()...)
	b = append(b, `","request_id":"`...)
	b = append(b, c.ID()...)
	b = append(b, `","cause":"`...)
	b = append(b, f.cause...)
	b = append(b, '"')
	if c.fn != c.table.Unrouted {
		b = append(b, `,"function":"`...)
		b = append(b, c.fn.Name...)
		b = append(b, '"')
	}
	b = append(b, `,"region":`...)
	b = strconv.AppendQuote(b, c.table.Config.Region)
	if retry > 0 {
		b = append(b, `,"retry_after":`...)
		b = strconv.AppendInt(b, int64(retry), 10)
	}
	return append(c.appendReason(b), "}\n"...)
}

// detail is what the client is told. Of its own mistakes it is told which; of
// what went on behind weir only the class, the rest is for the operator's log.
func (c *Call) detail() string {
	if _, own := errors.AsType[*message.Refusal](c.err); own {
		return c.err.Error()
	}
	return c.fault.detail
}

// wholeSeconds is a wait as Retry-After has it: 1 at least, and beyond 5 s up to
// a fifth more at random, or all come back at once.
func wholeSeconds(wait time.Duration) int {
	if wait > 5*time.Second {
		wait += time.Duration(rand.Int64N(int64(wait / 5)))
	}
	return max(1, int((wait+time.Second-1)/time.Second))
}

// wantsJSON tells whether a client with this Accept field takes problem+json:
// one that says nothing does.
func wantsJSON(accept []byte) bool {
	if len(accept) == 0 {
		return true
	}
	wants := false
	message.Elements(accept, func(e []byte) bool {
		for i, b := range e {
			if b == ';' {
				e = message.Trim(e[:i])
				break
			}
		}
		wants = message.IsToken(e, "*/*") || message.IsToken(e, "application/*") ||
			message.IsToken(e, "application/json") || message.IsToken(e, "application/problem+json")
		return !wants
	})
	return wants
}

// date is the present moment as RFC 9110 section 5.6.7 wants it. It is written once for
// the calls of a connection in one second: to write it takes 140 ns.
func (c *Call) date() []byte {
	second := (c.Started.UnixNano() + int64(c.passed())) / int64(time.Second)
	if second != c.dated.second {
		c.dated.second = second
		time.Unix(second, 0).UTC().AppendFormat(c.dated.text[:0], "Mon, 02 Jan 2006 15:04:05 GMT")
	}
	return c.dated.text[:]
}
