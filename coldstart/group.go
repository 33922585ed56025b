package coldstart

import (
	"container/heap"
	"time"
)

// How the calls of a line that have the same priority are shared out among the
// tenants whose they are: what comes free goes to those who wait for it in proportion
// to their weights, and the calls of one tenant go in their order.
//
// It is self-clocked fair queueing (Golestani, "A Self-Clocked Fair Queueing Scheme for
// Broadband Applications", 1994), with calls for packets, all of one length. A tenant's next
// call is due at a moment of the band's own time; the one that is due first goes, the
// time is then what it was due at, and the tenant's next call is due 1/weight later. Who
// begins to wait is due 1/weight after the present time. So of two tenants who both wait
// throughout, neither gets over the other's share by more than one call of each, in
// whichever stretch: |a/weight(a) - b/weight(b)| <= 1/weight(a) + 1/weight(b). And one
// who does not wait need not be remembered: what its next call would have been due at is
// never later than 1/weight from now.

// A Tenant is whose a call is. The zero value is nobody: those calls are together.
type Tenant uint64

// A group is the calls of one tenant that stand in a line with the same priority,
// by number.
type group struct {
	tenant     Tenant
	weight     int
	calls      int
	head, tail *Waiter
	due        uint64         // when its next call is, by the band's time
	since      uint64         // the number of its first call: of those that are due together the earliest goes first
	passed     int            // how often its head, as the one that waits longest, was passed over
	at         [numOrders]int // in the heaps of its band

	was     view   // while a walk goes through the line
	touched *group // by the walk before this one; nil if it was not, or is the first
}

// aWhole is how much later a tenant of weight 1 is due with every call. It is divided
// without a remainder that anybody will see.
const aWhole = 1 << 32

func (g *group) step() uint64 { return aWhole / uint64(g.weight) } //nolint:gosec // 1 or more

// A band is the part of a line that has one priority.
type band struct {
	now     uint64 // its time: when the call that was let go last was due
	calls   int
	weights int               // of those who wait, together
	tenants map[Tenant]*group // those who wait, nobody aside
	nobody  group             // the group of the calls without a tenant
	orders  [numOrders]order
}

// Both are heaps.
const (
	byDue   = iota // which group's call goes next
	bySpace        // which has the most calls for its weight
	numOrders
)

// An order is a heap of groups.
type order struct {
	groups []*group
	by     int
}

func (o *order) top() *group {
	if len(o.groups) == 0 {
		return nil
	}
	return o.groups[0]
}

func (o *order) Len() int { return len(o.groups) }

func (o *order) Less(i, j int) bool {
	a, b := o.groups[i], o.groups[j]
	if o.by == byDue {
		return a.due != b.due && earlier(a.due, b.due) || a.due == b.due && a.since < b.since
	}
	left, right := a.calls*b.weight, b.calls*a.weight
	return left > right || left == right && a.tail.number > b.tail.number
}

func (o *order) Swap(i, j int) {
	g := o.groups
	g[i], g[j] = g[j], g[i]
	g[i].at[o.by], g[j].at[o.by] = i, j
}

// Push is for container/heap.
func (o *order) Push(g any) {
	added := g.(*group)
	added.at[o.by] = len(o.groups)
	o.groups = append(o.groups, added)
}

// Pop is for container/heap.
func (o *order) Pop() any {
	last := len(o.groups) - 1
	g := o.groups[last]
	o.groups[last] = nil
	o.groups = o.groups[:last]
	return g
}

// earlier compares two moments of a band, which may go over the end of the numbers.
func earlier(a, b uint64) bool { return int64(a-b) < 0 } //nolint:gosec // a difference

// of is the group of a tenant; nil if it does not wait.
func (b *band) of(t Tenant) *group {
	if t != 0 {
		return b.tenants[t]
	}
	if b.nobody.calls == 0 {
		return nil
	}
	return &b.nobody
}

// begin makes the group of a tenant of whom w is the first call.
func (b *band) begin(w *Waiter, t Tenant, weight int) *group {
	g := &b.nobody
	if t != 0 {
		g = &group{tenant: t}
		if b.tenants == nil {
			b.tenants = map[Tenant]*group{}
		}
		b.tenants[t] = g
	}
	g.weight, g.calls, g.head, g.tail = weight, 1, w, w
	g.due, g.since = b.now+g.step(), w.number
	b.weights += weight
	for i := range b.orders {
		b.orders[i].by = i
		heap.Push(&b.orders[i], g)
	}
	return g
}

// end forgets a group that has no call any more.
func (b *band) end(g *group) {
	b.weights -= g.weight
	for i := range b.orders {
		heap.Remove(&b.orders[i], g.at[i])
	}
	if g.tenant == 0 {
		*g = group{}
	} else {
		delete(b.tenants, g.tenant)
	}
	const many = 64
	if b.calls == 0 && cap(b.orders[byDue].groups) > many { // neither a slice nor a map ever becomes smaller
		b.tenants, b.orders = nil, [numOrders]order{}
	}
}

// fix puts a group whose calls are others than before where it belongs.
func (b *band) fix(g *group) {
	for i := range b.orders {
		heap.Fix(&b.orders[i], g.at[i])
	}
}

// weigh sets what the tenant's share is from now on.
func (b *band) weigh(g *group, weight int) {
	b.weights += weight - g.weight
	g.weight = weight
}

// charge says that a call of a group has been let go. Its tenant's next one is due a
// step later.
func (b *band) charge(w *Waiter) {
	g := w.group
	w.charged = true
	if earlier(b.now, g.due) {
		b.now = g.due
	}
	g.due += g.step()
}

// refund is for a call of the group that comes back because its endpoint has not taken
// it: the tenant is due again when it was before that call was let go, though if nobody
// of it waits any more, not before those who are due now.
func (b *band) refund(g *group, charged bool) {
	g.since = min(g.since, g.head.number)
	switch {
	case g.calls == 1:
		g.due = b.now
	case charged:
		g.due -= g.step()
	}
}

// crowder is the group that has to give up a place if a call of a tenant comes to a
// line that is full: the one with the most calls for its weight; nil if the tenant has
// its share already. Since the share of a tenant is the same part of all calls as its
// weight is of all weights, one of the others has more than its own if this one has
// less; and after it has given up a place, it has not less.
func (b *band) crowder(t Tenant, weight int) *group {
	calls, weights := 1, b.weights+weight
	if g := b.of(t); g != nil {
		calls, weights = g.calls+1, weights-g.weight
	}
	if calls*weights > b.calls*weight {
		return nil
	}
	return b.orders[bySpace].top()
}

// dueLocked is the call that goes next, and the group whose head has waited longest of
// those that are due first in their band; nil if nobody waits.
func (h *Hold) dueLocked(now time.Time) (first *Waiter, oldest *group) {
	for i := range h.bands {
		g := h.bands[i].orders[byDue].top()
		if g == nil {
			continue
		}
		if first == nil {
			first = g.head
			if late(first, now) {
				first = g.tail
			}
		}
		if oldest == nil || g.head.number < oldest.head.number {
			oldest = g
		}
	}
	if oldest != nil && oldest.passed >= mostOvertaken {
		first = oldest.head
	}
	return first, oldest
}

// late tells whether the newest of a tenant's calls go before head, the oldest. now is
// the zero time in a line that is never late.
func late(head *Waiter, now time.Time) bool { return !now.IsZero() && now.After(head.half) }

// A walk goes through a line in the order in which it will be let go, as far as nobody
// joins. It lets calls go as if they were served, and takes it back in the end.
type walk struct {
	h    *Hold
	now  time.Time
	last *group // that it has touched
}

// A view is what a walk changes of a group.
type view struct {
	head, tail *Waiter
	due        uint64
	passed     int
	known      bool
}

func (h *Hold) walkLocked() walk { return walk{h: h, now: h.nowLocked()} }

// next returns the one that goes next; nil at the end.
func (k *walk) next() *Waiter {
	first, oldest := k.h.dueLocked(k.now)
	if first == nil {
		return nil
	}
	k.touch(oldest)
	g := first.group
	k.touch(g)
	if first == oldest.head {
		oldest.passed = 0
	} else {
		oldest.passed++
	}
	g.due += g.step()
	turns := &k.h.bands[first.class].orders[byDue]
	switch {
	case g.head == g.tail:
		heap.Remove(turns, g.at[byDue])
		g.head, g.tail = nil, nil
		return first
	case first == g.head:
		g.head = first.next
	default:
		g.tail = first.prev
	}
	heap.Fix(turns, g.at[byDue])
	return first
}

func (k *walk) touch(g *group) {
	if g.was.known {
		return
	}
	g.was = view{g.head, g.tail, g.due, g.passed, true}
	g.touched, k.last = k.last, g
}

// end leaves the line as the walk has met it.
func (k *walk) end() {
	for g := k.last; g != nil; {
		turns := &k.h.bands[g.was.head.class].orders[byDue]
		gone := g.head == nil
		g.head, g.tail, g.due, g.passed = g.was.head, g.was.tail, g.was.due, g.was.passed
		if gone {
			heap.Push(turns, g)
		} else {
			heap.Fix(turns, g.at[byDue])
		}
		before := g.touched
		g.was, g.touched = view{}, nil
		g = before
	}
	k.last = nil
}
