package process

import (
	"bufio"
	"bytes"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lineBytes is the longest line that is kept. What comes after it, until the
// line ends, is thrown away.
const lineBytes = 16 << 10

// lastBytes is how much of a function's last line an error quotes.
const lastBytes = 512

// lines is one output of an instance on its way into the log. It reads no
// faster than the log takes: a full pipe blocks the function, not us.
type lines struct {
	pipe *os.File
	log  *slog.Logger
	done chan struct{} // closed at the end of the output

	mu     sync.Mutex // guards newest
	newest string
}

func newLines(pipe *os.File, log *slog.Logger, stream string) *lines {
	return &lines{pipe: pipe, log: log.With("stream", stream), done: make(chan struct{})}
}

// read logs line by line until the output ends or stopAfter ends it.
func (l *lines) read() {
	defer close(l.done)
	defer l.pipe.Close()
	buf := bufio.NewReaderSize(l.pipe, lineBytes)
	within := false // a line whose beginning is logged
	for {
		line, err := buf.ReadSlice('\n')
		cut := errors.Is(err, bufio.ErrBufferFull)
		if !within {
			l.put(bytes.TrimRight(line, "\r\n"), cut)
		}
		if err != nil && !cut {
			return
		}
		within = cut
	}
}

func (l *lines) put(line []byte, cut bool) {
	if len(line) == 0 {
		return
	}
	l.mu.Lock()
	l.newest = string(line[:min(len(line), lastBytes)])
	l.mu.Unlock()
	if cut {
		l.log.Info(string(line), "cut", true)
	} else {
		l.log.Info(string(line))
	}
}

// stopAfter ends the reading if nobody closes the other end within d.
func (l *lines) stopAfter(d time.Duration) {
	l.pipe.SetReadDeadline(time.Now().Add(d)) // an error: closed already
}

// last returns the newest line that was not empty.
func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest
}
