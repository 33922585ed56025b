package http1

// A request's body can come again for another try as long as all that was read of
// it is still in the connection's buffers: behind the head, in the buffer that the
// call keeps anyway, and in the next one until that is full (32 KiB, or 4 for a
// body that is no longer). Nothing is copied before it has to come again, so the
// calls that go well do not pay for it.

// Rewind has the request's body come again from its begin, if that can be.
func (c *conn) Rewind() bool {
	b := &c.body
	if !b.held {
		return false
	}
	pin, split := b.pin, b.split
	switch first := split - b.start; {
	case pin: // all of it is behind the head
		c.r = b.start
	case first == 0: // none of it is
		c.r = 0
	default:
		buf := getBuffer(first + c.w)
		n := copy(buf, c.pinned[b.start:split])
		n += copy(buf[n:], c.buf[:c.w])
		putBuffer(c.buf)
		c.buf, c.r, c.w = buf, 0, n
	}
	r := &c.call.Request
	b.begin(r.Framing, r.Length, pin)
	b.held = true
	if c.cut.Swap(false) {
		c.forget()
	}
	c.taken, c.call.BytesIn, c.call.BodyTouched = 0, 0, false
	return true
}
