package coldstart

import "time"

// A Priority is a call's rank in a line.
type Priority int8

// The priorities. The zero value is the usual one.
const (
	High   Priority = -1
	Normal Priority = 0
	Low    Priority = 1

	numPriorities = 3
)

func (p Priority) class() int8 { return int8(min(max(p, High), Low) - High) }

// mostOvertaken is how often the call that has waited longest is passed over
// for later ones: a low one, or the oldest of a line that is late, gets a ninth
// of what comes free, however many of the others there are.
const mostOvertaken = 8

// A Waiter is one call's place in a line. The zero value is ready for Join; it
// belongs to the call's goroutine and may be used again after Leave.
type Waiter struct {
	hold       *Hold
	parker     Parker
	prev, next *Waiter
	number     uint64    // in the order of joining, from 1
	half       time.Time // when half of the time that it may wait is over
	bytes      int
	class      int8
	turn       bool  // may look; guarded by hold.mu
	looked     bool  // has been let look; guarded by hold.mu
	verdict    error // why waiting is over; guarded by hold.mu
}

// Turn tells whether w may look for a slot now, and uses that turn up.
func (w *Waiter) Turn() bool {
	w.hold.mu.Lock()
	defer w.hold.mu.Unlock()
	turn := w.turn
	w.turn = false
	w.looked = w.looked || turn
	return turn
}

// First tells whether w is in line and the one that goes next.
func (w *Waiter) First() bool {
	if w.hold == nil {
		return false
	}
	w.hold.mu.Lock()
	defer w.hold.mu.Unlock()
	return w.verdict == nil && w.hold.firstLocked() == w
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

// wakeLocked gives w the turn. The Parker is woken under the lock, although it
// is somebody else's function: so a wake cannot come after Leave, when the
// Parker may already sleep for another reason. It takes about 0.2 µs.
func (w *Waiter) wakeLocked() {
	w.turn = true
	w.parker.Wake()
}

// A list is the part of a line that has one priority, by number.
type list struct{ head, tail *Waiter }

// insertLocked puts w behind all of its priority with a smaller number: at the
// end, or near the head if it gets its place back.
func (h *Hold) insertLocked(w *Waiter) {
	l := &h.lists[w.class]
	before := l.tail
	if before != nil && before.number > w.number { // from the head: few are older than one that comes back
		before = nil
		for next := l.head; next != nil && next.number < w.number; next = next.next {
			before = next
		}
	}
	w.prev = before
	if before == nil {
		w.next, l.head = l.head, w
	} else {
		w.next, before.next = before.next, w
	}
	if w.next == nil {
		l.tail = w
	} else {
		w.next.prev = w
	}
	h.bytes += w.bytes
	h.size.Add(1)
}

func (h *Hold) removeLocked(w *Waiter) {
	l := &h.lists[w.class]
	if w.prev == nil {
		l.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	h.bytes -= w.bytes
	h.size.Add(-1)
}

// A cursor goes through a line in the order in which it will be let go, as far
// as nobody joins.
type cursor struct {
	heads, tails [numPriorities]*Waiter // of what is left of each list; nil if nothing is
	overtaken    int
	now          time.Time // for a line that may be late; else zero
}

func (h *Hold) cursorLocked() cursor {
	c := cursor{overtaken: h.overtaken}
	for i := range h.lists {
		c.heads[i], c.tails[i] = h.lists[i].head, h.lists[i].tail
	}
	if h.lifo {
		c.now = time.Now()
	}
	return c
}

// next returns the one that goes next; nil at the end.
func (c *cursor) next() *Waiter {
	oldest := c.oldest()
	if oldest == nil {
		return nil
	}
	var first *Waiter
	for i := 0; first == nil; i++ {
		first = c.heads[i]
		if first != nil && c.late(first) {
			first = c.tails[i]
		}
	}
	switch {
	case first == oldest:
		c.overtaken = 0
	case c.overtaken >= mostOvertaken:
		first, c.overtaken = oldest, 0
	default:
		c.overtaken++
	}
	switch head, tail := &c.heads[first.class], &c.tails[first.class]; {
	case *head == *tail:
		*head, *tail = nil, nil
	case first == *head:
		*head = first.next
	default:
		*tail = first.prev
	}
	return first
}

// oldest is the one that has waited longest; nil if nobody waits.
func (c *cursor) oldest() (oldest *Waiter) {
	for _, w := range c.heads {
		if w != nil && (oldest == nil || w.number < oldest.number) {
			oldest = w
		}
	}
	return oldest
}

// late tells whether the newest go before head, the oldest of its priority.
func (c *cursor) late(head *Waiter) bool { return !c.now.IsZero() && c.now.After(head.half) }

// lastBelowLocked is the one that has waited least of those of the lowest priority
// under class; nil if there is none.
func (h *Hold) lastBelowLocked(class int8) *Waiter {
	for at := numPriorities - 1; at > int(class); at-- {
		if last := h.lists[at].tail; last != nil {
			return last
		}
	}
	return nil
}

func (h *Hold) firstLocked() *Waiter {
	at := h.cursorLocked()
	return at.next()
}

// countOvertakenLocked notes that w leaves before the one that has waited
// longest.
func (h *Hold) countOvertakenLocked(w *Waiter) {
	at := h.cursorLocked()
	switch oldest := at.oldest(); {
	case w == oldest:
		h.overtaken = 0
	case w.class < oldest.class, w.class == oldest.class && at.late(oldest):
		h.overtaken++
	}
}
