//go:build !linux

package process

import (
	"errors"
	"net"
	"syscall"
	"time"
)

const (
	sigterm = syscall.SIGTERM
	sigkill = syscall.SIGKILL
)

var errLinux = errors.New("the process platform needs Linux")

func openNull() (int, error)                                      { return -1, errLinux }
func listen() (fd int, addr string, err error)                    { return -1, "", errLinux }
func knock(int, string) (net.Conn, error)                         { return nil, errLinux }
func pipe(_, _ *fds) (int, error)                                 { return -1, errLinux }
func (*birth) fork() (int, error)                                 { return 0, errLinux }
func become(_, _ string, _ []string) error                        { return errLinux }
func (*child) awaitAccept(_ time.Time, _, _ <-chan struct{}) bool { return false }
func awaitExit(int)                                               {}
func reap(int) end                                                { return end{} }
func signalGroup(int, syscall.Signal)                             {}
