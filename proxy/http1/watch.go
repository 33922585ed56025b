package http1

import (
	"context"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/proxy/message"
)

// A call whose endpoint is thinking waits on the endpoint's connection, so
// somebody else has to see the client leave. A Watcher does, for all of them:
// one goroutine on an epoll instance of its own. A call is registered only
// after it has waited for a while (patience), so quick calls do not pay for it.

// A Watcher tells calls that their client has left.
type Watcher struct {
	epoll int
	bell  int // an eventfd that ends Run

	mu      sync.Mutex // guards all below
	watched map[int32]*watch
	next    int32
}

// A watch is one client that is looked at.
type watch struct {
	token    int32 // 0: not registered
	canceler message.Canceler
	gen      uint64
	gone     bool
}

// NewWatcher makes a Watcher. Run must be running before anybody is watched.
func NewWatcher() (*Watcher, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot watch clients: %w", os.NewSyscallError("epoll_create1", err))
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN})
	}
	if err != nil {
		_ = unix.Close(epoll)
		return nil, fmt.Errorf("cannot watch clients: %w", err)
	}
	return &Watcher{epoll: epoll, bell: bell, watched: map[int32]*watch{}}, nil
}

// Run tells calls that their client has left until ctx ends. After it nobody
// may be watched.
func (w *Watcher) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _, _ = unix.Write(w.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}) })
	defer stop()
	events := make([]unix.EpollEvent, 64)
	for ctx.Err() == nil {
		n, err := unix.EpollWait(w.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("cannot watch clients: %w", os.NewSyscallError("epoll_wait", err))
		}
		for i := range max(n, 0) {
			w.left(events[i].Fd)
		}
	}
	_ = unix.Close(w.epoll)
	_ = unix.Close(w.bell)
	return nil
}

// left cancels the call of a client that has left. The token in the event is
// not a descriptor: a descriptor may belong to another client by now.
func (w *Watcher) left(token int32) {
	w.mu.Lock()
	seen := w.watched[token]
	if seen == nil {
		w.mu.Unlock()
		return
	}
	seen.gone = true
	canceler, gen := seen.canceler, seen.gen
	w.mu.Unlock()
	canceler.Cancel(gen) // the generation makes it harmless if the try is over
}

func (w *Watcher) add(fd int, seen *watch) {
	w.mu.Lock()
	w.next++
	if w.next <= 0 {
		w.next = 1
	}
	seen.token = w.next
	w.watched[seen.token] = seen
	w.mu.Unlock()
	// Level-triggered: a client that has left already is told of at once.
	err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{
		Events: unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: seen.token,
	})
	if err != nil { // the call goes on unwatched
		w.remove(-1, seen)
	}
}

func (w *Watcher) remove(fd int, seen *watch) {
	if fd >= 0 {
		_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	}
	w.mu.Lock()
	delete(w.watched, seen.token)
	w.mu.Unlock()
	seen.token = 0
}

// Watch has the try canceled when the client leaves.
func (c *conn) Watch(canceler message.Canceler, gen uint64) {
	c.watch = watch{canceler: canceler, gen: gen}
	_ = c.rc.Control(func(fd uintptr) { c.server.watcher.add(int(fd), &c.watch) })
}

// Unwatch ends that.
func (c *conn) Unwatch() (gone bool) {
	if c.watch.token != 0 {
		descriptor := -1 // of a connection that was closed: the kernel has forgotten it
		_ = c.rc.Control(func(fd uintptr) { descriptor = int(fd) })
		c.server.watcher.remove(descriptor, &c.watch)
	}
	return c.watch.gone
}
