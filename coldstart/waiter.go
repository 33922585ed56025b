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
	group      *group // while it stands in line
	parker     Parker
	prev, next *Waiter
	number     uint64    // in the order of joining
	half       time.Time // when half of the time that it may wait is over
	bytes      int
	class      int8
	turn       bool  // may look; guarded by hold.mu
	charged    bool  // to its tenant; guarded by hold.mu
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

// insertLocked puts w behind all of its tenant with a smaller number: at the end, or
// near the head if it gets its place back.
func (h *Hold) insertLocked(w *Waiter, claim *Claim, charged bool) {
	b := &h.bands[w.class]
	b.calls++
	h.bytes += w.bytes
	h.size.Add(1)
	g := b.of(claim.Tenant)
	if g == nil {
		g = b.begin(w, claim.Tenant, max(claim.Weight, 1))
	} else {
		g.insert(w)
		b.weigh(g, max(claim.Weight, 1))
	}
	w.group = g
	if claim.Again {
		b.refund(g, charged)
	}
	b.fix(g)
}

func (g *group) insert(w *Waiter) {
	before := g.tail
	if before.number > w.number { // from the head: few are older than one that comes back
		before = nil
		for next := g.head; next != nil && next.number < w.number; next = next.next {
			before = next
		}
	}
	w.prev = before
	if before == nil {
		w.next, g.head = g.head, w
	} else {
		w.next, before.next = before.next, w
	}
	if w.next == nil {
		g.tail = w
	} else {
		w.next.prev = w
	}
	g.calls++
}

func (h *Hold) removeLocked(w *Waiter) {
	b, g := &h.bands[w.class], w.group
	b.calls--
	h.bytes -= w.bytes
	h.size.Add(-1)
	g.remove(w)
	if g.calls == 0 {
		b.end(g)
	} else {
		b.fix(g)
	}
}

func (g *group) remove(w *Waiter) {
	if w.prev == nil {
		g.head, g.passed = w.next, 0
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		g.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.group = nil, nil, nil
	g.calls--
}

// nowLocked is the present moment, for a line that may be late; else the zero time.
func (h *Hold) nowLocked() (now time.Time) {
	if h.lifo {
		now = time.Now()
	}
	return now
}

func (h *Hold) firstLocked() *Waiter {
	first, _ := h.dueLocked(h.nowLocked())
	return first
}

// countOvertakenLocked notes that w leaves before the one that has waited
// longest.
func (h *Hold) countOvertakenLocked(w *Waiter) {
	now := h.nowLocked()
	_, oldest := h.dueLocked(now)
	if w != oldest.head && (w.class < oldest.head.class || w.group == oldest && late(oldest.head, now)) {
		oldest.passed++
	}
}
