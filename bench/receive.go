package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// events waits for what happens to connections, and deals with it.
func (w *worker) events(d time.Duration) error {
	before := w.clock()
	events, err := w.poll.wait(d)
	if err != nil {
		return err
	}
	w.blocked += w.clock() - before
	for _, e := range events {
		c := &w.conns[e.Fd]
		if c.turn != e.Pad || c.state == closed {
			continue
		}
		if c.state == connecting {
			w.connected(c, e.Events)
		} else if len(c.out) > 0 && e.Events&unix.EPOLLOUT != 0 {
			w.flush(c)
		}
		if c.state != closed && c.state != connecting && e.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			c.ending = c.ending || e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP) != 0
			w.receive(c)
		}
		if w.more && w.next <= w.clock() {
			w.send(w.clock())
		}
	}
	return nil
}

// connected looks whether a connection has come about.
func (w *worker) connected(c *conn, events uint32) {
	if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) == 0 {
		return
	}
	w.opening--
	c.state = idle
	if n, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || n != 0 {
		w.reason = unix.Errno(n).Error()
		w.fail(c, refused)
		return
	}
	if !c.waits {
		w.free(c, w.clock())
		return
	}
	c.state = busy
	c.m.sent = w.clock()
	w.flush(c)
}

// receive reads what there is. An edge is told once, so it reads until the
// socket is empty; a read that did not fill the buffer has emptied it, unless
// the end comes behind it.
func (w *worker) receive(c *conn) {
	for {
		n, err := recv(c.fd, w.buf)
		switch {
		case err == unix.EAGAIN:
			return
		case err != 0, n == 0 && c.answer.stage != untilClose:
			w.hungUp(c)
			return
		case n == 0:
			w.finish(c)
			return
		}
		if !w.understand(c, w.buf[:n]) || n < len(w.buf) && !c.ending {
			return
		}
	}
}

// understand takes bytes of an answer, and tells whether there is more to it.
func (w *worker) understand(c *conn, p []byte) bool {
	if c.state != busy {
		w.drop(c) // nobody asked
		w.dead = append(w.dead, c)
		return false
	}
	w.bytes += int64(len(p))
	if len(c.rest) > 0 {
		c.rest = append(c.rest, p...)
		p = c.rest
	}
	n, err := c.answer.feed(p, w.load.ShareBy)
	if err != nil {
		w.fail(c, garbled)
		return false
	}
	if c.answer.value != nil && w.load.ShareBy != "" {
		if c.m.intended >= 0 {
			w.served(c.answer.value)
		}
		c.answer.value = nil
	}
	if c.answer.stage == whole {
		if n < len(p) { // more than was asked for
			w.fail(c, garbled)
			return false
		}
		c.rest = nil
		w.finish(c)
		return false
	}
	if n == len(p) {
		c.rest = nil
	} else if len(c.rest) > 0 && &c.rest[0] == &p[0] {
		c.rest = append(c.rest[:0], p[n:]...)
	} else {
		c.rest = append([]byte(nil), p[n:]...)
	}
	return true
}

// finish notes an answer that has come, and puts the next call on the
// connection.
func (w *worker) finish(c *conn) {
	now := w.clock()
	c.m.done = now
	w.unwait(c)
	w.add(c.kind, answered, c.answer.status, c.m)
	w.refusing = false
	c.served++
	if c.answer.close || c.ending || len(c.out) > 0 || w.load.PerConn > 0 && c.served >= w.load.PerConn {
		w.drop(c)
		if w.schedule == nil && now < w.end && w.quota > 0 {
			w.begin(c, now, now)
			return
		}
		w.dead = append(w.dead, c)
		return
	}
	if w.schedule == nil && now < w.end && w.quota > 0 {
		c.state = idle
		w.begin(c, now, now)
		return
	}
	w.free(c, now)
}

func (w *worker) free(c *conn, now time.Duration) {
	c.state, c.freeAt = idle, now
	w.ready = append(w.ready, c)
}

// hungUp is the other side's end of a connection. Without a call on it there
// is nothing wrong with that.
func (w *worker) hungUp(c *conn) {
	if c.state == busy {
		w.fail(c, broken)
		return
	}
	for i, r := range w.ready {
		if r == c {
			w.ready = append(w.ready[:i], w.ready[i+1:]...)
			break
		}
	}
	w.drop(c)
	w.dead = append(w.dead, c)
}

// fail ends a call, if there is one, and its connection.
func (w *worker) fail(c *conn, how outcome) {
	now := w.clock()
	w.drop(c)
	w.dead = append(w.dead, c)
	if how == refused {
		w.refusedAt(now)
	}
	if !c.waits {
		return
	}
	w.unwait(c)
	c.m.done = now
	w.add(c.kind, how, 0, c.m)
}

// refusedAt gives the target up when it has refused for long enough.
func (w *worker) refusedAt(now time.Duration) {
	if !w.refusing {
		w.refusing, w.refusedFrom = true, now
	}
	w.gone = now-w.refusedFrom > goneAfter && !w.load.Endures
}

func (w *worker) drop(c *conn) {
	if c.state == connecting {
		w.opening--
	}
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
	}
	c.fd, c.state, c.out, c.rest = -1, closed, nil, nil
}

// expire ends the calls whose deadline has passed.
func (w *worker) expire(now time.Duration) {
	for c := w.oldest; c != nil && now >= c.m.intended+w.load.Timeout; c = w.oldest {
		w.fail(c, overdue)
	}
}

// abandon closes everything.
func (w *worker) abandon() {
	for i := range w.conns {
		if w.conns[i].fd >= 0 {
			w.drop(&w.conns[i])
		}
	}
	w.poll.close()
}

// wait puts a call at the end of those that wait for an answer. Calls begin in
// the order of their intended times, and so of their deadlines.
func (w *worker) wait(c *conn) {
	c.earlier, c.later, c.waits = w.newest, nil, true
	if w.newest != nil {
		w.newest.later = c
	} else {
		w.oldest = c
	}
	w.newest = c
}

func (w *worker) unwait(c *conn) {
	if c.earlier != nil {
		c.earlier.later = c.later
	} else {
		w.oldest = c.later
	}
	if c.later != nil {
		c.later.earlier = c.earlier
	} else {
		w.newest = c.earlier
	}
	c.earlier, c.later, c.waits = nil, nil, false
}
