package bench

import (
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

type connState uint8

const (
	closed connState = iota
	connecting
	idle
	busy
)

// A conn is one connection of a worker, and the call that is on it. With
// 10,000 of them it is small; it owns no buffer but what is left of an answer
// that came in pieces.
type conn struct {
	state  connState
	fd     int
	place  int32 // in the worker, by which events name it
	turn   int32 // of this place: events of the one before are not for this one
	kind   int   // of the call
	served int   // calls on this connection
	ending bool  // the other side sends no more than what is in the socket

	answer answer
	out    []byte // of the call, not sent yet
	rest   []byte // of the answer, not understood yet
	m      moments
	freeAt time.Duration // when it could be had

	earlier, later *conn // that wait for an answer, in the order of their deadlines
	waits          bool
}

// dial begins to connect. Whether it worked is told by an event, or at once.
func dial(to netip.AddrPort, from netip.Addr) (fd int, err error) {
	family := unix.AF_INET6
	if to.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if from.IsValid() {
		// The port is chosen when it connects, so that each source has all ports
		// towards each target (ip(7)).
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(from, 0))); err != nil {
			_ = unix.Close(fd)
			return -1, err
		}
	}
	if err := unix.Connect(fd, sockaddr(to)); err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// The data calls, as in proxy/http1: they never block, so the runtime need not
// know of them.

func recv(fd int, p []byte) (int, syscall.Errno) {
	for {
		n, _, err := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		if err != syscall.EINTR {
			return int(n), err
		}
	}
}

func send(fd int, p []byte) (int, syscall.Errno) {
	for {
		n, _, err := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		if err != syscall.EINTR {
			return int(n), err
		}
	}
}

// mostHeld is how long a wait may keep the processor from the runtime, which
// cannot collect garbage meanwhile.
const mostHeld = 500 * time.Microsecond

// A poller waits for events on connections.
type poller struct {
	fd     int
	events [64]unix.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return &poller{fd: fd}, err
}

// add watches a connection for all that can happen to it, by edges, so that it
// is told of once and for all.
func (p *poller) add(fd int, place, turn int32) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: place, Pad: turn}
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &e)
}

// wait returns what has happened, or nothing when the time is up. While the
// target is busy there is always something soon, and a short wait is cheaper
// if the runtime is not told of it.
func (p *poller) wait(d time.Duration) ([]unix.EpollEvent, error) {
	n, err := p.pwait(min(d, mostHeld), syscall.RawSyscall6)
	if n == 0 && err == 0 && d > mostHeld {
		n, err = p.pwait(d-mostHeld, syscall.Syscall6)
	}
	if err != 0 && err != syscall.EINTR {
		return nil, err
	}
	return p.events[:n], nil
}

func (p *poller) pwait(d time.Duration, call func(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err syscall.Errno)) (int, syscall.Errno) {
	ts := unix.NsecToTimespec(int64(max(d, 0)))
	n, _, err := call(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), 0
}

func (p *poller) close() { _ = unix.Close(p.fd) }
