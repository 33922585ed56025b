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
	log    *slog.Logger
	off    atomic.Bool      // nobody wants lines
	full   *metrics.Counter // lines lost because the output is slow
	failed *metrics.Counter // and because it cannot be written
	lines  sync.Pool        // of *[]byte
	wake   chan struct{}    // capacity one: there is enough to write, or to reopen
	reopen atomic.Bool

	mu      sync.Mutex // guards all until the next paragraph
	pending []byte
	next    *output // to write to instead of out; nil: to stay
	wanted  string  // the output that was asked for last

	// The writer's own.
	output
	spare      []byte
	complained bool   // that it cannot write
	slow       bool   // lines were lost before the last write
	lost       uint64 // how many so far
}

// An output is where lines go.
type output struct {
	name string // stdout, stderr, none or a path
	out  io.WriteCloser
}

func newAccessLog(name string, log *slog.Logger) (*accessLog, error) {
	out, err := openOutput(name)
	if err != nil {
		return nil, err
	}
	l := &accessLog{
		log:     log,
		lines:   sync.Pool{New: func() any { return new([]byte) }},
		wake:    make(chan struct{}, 1),
		pending: make([]byte, 0, enough),
		spare:   make([]byte, 0, enough),
		wanted:  name,
		output:  output{name, out},
	}
	l.off.Store(name == none)
	return l, nil
}

// none is the output that takes no lines.
const none = "none"

// prepare opens another output. What use does, the writer follows soon.
func (l *accessLog) prepare(name string) (use, drop func(), err error) {
	l.mu.Lock()
	same := name == l.wanted
	l.mu.Unlock()
	if same {
		return func() {}, func() {}, nil
	}
	out, err := openOutput(name)
	if err != nil {
		return nil, nil, err
	}
	use = func() {
		l.mu.Lock()
		if l.next != nil { // the writer has not come to it
			_ = l.next.out.Close()
		}
		l.next, l.wanted = &output{name, out}, name
		l.mu.Unlock()
		l.off.Store(name == none)
		l.ring()
	}
	return use, func() { _ = out.Close() }, nil
}

// follow writes to the output that was asked for last.
func (l *accessLog) follow() {
	l.mu.Lock()
	next := l.next
	l.next = nil
	l.mu.Unlock()
	if next == nil {
		return
	}
	l.log.Info("the access log goes elsewhere", "from", l.name, "to", next.name)
	_ = l.out.Close()
	l.output, l.complained = *next, false
}

func openOutput(name string) (out io.WriteCloser, err error) {
	if out, err = openNamed(name); err != nil {
		return nil, fmt.Errorf("cannot open the access log %s: %w", name, err)
	}
	return out, nil
}

// nowhere takes what is written, and has no lines to take.
type nowhere struct{ io.Writer }

func (nowhere) Close() error { return nil }

func openNamed(name string) (io.WriteCloser, error) {
	switch name {
	case none:
		return nowhere{io.Discard}, nil
	case "stdout":
		return stream(unix.Stdout, "stdout")
	case "stderr":
		return stream(unix.Stderr, "stderr")
	}
	return os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
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
		l.log.Warn("the access log is not whole: its output takes no more")
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
			l.follow()
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
		l.log.Error("cannot write the access log", "output", l.name, "error", err.Error())
	}
}

// noteLost says that lines were lost, once for each time that the output falls
// behind.
func (l *accessLog) noteLost() {
	lost := l.full.Get()
	if lost > l.lost && !l.slow {
		l.log.Warn("lines of the access log are lost: its output is too slow", "output", l.name)
	}
	l.slow, l.lost = lost > l.lost, lost
}

// openAgain opens the file by its name. If that fails the old one stays.
func (l *accessLog) openAgain() {
	if _, file := l.out.(*os.File); !file || l.name == "stdout" || l.name == "stderr" {
		return
	}
	out, err := openNamed(l.name)
	if err != nil {
		l.log.Error("cannot open the access log again, the old one stays", "output", l.name, "error", err.Error())
		return
	}
	_ = l.out.Close()
	l.out, l.complained = out, false
	l.log.Info("access log opened again", "output", l.name)
}
