package trampoline

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// become replaces this process by the program.
func become(parent, path string, argv []string) error {
	unix.CloseOnExec(Handover)
	// The parent-death signal belongs to a thread, and it is the one that calls
	// exec which survives it. This need not be the one that weir forked.
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	if strconv.Itoa(os.Getppid()) != parent {
		return errors.New("weir has ended")
	}
	if err := os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())); err != nil {
		return err
	}
	if _, err := unix.Write(Handover, []byte(Arrived)); err != nil {
		return err
	}
	return syscall.Exec(path, argv, os.Environ())
}
