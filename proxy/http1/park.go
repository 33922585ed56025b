package http1

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/proxy/message"
)

// A call that waits parks on its own connection: the goroutine sleeps in the
// poller until the client does something, and Wake ends that by moving the read
// deadline into the past. So a client that leaves is noticed at once, without a
// second goroutine and without reading a byte of what it may have sent ahead.

// Wait parks the call.
func (c *conn) Wait(until time.Time) error {
	c.forget()
	_ = c.nc.SetReadDeadline(until)
	if c.woken.Swap(false) { // Wake came first; it sets woken before the deadline
		return nil
	}
	c.gone = false
	err := c.rc.Read(c.parkFn)
	switch {
	case c.gone:
		return message.ErrClientGone
	case c.woken.Swap(false):
		return nil
	case isTimeout(err) && time.Now().Before(until):
		return nil // the deadline of an earlier Wake
	case isTimeout(err):
		return os.ErrDeadlineExceeded
	}
	return message.ErrClientGone
}

// Memory is what a call that waits keeps: the buffers that its head and what
// has come of its body lie in.
func (c *conn) Memory() int { return cap(c.buf) + cap(c.pinned) + cap(c.call.Request.Scratch) }

// Wake ends Wait.
func (c *conn) Wake() {
	c.woken.Store(true)
	_ = c.nc.SetReadDeadline(longAgo)
}

// parked looks whether the client is still there, without taking a byte.
func (c *conn) parked(fd uintptr) bool {
	n, err := recv(fd, c.peek[:], unix.MSG_PEEK)
	switch {
	case err == unix.EAGAIN:
		return false
	case err != 0 || n == 0:
		c.gone = true
	default: // bytes ahead; its end may stand behind them
		c.gone = hasLeft(int(fd))
	}
	return c.gone
}

// hasLeft tells whether the peer has closed its side, even behind bytes that
// were not read yet.
func hasLeft(fd int) bool {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	const established = 1 // TCP_ESTABLISHED of the kernel's tcp_states.h
	return err == nil && info.State != established
}
