package docker

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

const (
	lineBytes = 16 << 10 // the longest line that is kept
	lastBytes = 512      // and how much of the last one an error quotes

	// lastWords is how long an end waits for what the container has written.
	lastWords = 250 * time.Millisecond
)

// logs is what a container writes, on its way into weir's log.
type logs struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex // guards newest
	newest string
}

// follow passes on what a container writes from now on, if nobody does.
func (p *Platform) follow(in *instance) {
	p.mu.Lock()
	if in.logs.followed() || p.over {
		p.mu.Unlock()
		return
	}
	ctx, cancel := context.WithCancel(p.ctx)
	l := &logs{cancel: cancel, done: make(chan struct{})}
	in.logs = l
	id := in.id
	p.mu.Unlock()
	log := p.log.With("function", in.f.name, "instance", in.name)
	r, err := p.engine.ContainerAttach(ctx, id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		if ctx.Err() == nil {
			log.Warn("cannot read what the instance writes", "error", err.Error())
		}
		cancel()
		close(l.done)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		r.Close()
		cancel()
		close(l.done)
		return
	}
	p.work.Go(func() {
		defer close(l.done)
		defer context.AfterFunc(ctx, r.Close)()
		defer cancel()
		defer r.Close()
		out, errs := &lines{l: l, log: log.With("stream", "stdout")}, &lines{l: l, log: log.With("stream", "stderr")}
		_, _ = stdcopy.StdCopy(out, errs, r.Reader) // however it ends: the events say what it means
		out.end()
		errs.end()
	})
}

func (l *logs) followed() bool {
	if l == nil {
		return false
	}
	select {
	case <-l.done:
		return false
	default:
		return true
	}
}

// finish waits a moment for the end of the output, ends it, and returns its last
// line.
func (l *logs) finish() string {
	if l == nil {
		return ""
	}
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
	}
	l.cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest
}

// lines cuts a stream into lines.
type lines struct {
	l    *logs
	log  *slog.Logger
	rest []byte
	cut  bool // of a line whose beginning is told
}

// Write takes more of the stream.
func (w *lines) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		line, after, whole := bytes.Cut(b, []byte("\n"))
		if !w.cut {
			w.rest = append(w.rest, line[:min(len(line), lineBytes-len(w.rest))]...)
		}
		if !w.cut && (whole || len(w.rest) == lineBytes) {
			w.end()
		}
		w.cut = !whole && (w.cut || len(w.rest) == 0 && len(line) > 0)
		b = after
	}
	return n, nil
}

// end tells what has come of a line.
func (w *lines) end() {
	line := string(bytes.TrimRight(w.rest, "\r"))
	w.rest = w.rest[:0]
	if line == "" {
		return
	}
	w.l.mu.Lock()
	w.l.newest = line[:min(len(line), lastBytes)]
	w.l.mu.Unlock()
	w.log.Info(line)
}
