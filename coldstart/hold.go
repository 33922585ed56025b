package coldstart

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// The ways in which standing in line ends without a slot. proxy/fault.go says
// what a client is told.
var (
	// ErrLineFull: as many calls as may wait already do, for this function or
	// over all functions.
	ErrLineFull = errors.New("the line is full")
	// ErrNoStart: the function is known not to start, or has just failed to.
	// It is always wrapped in a *NoStart, which says why.
	ErrNoStart = errors.New("no instance can be started")
	// ErrMaxWait: the call was held for as long as the function allows.
	ErrMaxWait = errors.New("held for as long as may be")
	// ErrGone: the function left the configuration while the call waited.
	ErrGone = errors.New("the function is no longer configured")
)

// A NoStart is the verdict that a function cannot be started now.
type NoStart struct {
	Reason error         // what the platform said
	Retry  time.Duration // when a start will be tried again
}

func (e *NoStart) Error() string { return ErrNoStart.Error() + ": " + e.Reason.Error() }

// Unwrap lets errors.Is find ErrNoStart and the reason.
func (e *NoStart) Unwrap() []error { return []error{ErrNoStart, e.Reason} }

// A Parker lets the goroutine of one call sleep until it is woken.
type Parker interface {
	// Wait sleeps until Wake was called since the last Wait (nil), the moment
	// has come (os.ErrDeadlineExceeded), or the caller has gone (any other
	// error). A Wake that came before Wait counts.
	Wait(until time.Time) error
	// Wake ends Wait, from any goroutine. It does not block and may be called
	// twice.
	Wake()
}

// A Pool bounds how many calls are held over all functions.
type Pool struct {
	limit atomic.Int64
	held  atomic.Int64
}

// NewPool makes a pool of limit places.
func NewPool(limit int) *Pool {
	p := &Pool{}
	p.SetLimit(limit)
	return p
}

// SetLimit changes how many places there are. Those who are in stay.
func (p *Pool) SetLimit(limit int) { p.limit.Store(int64(limit)) }

// Held tells how many places are taken.
func (p *Pool) Held() int { return int(p.held.Load()) }

func (p *Pool) take() bool {
	if p.held.Add(1) > p.limit.Load() {
		p.held.Add(-1)
		return false
	}
	return true
}

func (p *Pool) giveBack() { p.held.Add(-1) }

// A Hold is the line in front of one function: calls stand in it, in the order
// in which they came, until there is a slot for them.
//
// Three orders carry its correctness. A waiter joins, then looks (so a slot
// that came free before it joined is seen by itself, and one that comes free
// after is seen by the releaser). A releaser frees, then looks for waiters.
// Whoever leaves the line, with a slot or without, lets the next one look
// (else five slots that arrive for one waiter strand the second, who joined a
// moment later). A waiter that was let look and found nothing keeps its place.
type Hold struct {
	pool *Pool
	// need is called when a call joins an empty line: somebody wants the
	// function. It must not block nor call the Hold.
	need func()

	size atomic.Int64 // len of the line; written under mu, read without

	mu         sync.Mutex // guards all below
	limit      int
	head, tail *Waiter
	closed     *NoStart  // the verdict, while the door is closed
	until      time.Time // when the door opens again
	ended      error     // the line is closed for ever, and why
}

// NewHold makes an empty line of at most limit calls that takes its places
// from pool.
func NewHold(limit int, pool *Pool, need func()) *Hold {
	return &Hold{limit: limit, pool: pool, need: need}
}

// Empty tells whether nobody stands in line. It costs one atomic load.
func (h *Hold) Empty() bool { return h.size.Load() == 0 }

// Len tells how many calls stand in line.
func (h *Hold) Len() int { return int(h.size.Load()) }

// SetLimit changes how many calls may stand in line. Those who stand stay.
func (h *Hold) SetLimit(n int) {
	h.mu.Lock()
	h.limit = n
	h.mu.Unlock()
}

// A Waiter is one call's place in a line. The zero value is ready for Join; it
// belongs to the call's goroutine and may be used again after Leave.
type Waiter struct {
	hold       *Hold
	parker     Parker
	prev, next *Waiter
	turn       bool  // may look; guarded by hold.mu
	verdict    error // why waiting is over; guarded by hold.mu
}

// Join puts w at the end of the line. now is the moment of the call. The
// errors are ErrLineFull, a *NoStart while the door is closed, and the verdict
// of Close. After a Join without error the caller owes a Leave.
func (h *Hold) Join(w *Waiter, p Parker, now time.Time) error {
	h.mu.Lock()
	if err := h.admitLocked(now); err != nil {
		h.mu.Unlock()
		return err
	}
	first := h.head == nil
	*w = Waiter{hold: h, parker: p, turn: first}
	h.appendLocked(w)
	h.mu.Unlock()
	if first {
		h.need()
	}
	return nil
}

// admitLocked takes a place in the pool, or tells why nobody may join.
func (h *Hold) admitLocked(now time.Time) error {
	switch {
	case h.ended != nil:
		return h.ended
	case h.closed != nil && now.Before(h.until):
		return &NoStart{Reason: h.closed.Reason, Retry: h.until.Sub(now)}
	case int(h.size.Load()) >= h.limit || !h.pool.take():
		return ErrLineFull
	}
	h.closed = nil
	return nil
}

// Turn tells whether w may look for a slot now, and uses that turn up.
func (w *Waiter) Turn() bool {
	w.hold.mu.Lock()
	defer w.hold.mu.Unlock()
	turn := w.turn
	w.turn = false
	return turn
}

// Wait sleeps until it is w's turn (nil) or waiting is over: the verdict of
// Fail, os.ErrDeadlineExceeded at the moment until, or the Parker's error
// because the caller has gone. It may return nil without a turn; ask Turn.
func (w *Waiter) Wait(until time.Time) error {
	if err := w.over(); err != nil {
		return err
	}
	if err := w.parker.Wait(until); err != nil {
		return err
	}
	return w.over()
}

func (w *Waiter) over() error {
	w.hold.mu.Lock()
	defer w.hold.mu.Unlock()
	return w.verdict
}

// Leave takes w out of the line and lets the next one look. Nobody wakes w's
// Parker after Leave has returned.
func (w *Waiter) Leave() {
	h := w.hold
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pool.giveBack()
	w.parker = nil
	if w.verdict != nil {
		return // out of the line already
	}
	h.removeLocked(w)
	if h.head != nil {
		h.head.wakeLocked()
	}
}

// Wake lets the first n in line look for a slot. Call it after the slots are
// there to be found.
func (h *Hold) Wake(n int) {
	if h.Empty() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := h.head; w != nil && n > 0; w, n = w.next, n-1 {
		w.wakeLocked()
	}
}

// Fail ends the wait of everyone in line with a verdict and closes the door
// for a while: until then Join refuses with the same reason.
func (h *Hold) Fail(verdict *NoStart, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed, h.until = verdict, now.Add(verdict.Retry)
	h.endLocked(verdict)
}

// Open opens the door that Fail closed.
func (h *Hold) Open() {
	h.mu.Lock()
	h.closed = nil
	h.mu.Unlock()
}

// Close answers everyone in line, and everyone who comes from now on, with a
// verdict.
func (h *Hold) Close(verdict error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = verdict
	h.endLocked(verdict)
}

// endLocked tells everyone in line the verdict. They are out of the line at
// once: who joins before they have noticed is the first, and has to say so.
func (h *Hold) endLocked(verdict error) {
	for w := h.head; w != nil; w = h.head {
		w.verdict = verdict
		w.wakeLocked()
		h.removeLocked(w)
	}
}

// wakeLocked gives w the turn. The Parker is woken under the lock, although it
// is somebody else's function: so a wake cannot come after Leave, when the
// Parker may already sleep for another reason. It takes about 0.2 µs.
func (w *Waiter) wakeLocked() {
	w.turn = true
	w.parker.Wake()
}

func (h *Hold) appendLocked(w *Waiter) {
	w.prev = h.tail
	if h.tail == nil {
		h.head = w
	} else {
		h.tail.next = w
	}
	h.tail = w
	h.size.Add(1)
}

func (h *Hold) removeLocked(w *Waiter) {
	if w.prev == nil {
		h.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		h.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	h.size.Add(-1)
}
