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
	case err != 0 || n == 0 && !c.mayHalfClose():
		c.gone = true
	default: // its end, or bytes ahead, which its end may stand behind
		c.gone = c.hasLeft(int(fd))
	}
	return c.gone
}

// mayHalfClose tells whether the client may end its side and wait for its answer.
func (c *conn) mayHalfClose() bool { return c.cfg.HalfClose == "wait" }

// leaves are the events on a client's connection by which it leaves: the end of
// its side, even behind bytes that were not read yet, or the end of both, which
// epoll tells of unasked.
func (c *conn) leaves() uint32 {
	if c.mayHalfClose() {
		return 0
	}
	return unix.EPOLLRDHUP
}

// hasLeft is the same for who looks.
func (c *conn) hasLeft(fd int) bool {
	const established, closeWait = 1, 8 // of the kernel's tcp_states.h
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.State == established {
		return false
	}
	return info.State != closeWait || !c.mayHalfClose()
}
