package coldstart

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// The ways in which standing in line ends without a slot. proxy/fault.go says
// what a client is told.
var (
	// ErrLineFull: as many calls as may wait for this function already do.
	ErrLineFull = errors.New("the line is full")
	// ErrDisplaced: the line was full, and a call of a higher priority came.
	ErrDisplaced = fmt.Errorf("%w: a call of a higher priority took the place", ErrLineFull)
	// ErrBeyondShare: the line was full, and a call of a tenant came that had less
	// than its share of it.
	ErrBeyondShare = fmt.Errorf("%w: a call of a tenant with fewer calls in it took the place", ErrLineFull)
	// ErrPoolFull: as many calls as may wait over all functions already do.
	ErrPoolFull = fmt.Errorf("%w: too many calls are held over all functions", ErrLineFull)
	// ErrBytesFull: the calls that wait take as much memory as they may.
	ErrBytesFull = fmt.Errorf("%w: held calls take too much memory", ErrLineFull)
	// ErrShare: the function holds its share of what all may hold.
	ErrShare = errors.New("the function holds its share of all calls that may be held")
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
	Start  StartID       // the one that has failed
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

// A Hold is the line in front of one function: calls stand in it until there is
// a slot for them. Those of a higher priority are let go first, those of the
// same by their tenants' shares (group.go), those of one tenant in the order in
// which they came, or, where that is set (SetLIFO) and they are late, in the
// reverse order. But the one that has waited longest of those whose turn it would be
// by their tenants' shares is overtaken mostOvertaken times at most, whoever comes.
// When the line is full, a call of a higher priority takes the place of the last of
// the lowest, and one of a tenant with less than its share that of the last of the
// tenant that is most beyond its own.
//
// Three orders carry its correctness. A waiter joins, then looks (so a slot
// that came free before it joined is seen by itself, and one that comes free
// after is seen by the releaser). A releaser frees, then looks for waiters.
// Whoever leaves the line after it was let look, with a slot or without, lets
// the next one look (else five slots that arrive for one waiter strand the
// second, who joined a moment later). A waiter that was let look and found
// nothing keeps its place.
type Hold struct {
	pool *Pool
	// need is called when a call joins an empty line, and whenever the line
	// has doubled: somebody wants the function. It must not block nor call the
	// Hold.
	need func()

	size atomic.Int64 // len of the line; written under mu, read without

	mu     sync.Mutex // guards all below
	limit  int
	lifo   bool                // the newest first while they are late
	bytes  int                 // memory of those in line
	bands  [numPriorities]band // by priority, the highest first
	joined uint64              // counts those who did
	before uint64              // and those who came back without having stood in line
	closed *NoStart            // the verdict, while the door is closed
	until  time.Time           // when the door opens again
	ended  error               // the line is closed for ever, and why
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

// SetLIFO says whether the newest of a tenant's calls of one priority go first while
// they are late: while the one of them that has waited longest has used up more than
// half of the time that it may wait. In order, all would be served when they are
// about to give up, or just after.
func (h *Hold) SetLIFO(on bool) {
	h.mu.Lock()
	h.lifo = on
	h.mu.Unlock()
}

// A Claim is what a call has to say for itself when it joins a line.
type Claim struct {
	Now      time.Time
	Until    time.Time // how long it may wait
	Priority Priority
	Tenant   Tenant
	Weight   int // of the tenant beside others; 0 is 1
	Bytes    int // of memory that the call takes while it is held
	Limit    int // how many may be in line for this call to join; 0: as many as the Hold says
	// Again is set if the call had left the line for an endpoint that did not
	// take it. It gets its old place, and is not turned away for lack of room:
	// it was in.
	Again bool
}

// Join puts w into the line. The errors are ErrLineFull (and those that wrap
// it), ErrShare, a *NoStart while the door is closed, and the verdict of Close.
// After a Join without error the caller owes a Leave.
func (h *Hold) Join(w *Waiter, p Parker, claim Claim) error {
	h.mu.Lock()
	displaced, err := h.admitLocked(&claim)
	if err != nil {
		h.mu.Unlock()
		return err
	}
	number, half, charged := w.number, w.half, w.charged
	switch {
	case claim.Again && number != 0:
	case claim.Again: // it never stood in line: nobody was there when it came
		h.before++
		number = firstNumber - h.before
	default:
		h.joined++
		number = firstNumber + h.joined
	}
	if !claim.Again || w.number == 0 {
		half = claim.Now.Add(claim.Until.Sub(claim.Now) / 2)
	}
	first := h.size.Load() == 0
	*w = Waiter{hold: h, parker: p, bytes: claim.Bytes, number: number, half: half, class: claim.Priority.class()}
	h.insertLocked(w, &claim, charged)
	// Who gets its place back looks at once, as if it had never left.
	w.turn = first || claim.Again && h.firstLocked() == w
	if displaced != nil && (displaced.turn || displaced.looked) { // as if it had left
		h.firstLocked().wakeLocked()
	}
	n := h.size.Load()
	h.mu.Unlock()
	if n&(n-1) == 0 {
		h.need()
	}
	return nil
}

// firstNumber is over those of the calls that never stood in line and come back to it.
const firstNumber = 1 << 32

// admitLocked takes a place in the pool, or tells why nobody may join. If another
// has to go for that, it is out of the line already.
func (h *Hold) admitLocked(claim *Claim) (displaced *Waiter, err error) {
	switch {
	case h.ended != nil:
		return nil, h.ended
	case h.closed != nil && claim.Now.Before(h.until):
		return nil, &NoStart{Reason: h.closed.Reason, Retry: h.until.Sub(claim.Now), Start: h.closed.Start}
	case claim.Again:
		h.pool.force(claim.Bytes)
		h.closed = nil
		return nil, nil
	}
	size := int(h.size.Load())
	var verdict error
	if size >= h.limit || claim.Limit > 0 && size >= claim.Limit {
		if displaced, verdict = h.weakerLocked(claim); displaced == nil {
			return nil, ErrLineFull
		}
	}
	if err := h.pool.take(size, h.bytes, claim.Bytes); err != nil {
		if displaced == nil {
			displaced, verdict = h.weakerLocked(claim)
		}
		if displaced == nil || displaced.bytes < claim.Bytes {
			return nil, err
		}
		h.pool.force(claim.Bytes) // the other one's, a moment before it gives that back
	}
	if displaced != nil {
		h.tellLocked(displaced, verdict)
	}
	h.closed = nil
	return displaced, nil
}

// weakerLocked is the call that has less right to a place in a full line than one
// that comes, and what it is told; nil if there is none.
func (h *Hold) weakerLocked(claim *Claim) (*Waiter, error) {
	class := int(claim.Priority.class())
	for at := numPriorities - 1; at > class; at-- {
		if g := h.bands[at].orders[bySpace].top(); g != nil {
			return g.tail, ErrDisplaced
		}
	}
	if g := h.bands[class].crowder(claim.Tenant, max(claim.Weight, 1)); g != nil {
		return g.tail, ErrBeyondShare
	}
	return nil, nil
}

// Leave takes w out of the line and, if it was let look, lets the next one.
// Nobody wakes w's Parker after Leave has returned.
func (w *Waiter) Leave() { w.leave(false) }

// Go is Leave for one that has found a slot: its tenant has had one more of what came
// free.
func (w *Waiter) Go() { w.leave(true) }

func (w *Waiter) leave(served bool) {
	h := w.hold
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pool.giveBack(w.bytes)
	w.parker = nil
	if w.verdict != nil {
		return // out of the line already
	}
	h.countOvertakenLocked(w)
	if served {
		h.bands[w.class].charge(w)
	}
	h.removeLocked(w)
	if !w.turn && !w.looked {
		return // no wake was meant for it: five thousand clients that leave wake nobody
	}
	if next := h.firstLocked(); next != nil {
		next.wakeLocked()
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
	if n == 1 { // mostly
		if w := h.firstLocked(); w != nil {
			w.wakeLocked()
		}
		return
	}
	at := h.walkLocked()
	defer at.end()
	for ; n > 0; n-- {
		w := at.next()
		if w == nil {
			return
		}
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
	for w := h.firstLocked(); w != nil; w = h.firstLocked() {
		h.tellLocked(w, verdict)
	}
}

func (h *Hold) tellLocked(w *Waiter, verdict error) {
	w.verdict = verdict
	w.parker.Wake() // not its turn: whether it had one says who looks instead
	h.removeLocked(w)
}
