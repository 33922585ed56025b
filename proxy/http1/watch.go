package http1

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/proxy/message"
)

// A Watcher looks at clients while no goroutine of theirs does: those whose
// endpoint is thinking, which may leave, and those that rest between two calls,
// which may come back.
//
// A call whose endpoint thinks waits on the endpoint's connection, so somebody
// else has to see the client leave. It is registered only after it has waited
// for a while (patience), so quick calls do not pay for it.
type Watcher struct {
	thinking *poller[watch]
	resting  *poller[*conn]
	burst    burst

	mu      sync.Mutex // guards servers
	servers []*Server
}

// A watch is whose try ends when the client leaves.
type watch struct {
	canceler message.Canceler
	gen      uint64
	log      *slog.Logger
}

// cancel ends the try. A panic in it costs that, and not the Watcher of all.
func (w watch) cancel() {
	defer func() {
		if bug := recover(); bug != nil {
			w.log.Error("BUG: a cancel panicked", "panic", fmt.Sprint(bug), "stack", string(debug.Stack()))
		}
	}()
	w.canceler.Cancel(w.gen)
}

// NewWatcher makes a Watcher. Run must be running while a Server is.
func NewWatcher() (*Watcher, error) {
	thinking, err := newPoller[watch]()
	if err != nil {
		return nil, fmt.Errorf("cannot watch clients: %w", err)
	}
	resting, err := newPoller[*conn]()
	if err != nil {
		_ = thinking.file.Close()
		return nil, fmt.Errorf("cannot watch clients: %w", err)
	}
	return &Watcher{thinking: thinking, resting: resting}, nil
}

// serves notes that a server's connections rest here.
func (w *Watcher) serves(s *Server) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers = append(w.servers, s)
}

// leaves forgets a server that has none any more.
func (w *Watcher) leaves(s *Server) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers = slices.DeleteFunc(w.servers, func(one *Server) bool { return one == s })
}

// evict closes up to n resting connections, of whichever server, those that have
// rested the longest first. It returns how many.
func (w *Watcher) evict(n int, why eviction) (closed int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for closed < n {
		var longest *Server
		var since int64
		for _, s := range w.servers {
			if first := s.line.since(); first > 0 && (longest == nil || first < since) {
				longest, since = s, first
			}
		}
		if longest == nil || !longest.evictResting(why) {
			break
		}
		closed++
	}
	return closed
}

// Run looks at clients until ctx ends. After it nobody may be watched.
func (w *Watcher) Run(ctx context.Context) error {
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error {
		// The generation makes a cancel harmless that comes when the try is over.
		return w.thinking.run(ctx, watch.cancel)
	})
	work.Go(func() error {
		return w.resting.run(ctx, func(c *conn) { go c.server.run(c) })
	})
	return work.Wait()
}

// Watch has the try canceled when the client leaves. Without a descriptor to
// spare the call goes on unwatched.
func (c *conn) Watch(canceler message.Canceler, gen uint64) {
	c.watch.what = watch{canceler, gen, c.server.log}
	_ = c.rc.Control(func(fd uintptr) {
		c.watched = c.server.watcher.thinking.add(int(fd), c.leaves(), false, &c.watch) == nil
	})
}

// Unwatch ends that, and tells whether the client has left.
func (c *conn) Unwatch() (gone bool) {
	if !c.watched {
		return false
	}
	c.watched = false
	gone = !c.server.watcher.thinking.take(&c.watch)
	_ = c.rc.Control(func(fd uintptr) { // of a closed connection the kernel has forgotten it
		_ = unix.EpollCtl(c.server.watcher.thinking.epoll, unix.EPOLL_CTL_DEL, int(fd), nil)
	})
	c.watch.what = watch{}
	return gone
}
