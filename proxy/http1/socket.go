//go:build !race

package http1

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The data calls on a socket that does not block, without the runtime's
// bookkeeping around a system call: they return at once, so nobody has to take
// over the processor meanwhile. The bookkeeping also wakes the runtime's monitor
// thread whenever a process that was idle makes a call, which at 5,000 calls a
// second is two of five context switches (bench/RESULTS.md, 2026-11-25).
// SIGPIPE is not wanted: EPIPE says the same.

const canSplice = true

// recv reads; with unix.MSG_PEEK it takes nothing away.
func recv(fd uintptr, p []byte, flags int) (int, syscall.Errno) {
	for {
		n, _, err := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), uintptr(flags), 0, 0)
		if err != syscall.EINTR {
			return int(n), err
		}
	}
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, err := syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		if err != syscall.EINTR {
			return int(n), err
		}
	}
}

func sendMessage(fd uintptr, m *unix.Msghdr) (int, syscall.Errno) {
	for {
		n, _, err := syscall.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(m)), unix.MSG_NOSIGNAL)
		if err != syscall.EINTR {
			return int(n), err
		}
	}
}
