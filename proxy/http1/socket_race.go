//go:build race

package http1

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What socket.go does, by ways that tell the race detector that bytes which were
// sent happened before they were received.

const canSplice = false

func recv(fd uintptr, p []byte, flags int) (int, syscall.Errno) {
	if flags == 0 {
		n, err := syscall.Read(int(fd), p)
		return n, errno(err)
	}
	n, _, err := syscall.Recvfrom(int(fd), p, flags)
	return n, errno(err)
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	n, err := syscall.Write(int(fd), p)
	return n, errno(err)
}

func sendMessage(fd uintptr, m *unix.Msghdr) (sent int, err syscall.Errno) {
	for _, v := range unsafe.Slice(m.Iov, m.Iovlen) {
		n, err := send(fd, unsafe.Slice(v.Base, v.Len))
		if err != 0 && sent > 0 {
			return sent, 0 // it comes again with the rest
		}
		if err != 0 || n < int(v.Len) {
			return sent + max(n, 0), err
		}
		sent += n
	}
	return sent, 0
}

func errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	return err.(syscall.Errno)
}
