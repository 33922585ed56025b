package http1

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A poller waits until something happens on any of many descriptors, with one
// goroutine for all of them: an epoll instance which itself waits in the
// runtime's poller, so that it costs no thread and wakes like any read.
type poller[T any] struct {
	file  *os.File // the epoll instance
	rc    syscall.RawConn
	epoll int

	mu      sync.Mutex // guards all below, and the tokens of entries
	entries map[int32]*entry[T]
	next    int32
}

// An entry is one descriptor that is waited for. It lies in what it stands for,
// so that adding it allocates nothing.
type entry[T any] struct {
	token int32 // 0: not waited for
	what  T
}

func newPoller[T any]() (*poller[T], error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or os.NewFile would not have the runtime wait for it
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller[T]{file: os.NewFile(uintptr(fd), "epoll"), epoll: fd, entries: map[int32]*entry[T]{}}
	if p.rc, err = p.file.SyscallConn(); err != nil {
		return nil, err
	}
	return p, nil
}

// run tells what happened, until ctx ends; an entry is told of once, and is not
// waited for any more when it is. After it nothing may be added.
func (p *poller[T]) run(ctx context.Context, tell func(T)) error {
	stop := context.AfterFunc(ctx, func() { _ = p.file.SetReadDeadline(longAgo) })
	defer stop()
	events := make([]unix.EpollEvent, 64)
	var failed error
	err := p.rc.Read(func(fd uintptr) bool {
		for {
			n, err := unix.EpollWait(int(fd), events, 0)
			if err != nil && err != unix.EINTR {
				failed = os.NewSyscallError("epoll_wait", err)
				return true
			}
			for i := range max(n, 0) {
				p.happened(events[i].Fd, tell)
			}
			if n == 0 {
				return false
			}
		}
	})
	_ = p.file.Close()
	if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return fmt.Errorf("cannot wait for clients: %w", errors.Join(failed, err))
}

// happened tells of the entry with a token. It is not the descriptor, which may
// belong to another client by now.
func (p *poller[T]) happened(token int32, tell func(T)) {
	p.mu.Lock()
	e := p.entries[token]
	if e == nil {
		p.mu.Unlock()
		return
	}
	p.forgetLocked(e)
	what := e.what
	p.mu.Unlock()
	tell(what)
}

// add has events waited for on a descriptor; known is whether it was added
// before and is open since.
func (p *poller[T]) add(fd int, events uint32, known bool, e *entry[T]) error {
	p.mu.Lock()
	for {
		if p.next++; p.next <= 0 {
			p.next = 1
		}
		if p.entries[p.next] == nil {
			break
		}
	}
	token := p.next
	e.token = token
	p.entries[token] = e
	p.mu.Unlock() // the event may come at once, and e be waited for anew before EpollCtl returns
	how := unix.EPOLL_CTL_ADD
	if known {
		how = unix.EPOLL_CTL_MOD
	}
	// Level-triggered: what has happened already is told at once.
	err := unix.EpollCtl(p.epoll, how, fd, &unix.EpollEvent{Events: events | unix.EPOLLONESHOT, Fd: token})
	if err != nil {
		p.take(e)
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

// take ends the waiting, and tells whether it went on until now: then whoever
// takes has what the entry stands for, and nobody will be told.
func (p *poller[T]) take(e *entry[T]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.token == 0 {
		return false
	}
	p.forgetLocked(e)
	return true
}

func (p *poller[T]) forgetLocked(e *entry[T]) {
	delete(p.entries, e.token)
	e.token = 0
}
