package http1_test

import (
	"net"

	"golang.org/x/sys/unix"
)

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// gone tells whether the peer of a connection has closed it, without taking
// anything of what it has sent.
func gone(nc net.Conn) (gone bool) {
	rc, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	err = rc.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		gone = err != nil || info.State != 1 // TCP_ESTABLISHED
	})
	return gone || err != nil
}
