package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"
)

// trampolineMark as the program's own name says that this is not weir but an
// instance on its way: mark, pid of weir, program, its arguments from its own
// name on. Socket and handover are open as 3 and 4.
const trampolineMark = "weir-trampoline"

const (
	handoverFD = 4
	// handoverPatience is how long the way from weir through weir into the
	// program may take. It takes a few milliseconds; main without Trampoline
	// takes for ever.
	handoverPatience = 10 * time.Second
)

// Trampoline turns this process into an instance if that is what it was
// started for; then it does not return. It is the first statement of main, and
// of a TestMain: an instance with listen: fd has to be told its own pid, which
// nobody knows before the fork, and Go runs nothing between fork and exec.
func Trampoline() {
	if marked() {
		os.Exit(bounce())
	}
}

func marked() bool { return len(os.Args) > 0 && os.Args[0] == trampolineMark }

// trampoline sends a birth through Trampoline. /proc/self/exe is the program
// that runs, even if another one lies in its place by now.
func (b *birth) trampoline() {
	b.argv = append([]string{trampolineMark, strconv.Itoa(os.Getpid()), b.path}, b.argv...)
	b.path = "/proc/self/exe"
}

// What the trampoline says on the handover: first that it is there. Then
// nothing, and the pipe closes with the exec; or the errno of the exec.
const arrived = "+"

// handedOver waits until the program itself runs.
func (c *child) handedOver() error {
	if c.handover == nil {
		return nil // fork has waited for it
	}
	defer c.handover.Close()
	c.handover.SetReadDeadline(time.Now().Add(handoverPatience))
	answer, err := io.ReadAll(io.LimitReader(c.handover, 16))
	switch {
	case err != nil || len(answer) == 0:
		return errors.New("the program did not get its socket: main does not begin with process.Trampoline(), or it was stopped")
	case len(answer) > len(arrived):
		n, _ := strconv.Atoi(string(answer[len(arrived):]))
		return &os.PathError{Op: "exec", Path: c.path, Err: syscall.Errno(n)}
	}
	return nil
}

// bounce becomes the program. It returns only if that was impossible.
func bounce() int {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "weir: this name is for weir's own use")
		return 127
	}
	err := become(os.Args[1], os.Args[2], os.Args[3:])
	fmt.Fprintf(os.Stderr, "weir: cannot run %s: %v\n", os.Args[2], err)
	var errno syscall.Errno
	if errors.As(err, &errno) {
		fmt.Fprint(os.NewFile(handoverFD, "handover"), int(errno))
	}
	return 127
}
