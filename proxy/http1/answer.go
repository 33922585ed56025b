package http1

import (
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
)

// answerState is how the answer's body is framed on the client's connection.
type answerState struct {
	framing message.Framing
	left    int64 // of a Sized body
	begun   bool  // something of the answer has been sent
	trailed bool  // the last chunk has been written
}

// WriteHead begins the answer: it decides how the body will end, and whether
// the connection goes on after it.
func (c *conn) WriteHead(r *message.Response) error {
	request := &c.call.Request
	c.framing = answerState{framing: r.Framing, left: r.Length}
	if string(request.Method) == "HEAD" {
		c.framing.framing = message.NoBody
	}
	if c.tunnel {
		c.framing.framing = message.UntilClose
		return c.begin(r, "Upgrade")
	}
	switch c.framing.framing {
	case message.UntilClose:
		c.framing.framing = message.Chunked
		fallthrough
	case message.Chunked:
		if request.Minor == 0 { // RFC 9112 section 6.1: no transfer coding for HTTP/1.0
			c.framing.framing = message.UntilClose
			request.Close = true
		}
	}
	if !request.Close && (c.server.draining.Load() || !c.skipBody()) {
		request.Close = true
	}
	connection := ""
	switch {
	case request.Close:
		connection = "close"
	case request.Minor == 0:
		connection = "keep-alive"
	}
	if r.Status == 426 && connection == "" {
		connection = "Upgrade"
	}
	return c.begin(r, connection)
}

func (c *conn) begin(r *message.Response, connection string) error {
	if c.out == nil {
		c.out = getBuffer(smallBuffer)[:0]
	}
	c.out = appendResponse(c.out, r, c.framing.framing, connection)
	return nil
}

// skipBody passes over what is left of the request's body if it is here
// already, and tells whether the body has been read to its end.
func (c *conn) skipBody() bool {
	for c.body.Ready() {
		if _, err := c.body.Next(); err != nil {
			return c.body.whole()
		}
	}
	return false
}

// Interim sends a 1xx head, except to HTTP/1.0, which does not know them.
func (c *conn) Interim(r *message.Response) error {
	if c.call.Request.Minor == 0 {
		return nil
	}
	if c.out == nil {
		c.out = getBuffer(smallBuffer)[:0]
	}
	c.out = appendResponse(c.out, r, message.NoBody, "")
	c.framing.begun = true // the call's own reckoning does not know how late it is
	return c.Flush()
}

var continueResponse = message.Response{Status: 100, Reason: []byte("Continue"), Length: -1}

// Continue asks the client for the body it announced, once: another try may ask
// again.
func (c *conn) Continue() error {
	if c.continued {
		return nil
	}
	c.continued = true
	return c.Interim(&continueResponse)
}

// Write sends a piece of the answer's body: with the head, if both fit.
func (c *conn) Write(p []byte) error {
	switch {
	case len(p) == 0 || c.framing.framing == message.NoBody:
		return nil
	case c.framing.framing == message.Chunked:
		c.out = appendChunkSize(c.out, len(p))
		if len(c.out)+len(p)+2 <= cap(c.out) {
			c.out = append(append(c.out, p...), "\r\n"...)
			return nil
		}
		return c.send(c.out, p, crlf)
	case c.framing.framing == message.Sized:
		if c.framing.left -= int64(len(p)); c.framing.left < 0 {
			panic("BUG: the answer's body is longer than its head said")
		}
	}
	if len(c.out)+len(p) <= cap(c.out) {
		c.out = append(c.out, p...)
		return nil
	}
	return c.send(c.out, p, nil)
}

var crlf = []byte("\r\n")

// WriteTrailers ends a chunked body with trailer fields, if the client takes
// them.
func (c *conn) WriteTrailers(fields []message.Field) {
	if c.framing.framing == message.Chunked && c.call.Request.TakesTrailers {
		c.out = appendLast(c.out, fields, c.call.Trailers)
		c.framing.trailed = true
	}
}

// Flush sends what is buffered.
func (c *conn) Flush() error {
	if len(c.out) == 0 {
		return nil
	}
	return c.send(c.out, nil, nil)
}

// send writes the pieces in one system call and empties the buffer, which is
// the first of them.
func (c *conn) send(first, second, third []byte) error {
	now := c.call.Recent()
	if c.framing.begun { // a stream: the call's own reckoning has stopped
		now = moment.Now()
	}
	c.framing.begun = true
	patience := c.cfg.Limits.BodyProgress
	c.writeBy(now.Add(patience), patience/8)
	_, err := c.sender.write(first, second, third)
	if isTimeout(err) && !c.sender.tried { // a machine that stood still is no fault of the client's
		c.writeBy(moment.Now().Add(patience), 0)
		_, err = c.sender.write(first, second, third)
	}
	c.out = c.out[:0]
	if err != nil {
		return message.ErrClientGone // it left, or it has not read for as long as it may
	}
	return nil
}

// Finish ends the answer and sends what is left of it.
func (c *conn) Finish() error {
	switch {
	case c.framing.framing == message.Chunked && !c.framing.trailed:
		c.out = append(c.out, lastChunk...)
	case c.framing.framing == message.Sized && c.framing.left > 0 && string(c.call.Request.Method) != "HEAD":
		panic("BUG: the answer's body is shorter than its head said")
	}
	err := c.Flush()
	putBuffer(c.out)
	c.out = nil
	if c.tunnel && err == nil {
		err = c.closeWrite()
	}
	return err
}

// Retract takes back an answer of which no byte has gone out.
func (c *conn) Retract() bool {
	if c.framing.begun {
		return false
	}
	c.out = c.out[:0]
	return true
}

// Abort resets the connection: the client must see that the answer is not
// whole.
func (c *conn) Abort() {
	c.closed = true
	c.reset()
}
