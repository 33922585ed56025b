package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/proxy"
)

const (
	// flushEvery is how long a line may wait to be written.
	flushEvery = time.Second

	// enough is how many bytes are written at once under load: 200 lines.
	enough = 64 << 10

	// maxPending is how many bytes may wait while the output is busy. Beyond
	// it lines are lost: 8 MiB is 400 ms of 50,000 calls a second.
	maxPending = 8 << 20

	// keep is the largest buffer that is not given up after such a time.
	keep = 1 << 20

	// lastFlush is how long weir's end waits for the output.
	lastFlush = time.Second

	// longLine is the longest line whose buffer is kept.
	longLine = 16 << 10
)

// An accessLog takes lines and writes them to a file or a stream, from a
// goroutine of its own: a call waits for no disk.
type accessLog struct {
	output string // stdout, stderr or a path
	log    *slog.Logger
	full   *metrics.Counter // lines lost because the output is slow
	failed *metrics.Counter // and because it cannot be written
	lines  sync.Pool        // of *[]byte
	wake   chan struct{}    // capacity one: there is enough to write, or to reopen
	reopen atomic.Bool

	mu      sync.Mutex // guards pending
	pending []byte

	// The writer's own.
	out        io.WriteCloser
	spare      []byte
	complained bool   // that it cannot write
	slow       bool   // lines were lost before the last write
	lost       uint64 // how many so far
}

func newAccessLog(output string, log *slog.Logger) (*accessLog, error) {
	out, err := openOutput(output)
	if err != nil {
		return nil, fmt.Errorf("cannot open the access log %s: %w", output, err)
	}
	return &accessLog{
		output:  output,
		log:     log,
		lines:   sync.Pool{New: func() any { return new([]byte) }},
		wake:    make(chan struct{}, 1),
		pending: make([]byte, 0, enough),
		spare:   make([]byte, 0, enough),
		out:     out,
	}, nil
}

func openOutput(output string) (io.WriteCloser, error) {
	switch output {
	case "stdout":
		return stream(unix.Stdout, "stdout")
	case "stderr":
		return stream(unix.Stderr, "stderr")
	}
	return os.OpenFile(output, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
}

// stream opens a standard stream under another number. Go ends the program
// with SIGPIPE when nobody reads descriptor 1 or 2 any more, and on any other
// it returns an error: who leaves `weir run | head` takes the log, not the
// gateway.
func stream(fd int, name string) (io.WriteCloser, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(own), name), nil
}

// tell takes the line of a call. It waits for nothing but the buffer.
func (l *accessLog) tell(c *proxy.Call, home string) {
	line := l.lines.Get().(*[]byte)
	*line = appendLine((*line)[:0], c, home)
	l.put(*line)
	if cap(*line) <= longLine {
		l.lines.Put(line)
	}
}

func (l *accessLog) put(line []byte) {
	l.mu.Lock()
	before := len(l.pending)
	if before+len(line) > maxPending {
		l.mu.Unlock()
		l.full.Inc()
		return
	}
	l.pending = append(l.pending, line...)
	l.mu.Unlock()
	if before < enough && before+len(line) >= enough {
		l.ring()
	}
}

func (l *accessLog) ring() {
	select {
	case l.wake <- struct{}{}:
	default: // it rings already
	}
}

func (l *accessLog) askReopen() {
	l.reopen.Store(true)
	l.ring()
}

// run writes until ctx ends, then what is left, unless the output keeps it
// waiting.
func (l *accessLog) run(ctx context.Context) error {
	written := make(chan struct{})
	go func() {
		defer close(written)
		l.write(ctx)
	}()
	<-ctx.Done()
	patience := time.NewTimer(lastFlush)
	defer patience.Stop()
	select {
	case <-written:
	case <-patience.C:
		l.log.Warn("the access log is not whole: its output takes no more", "output", l.output)
	}
	return nil
}

func (l *accessLog) write(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.flush()
			_ = l.out.Close()
			return
		case <-tick.C:
			l.flush()
		case <-l.wake:
			l.flush()
			if l.reopen.Swap(false) {
				l.openAgain()
			}
		}
	}
}

// flush writes what is pending. Lines pile up in the other buffer meanwhile.
func (l *accessLog) flush() {
	l.mu.Lock()
	l.pending, l.spare = l.spare[:0], l.pending
	l.mu.Unlock()
	if len(l.spare) == 0 {
		return
	}
	n, err := l.out.Write(l.spare)
	if cap(l.spare) > keep {
		defer func() { l.spare = make([]byte, 0, enough) }()
	}
	l.noteLost()
	if err == nil {
		l.complained = false
		return
	}
	l.failed.Add(bytes.Count(l.spare[n:], []byte("\n")))
	if !l.complained { // once, not once a second for as long as the disk is full
		l.complained = true
		l.log.Error("cannot write the access log", "output", l.output, "error", err.Error())
	}
}

// noteLost says that lines were lost, once for each time that the output falls
// behind.
func (l *accessLog) noteLost() {
	lost := l.full.Get()
	if lost > l.lost && !l.slow {
		l.log.Warn("lines of the access log are lost: its output is too slow", "output", l.output)
	}
	l.slow, l.lost = lost > l.lost, lost
}

// openAgain opens the file by its name. If that fails the old one stays.
func (l *accessLog) openAgain() {
	if _, file := l.out.(*os.File); !file || l.output == "stdout" || l.output == "stderr" {
		return
	}
	out, err := openOutput(l.output)
	if err != nil {
		l.log.Error("cannot open the access log again, the old one stays", "output", l.output, "error", err.Error())
		return
	}
	_ = l.out.Close()
	l.out, l.complained = out, false
	l.log.Info("access log opened again", "output", l.output)
}
