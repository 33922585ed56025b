package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
)

// A wire is a connection with its read buffer, which it has only while there
// is something in it. One goroutine reads.
type wire struct {
	nc     net.Conn
	rc     syscall.RawConn
	secure *secure // nil: no TLS

	buf    []byte // nil, or buf[r:w] is what has come and is not used yet
	r, w   int
	pinned []byte // an earlier buffer that the call's head still lies in
	want   int    // the size of the next buffer

	readFunc func(fd uintptr) bool // w.read, made once
	n        int                   // what the last read returned
	readErr  error
	slept    bool // it had to wait
	yield    bool // the next attempt lets others go first
	luck     int8 // of fillAfterOthers
	waits    uint8
	ask      []byte // goes out before the next attempt to read: what is awaited is the answer to it
	askRoom  []byte // the buffer that ask lies in
	pipe     int    // where the next bytes go, if not into the buffer (splice.go)
	pipeMost int

	sender sender

	readUntil  moment.Moment // the read deadline that is armed; 0: none
	writeUntil moment.Moment
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

func (w *wire) open(nc net.Conn) error {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return errors.New("not a socket")
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	w.nc, w.rc = nc, rc
	w.readFunc = w.read
	w.sender.open(rc)
	return nil
}

// unread is what has come and is not used yet.
func (w *wire) unread() []byte { return w.buf[w.r:w.w] }

// fill waits until at least one more byte has come. The buffer has room for
// it, or there is no buffer. io.EOF is the peer's end.
func (w *wire) fill() error {
	if w.secure != nil {
		return w.secure.fill(w)
	}
	w.n, w.readErr = 0, nil
	if err := w.rc.Read(w.readFunc); err != nil {
		return err
	}
	if w.readErr != nil {
		return w.readErr
	}
	if len(w.ask) > 0 { // the socket takes no more of it for now
		if err := w.sendAsk(); err != nil {
			return err
		}
		return w.fill()
	}
	if w.n == 0 {
		return io.EOF
	}
	if w.pipe == 0 {
		w.w += w.n
	}
	return nil
}

// fillAfterOthers is fill for bytes that may well come soon but are not here
// yet: on a busy machine it lets the other goroutines go first, and finds the
// bytes there when its turn comes, without an attempt in vain and without
// sleeping. That is a system call less in two of three waits with 64 busy
// clients, and a tenth of all cost (bench/RESULTS.md, 2026-11-25). Where nobody
// else wants to go it gains nothing, so it goes on only as long as it pays, and
// is tried anew every now and then.
func (w *wire) fillAfterOthers() error {
	const most, tryEvery = 8, 64
	letting := w.luck > 0 || w.waits%tryEvery == 0
	w.waits++
	w.slept, w.yield = false, letting
	err := w.fill()
	switch {
	case !letting:
	case w.slept:
		w.luck = max(w.luck-1, 0)
	default:
		w.luck = min(w.luck+2, most)
	}
	return err
}

// read makes one attempt and tells whether it is over. Without a buffer it
// takes one, and gives it back if nothing has come: so a connection that waits
// holds none.
func (w *wire) read(fd uintptr) bool {
	if w.pipe != 0 {
		return w.readIntoPipe(fd)
	}
	asked := w.ask != nil
	if asked && !w.sayAsk(fd) {
		return true
	}
	if w.yield {
		w.yield = false
		runtime.Gosched()
	} else if asked {
		w.slept = true
		return false // nobody answers so soon
	}
	buf := w.buf
	if buf == nil {
		buf = getBuffer(max(w.want, smallBuffer))
	}
	n, err := recv(fd, buf[w.w:], 0)
	if err != 0 {
		n = 0
	}
	if w.buf == nil {
		if n == 0 {
			putBuffer(buf)
		} else {
			w.buf = buf
		}
	}
	if err == syscall.EAGAIN {
		w.slept = true
		return false
	}
	w.n, w.readErr = n, nil
	if err != 0 {
		w.readErr = os.NewSyscallError("recv", err)
	}
	return true
}

// release gives the buffer back if nothing is left in it.
func (w *wire) release() {
	if w.pinned != nil {
		putBuffer(w.pinned)
		w.pinned = nil
	}
	if w.buf != nil && w.r == w.w {
		putBuffer(w.buf)
		w.buf, w.r, w.w = nil, 0, 0
	}
	w.want = 0
}

// drop gives every buffer back; the connection is of no use any more.
func (w *wire) drop() {
	if w.ask != nil {
		w.dropAsk()
	}
	w.r = w.w
	w.release()
}

// room makes room for at least one byte behind what is unread, by moving it to
// the front or into a buffer of n bytes. If pin is set the present buffer
// stays as it is until release.
func (w *wire) room(n int, pin bool) {
	if w.buf == nil {
		w.want = n
		return
	}
	if !pin && n <= len(w.buf) {
		w.w = copy(w.buf, w.buf[w.r:w.w])
		w.r = 0
		return
	}
	next := getBuffer(n)
	kept := copy(next, w.buf[w.r:w.w])
	if pin {
		w.pinned = w.buf
	} else {
		putBuffer(w.buf)
	}
	w.buf, w.r, w.w = next, 0, kept
}

// until arms the read deadline, if the one that is armed is not close enough:
// a timeout is met within an eighth, which saves most of the calls (0.2 µs
// each). 0 is none.
func (w *wire) until(deadline moment.Moment, slack time.Duration) {
	if late := w.readUntil.Sub(deadline); w.readUntil != 0 && deadline != 0 && late <= 0 && late > -slack {
		return
	}
	if w.readUntil == 0 && deadline == 0 {
		return
	}
	w.setReadDeadline(deadline)
}

func (w *wire) setReadDeadline(deadline moment.Moment) {
	w.readUntil = deadline
	at := time.Time{} // none
	if deadline != 0 {
		at = deadline.Time()
	}
	_ = w.nc.SetReadDeadline(at) // fails on a closed connection, as the read then will
}

// forget makes the next until arm the deadline whatever it was: another
// goroutine has changed it.
func (w *wire) forget() { w.readUntil = moment.Of(longAgo) }

// writeBy arms the write deadline in the same way.
func (w *wire) writeBy(deadline moment.Moment, slack time.Duration) {
	if late := w.writeUntil.Sub(deadline); late <= 0 && late > -slack {
		return
	}
	w.writeUntil = deadline
	_ = w.nc.SetWriteDeadline(deadline.Time())
}

// reset closes the connection so that the peer sees that something is missing.
func (w *wire) reset() {
	if tcp, ok := w.nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = w.nc.Close()
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
