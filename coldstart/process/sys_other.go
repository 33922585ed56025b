//go:build !linux

package process

import (
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/weir-gateway/weir/config"
)

const (
	sigterm = syscall.SIGTERM
	sigkill = syscall.SIGKILL
	sigstop = syscall.SIGSTOP
	sigcont = syscall.SIGCONT
)

var errLinux = errors.New("the process platform needs Linux")

func openNull() (int, error)                                      { return -1, errLinux }
func listen(int) (fd int, addr string, err error)                 { return -1, "", errLinux }
func knock(int, string) (net.Conn, error)                         { return nil, errLinux }
func pipe(_, _ *fds) (int, error)                                 { return -1, errLinux }
func (*birth) fork() (int, error)                                 { return 0, errLinux }
func (*child) awaitAccept(_ time.Time, _, _ <-chan struct{}) bool { return false }
func awaitExit(int)                                               {}
func reap(int) end                                                { return end{} }
func signalGroup(int, syscall.Signal)                             {}

type (
	limiter struct{ err error }
	cgroup  struct{}
)

func (*limiter) ready() error                                              { return errLinux }
func (*limiter) open(string, config.InstanceLimits, bool) (*cgroup, error) { return nil, nil }
func (*cgroup) throttle(bool) error                                        { return errLinux }
func (*cgroup) fd() int                                                    { return -1 }
func (*cgroup) close() string                                              { return "" }
