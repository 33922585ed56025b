package process

import (
	"errors"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/weir-gateway/weir/coldstart/process/trampoline"
)

// handoverPatience is how long the way from weir through weir into the program
// may take. It takes a few milliseconds.
const handoverPatience = 10 * time.Second

// trampoline sends a birth through weir itself. /proc/self/exe is the program
// that runs, even if another one lies in its place by now.
func (b *birth) trampoline() {
	b.argv = append([]string{trampoline.Mark, strconv.Itoa(os.Getpid()), b.path}, b.argv...)
	b.path = "/proc/self/exe"
}

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
		return errors.New("the program did not get its socket: it was stopped on the way")
	case len(answer) > len(trampoline.Arrived):
		n, _ := strconv.Atoi(string(answer[len(trampoline.Arrived):]))
		return &os.PathError{Op: "exec", Path: c.path, Err: syscall.Errno(n)}
	}
	return nil
}
