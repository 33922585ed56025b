package trampoline

import (
	"os"
	"strconv"
	"syscall"
)

// Mark as the program's own name says that this is not weir but an instance on
// its way: mark, pid of weir, program, its arguments from its own name on.
// Socket and handover are open as 3 and 4.
const Mark = "weir-trampoline"

// Handover is the descriptor on which is said how it goes: first Arrived. Then
// nothing, and the pipe closes with the exec; or the errno of the exec.
const (
	Handover = 4
	Arrived  = "+"
)

func init() { //nolint:gochecknoinits // see the package comment
	if len(os.Args) > 0 && os.Args[0] == Mark {
		os.Exit(bounce(os.Args))
	}
}

// bounce becomes the program. It returns only if that was impossible.
func bounce(args []string) int {
	const cannot = 127
	if len(args) < 4 {
		say(os.Stderr, "weir: this name is for weir's own use\n")
		return cannot
	}
	err := become(args[1], args[2], args[3:])
	say(os.Stderr, "weir: cannot run "+args[2]+": "+err.Error()+"\n")
	if errno, ok := err.(syscall.Errno); ok {
		say(os.NewFile(Handover, "handover"), strconv.Itoa(int(errno)))
	}
	return cannot
}

func say(to *os.File, text string) { _, _ = to.WriteString(text) }
