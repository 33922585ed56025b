package http1

import (
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
)

// A large body of known length goes from one side to the other through a pipe, in
// the kernel: splice(2) moves its pages and copies no byte, which makes answers of
// 64 KiB cost two thirds (bench/RESULTS.md, 2026-11-25). What is read into memory
// before, with the head, goes the common way.

// spliceFrom is the least that is worth a pipe.
const spliceFrom = 32 << 10

// pipeRoom is how much a pipe holds: what a call has on its way.
const pipeRoom = 64 << 10

// maxPipes are how many pipes there may be, two descriptors each: bodies beyond
// that go the common way. keptPipes of them wait for a body.
const maxPipes, keptPipes = 512, 64

// A pipe is empty while nobody has it.
type pipe struct{ in, out int }

// pipes are all there are in the process.
var pipes struct {
	mu   sync.Mutex // guards all below
	idle []pipe
	made int
}

// getPipe returns an empty pipe, if there is one to be had.
func getPipe() (p pipe, ok bool) {
	pipes.mu.Lock()
	defer pipes.mu.Unlock()
	if n := len(pipes.idle); n > 0 {
		p = pipes.idle[n-1]
		pipes.idle = pipes.idle[:n-1]
		return p, true
	}
	var fds [2]int
	if pipes.made == maxPipes || unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return pipe{}, false
	}
	pipes.made++
	return pipe{in: fds[1], out: fds[0]}, true
}

// putPipe takes a pipe back. One that is not empty is of no use any more.
func putPipe(p pipe, empty bool) {
	pipes.mu.Lock()
	defer pipes.mu.Unlock()
	if empty && len(pipes.idle) < keptPipes {
		pipes.idle = append(pipes.idle, p)
		return
	}
	pipes.made--
	_ = unix.Close(p.in)
	_ = unix.Close(p.out)
}

func splice(from, to int, n int) (int, syscall.Errno) {
	for {
		n, _, err := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		if err != syscall.EINTR {
			return int(n), err
		}
	}
}

// through moves what is left of a body through a pipe, if it is worth that, and
// returns how much that was; send sends n bytes that are in the pipe. How the
// body ended, Next tells.
func (b *body) through(send func(p pipe, n int) error) (moved int64, err error) {
	if !canSplice || b.wire.secure != nil || b.err != nil || b.framing != message.Sized || b.left < spliceFrom || b.wire.r < b.wire.w {
		return 0, nil
	}
	p, ok := getPipe()
	if !ok {
		return 0, nil
	}
	empty := true
	defer func() { putPipe(p, empty) }()
	for b.left > 0 {
		n, err := b.intoPipe(p)
		if err != nil {
			b.err = err
			return moved, nil
		}
		b.held = false
		b.left -= int64(n)
		if err := send(p, n); err != nil {
			empty = false
			return moved, err
		}
		moved += int64(n)
	}
	b.err = io.EOF
	return moved, nil
}

// intoPipe waits for bytes of the body and has them moved into the empty pipe.
func (b *body) intoPipe(p pipe) (int, error) {
	w := b.wire
	if !b.pin && w.pinned == nil {
		w.release() // no head lies in it, and it takes none
	}
	w.pipe, w.pipeMost = p.in, int(min(b.left, pipeRoom))
	err := b.fillOne()
	w.pipe = 0
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return w.n, err
}

// Take moves what is left of a response's body straight to the client.
func (c *conn) Take(up message.Upstream) (moved int64, err error) {
	u, ok := up.(*upConn)
	if !ok || c.framing.framing != message.Sized {
		return 0, nil
	}
	return u.body.through(func(p pipe, n int) error {
		c.framing.left -= int64(n)
		patience := c.cfg.Limits.BodyProgress
		c.writeBy(moment.Now().Add(patience), patience/8)
		if c.sender.writeFrom(p, n) != nil {
			return message.ErrClientGone
		}
		return nil
	})
}

// takeBody moves what is left of the request's body straight to the endpoint.
func (u *upConn) takeBody() error {
	c, ok := u.x.Down.(*conn)
	if !ok || u.secure != nil || u.x.Request.Framing != message.Sized {
		return nil
	}
	_, err := c.body.through(func(p pipe, n int) error {
		c.took(n)
		c.call.BodyTouched = true
		now := moment.Now()
		u.upload.moved.Store(int64(now))
		u.writeBy(now.Add(writePatience), writePatience/8)
		return u.sender.writeFrom(p, n)
	})
	return err
}

// readIntoPipe is read for a body that nobody looks at.
func (w *wire) readIntoPipe(fd uintptr) bool {
	n, err := splice(int(fd), w.pipe, w.pipeMost)
	if err == syscall.EAGAIN {
		w.slept = true
		return false
	}
	w.n, w.readErr = max(n, 0), nil
	if err != 0 {
		w.n, w.readErr = 0, os.NewSyscallError("splice", err)
	}
	return true
}

// writeFrom sends n bytes that are in a pipe.
func (s *sender) writeFrom(p pipe, n int) error {
	s.err, s.pipe, s.pipeLeft = 0, p.out, n
	err := s.rc.Write(s.attemptPipe)
	if err == nil && s.err != 0 {
		err = s.err
	}
	return err
}

func (s *sender) onceFromPipe(fd uintptr) bool {
	for s.pipeLeft > 0 {
		n, err := splice(s.pipe, int(fd), s.pipeLeft)
		if err == syscall.EAGAIN {
			return false
		}
		if err != 0 || n == 0 {
			s.err = err
			if n == 0 {
				s.err = syscall.EPIPE
			}
			return true
		}
		s.pipeLeft -= n
	}
	return true
}
