package http1

import (
	"crypto/tls"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sender writes on a connection: one piece, or several in one system call. One
// goroutine uses it.
type sender struct {
	rc      syscall.RawConn
	tls     *tls.Conn             // nil: none
	attempt func(fd uintptr) bool // s.once, made once

	pieces [3][]byte // what is not sent yet
	tried  bool      // at least one attempt was made
	sent   int
	err    syscall.Errno
	vector [3]unix.Iovec

	attemptPipe    func(fd uintptr) bool // s.onceFromPipe, made once
	pipe, pipeLeft int                   // splice.go
	header         unix.Msghdr
}

func (s *sender) open(rc syscall.RawConn) {
	s.rc = rc
	s.attempt = s.once
	s.attemptPipe = s.onceFromPipe
}

// write sends the pieces, in order, and returns how much of them is on its way.
func (s *sender) write(pieces ...[]byte) (int, error) {
	s.tried = s.tls != nil
	if s.tls != nil {
		return s.writeTLS(pieces)
	}
	s.sent, s.err = 0, 0
	copy(s.pieces[:], pieces)
	err := s.rc.Write(s.attempt)
	s.pieces = [3][]byte{}
	if err == nil && s.err != 0 {
		err = s.err
	}
	return s.sent, err
}

// once makes one attempt after another until all is sent, or the socket takes
// no more.
func (s *sender) once(fd uintptr) bool {
	s.tried = true
	for {
		var n int
		switch first, count := s.first(); {
		case count == 0:
			return true
		case count == 1:
			n, s.err = send(fd, s.pieces[first])
		default:
			n, s.err = s.gather(fd)
		}
		if s.err == syscall.EAGAIN {
			s.err = 0
			return false
		}
		if s.err != 0 {
			return true
		}
		s.advance(n)
	}
}

// first is the first piece with something left to send, count how many there
// are.
func (s *sender) first() (first, count int) {
	for i := len(s.pieces) - 1; i >= 0; i-- {
		if len(s.pieces[i]) > 0 {
			first, count = i, count+1
		}
	}
	return first, count
}

func (s *sender) gather(fd uintptr) (int, syscall.Errno) {
	n := 0
	for _, p := range s.pieces {
		if len(p) > 0 {
			s.vector[n].Base = unsafe.SliceData(p)
			s.vector[n].SetLen(len(p))
			n++
		}
	}
	s.header.Iov = &s.vector[0]
	s.header.SetIovlen(n)
	sent, err := sendMessage(fd, &s.header)
	s.vector = [3]unix.Iovec{}
	return sent, err
}

func (s *sender) advance(n int) {
	s.sent += n
	for i := range s.pieces {
		k := min(n, len(s.pieces[i]))
		s.pieces[i] = s.pieces[i][k:]
		n -= k
	}
}
