package process

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	sigterm = unix.SIGTERM
	sigkill = unix.SIGKILL
	sigstop = unix.SIGSTOP
	sigcont = unix.SIGCONT
)

// listen opens a listening socket on a loopback port, a free one if port is 0. It is
// a blocking one, as systemd's are.
func listen(port int) (fd int, addr string, err error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, "", os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(socket)
		}
	}()
	if err := unix.Bind(socket, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return -1, "", os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(socket, math.MaxUint16); err != nil { // the kernel cuts it to somaxconn
		return -1, "", os.NewSyscallError("listen", err)
	}
	name, err := unix.Getsockname(socket)
	if err != nil {
		return -1, "", os.NewSyscallError("getsockname", err)
	}
	return socket, fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port), nil
}

// knock puts a connection into the queue of a listening socket and makes sure
// that the kernel tells of it: one that does not would make every instance
// look ready.
func knock(fd int, addr string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp4", addr, time.Second)
	if err != nil {
		return nil, err
	}
	for range 100 { // the last packet of the handshake may be on its way
		if n, ok := queued(fd); ok && n > 0 {
			return conn, nil
		}
		nap(time.Millisecond)
	}
	conn.Close()
	return nil, errors.New("this kernel does not tell the length of an accept queue: use listen: port")
}

// queued tells how many connections a listening socket has that nobody has
// accepted, if it is one and the kernel tells.
func queued(fd int) (n int, ok bool) {
	// Of a listening socket, unacked is the length of the queue (tcp_get_info).
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.State != unix.BPF_TCP_LISTEN {
		return 0, false
	}
	return int(info.Unacked), true
}

// awaitAccept returns when somebody has accepted what waits in the child's
// queue, or false as soon as it is asked to end or has ended.
func (c *child) awaitAccept(started time.Time, asked, exited <-chan struct{}) bool {
	for {
		if n, ok := queued(c.socket); ok && n == 0 {
			return true
		}
		wait := pollEvery(time.Since(started))
		if wait > pollSoon {
			select {
			case <-asked:
				return false
			case <-exited:
				return false
			case <-time.After(wait):
				continue
			}
		}
		select {
		case <-asked:
			return false
		case <-exited:
			return false
		default:
			nap(wait)
		}
	}
}

// nap sleeps on the kernel's clock: Go's timers are about 1 ms coarse when the
// program is otherwise idle.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil) // an interruption only looks earlier
}

// pipe makes a pipe from theirs to ours.
func pipe(ours, theirs *fds) (r int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return -1, os.NewSyscallError("pipe2", err)
	}
	ours.add(p[0])
	theirs.add(p[1])
	// Only our end: programs expect to write to stdout as long as it takes.
	if err := unix.SetNonblock(p[0], true); err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	return p[0], nil
}

func openNull() (int, error) {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: "/dev/null", Err: err}
	}
	return fd, nil
}

// fork starts the process, as the leader of its own group. It returns when the
// program runs that it was told.
func (b *birth) fork() (pid int, err error) {
	files := make([]uintptr, len(b.files))
	for i, fd := range b.files {
		files[i] = uintptr(fd)
	}
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	into(attr, b.cgroup)
	return syscall.ForkExec(b.path, b.argv, &syscall.ProcAttr{Dir: b.dir, Env: b.env, Files: files, Sys: attr})
}

// awaitExit returns when a process has ended, and leaves it a zombie: until it
// is reaped nobody else gets its pid.
func awaitExit(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// reap returns how a process ended that has.
func reap(pid int) end {
	var status unix.WaitStatus
	for {
		switch _, err := unix.Wait4(pid, &status, 0, nil); {
		case err == unix.EINTR:
			continue
		case err != nil:
			return end{status: -1} // somebody else in this program reaped it
		case status.Signaled():
			return end{signal: unix.SignalName(status.Signal())}
		default:
			return end{status: status.ExitStatus()}
		}
	}
}

// signalGroup signals a process that is not reaped yet, and its group.
func signalGroup(pid int, sig syscall.Signal) {
	if unix.Kill(-pid, sig) == unix.ESRCH {
		_ = unix.Kill(pid, sig) // it has moved to another group
	}
}
