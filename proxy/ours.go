package proxy

import (
	"strconv"

	"github.com/weir-gateway/weir/proxy/message"
)

// A reply is an answer of weir's own that is no fault.
type reply interface {
	// give gives it to the call's client. It is called once.
	give(c *Call) error
}

// static is an answer that stands in the configuration.
type static struct {
	status int
	body   string
}

func (s static) give(c *Call) error {
	c.compose(s.status, kindText)
	if s.status == 503 || s.status == 429 {
		c.addRetry(c.retryAfter())
	}
	return c.deliver([]byte(s.body))
}

// compose begins an answer of weir's own.
func (c *Call) compose(status int, kind []byte) {
	r := &c.Response
	*r = message.Response{
		Status: status, Framing: message.Sized,
		Reason: c.write(func(b []byte) []byte { return append(b, titles[status]...) }),
		Fields: append(r.Fields[:0],
			message.Field{Name: nameContentType, Value: kind},
			message.Field{Name: nameCacheControl, Value: noStore}),
	}
}

// addRetry says when to come again; 0 is nothing to say.
func (c *Call) addRetry(seconds int) {
	if seconds > 0 {
		c.Response.Fields = append(c.Response.Fields, message.Field{Name: nameRetryAfter, Value: c.write(func(b []byte) []byte {
			return strconv.AppendInt(b, int64(seconds), 10)
		})})
	}
}

// deliver gives the client the composed answer with its whole body.
func (c *Call) deliver(body []byte) error {
	r := &c.Response
	r.Length = int64(len(body))
	if r.Status == 204 || r.Status == 304 { // RFC 9110 section 8.6: without a length
		r.Framing, r.Length = message.NoBody, -1
	}
	r.Added = c.addedToResponse(false)
	c.answered = true
	if err := c.Down.WriteHead(r); err != nil {
		return err
	}
	if string(c.Request.Method) != "HEAD" {
		if err := c.Down.Write(body); err != nil {
			return err
		}
		c.BytesOut = int64(len(body))
	}
	return c.Down.Finish()
}
