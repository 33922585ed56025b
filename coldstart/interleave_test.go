package coldstart

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// Brute force: every interleaving of a small cast around one line, with the
// real Hold. What a caller does between two looks at shared state is one step;
// a schedule is the order in which the actors take their steps. Where no step
// is left, nobody may stand in line while a slot is free.

// A cast is who takes part.
type cast struct {
	slots    int   // free at first
	arrive   []int // slots that an endpoint brings, for each endpoint
	callers  int   // calls that want a slot and give it back
	quitters int   // calls that may lose patience while they wait
	high     int   // calls of a high priority
	unlucky  int   // calls whose first endpoint refuses them
	streams  int   // calls that keep their slot
	limit    int   // of the line
	late     bool  // the newest go first
	tenants  int   // that the calls are of, in turn; the last one has twice the weight
}

// The steps of a call, as proxy.take, wait and giveBack have them.
const (
	looksAtLine = iota // is anybody waiting?
	picks              // nobody was: is there a slot?
	joins
	asksTurn
	looks // it is its turn: is there a slot?
	parks // waits until woken; a quitter may leave instead
	leaves
	dials
	returns // the endpoint has refused it: gives the slot back,
	tells   // looks for waiters,
	rejoins // and wants its place again
	frees   // gives the slot back
	wakes   // and looks for waiters
	over
	arrives // an endpoint: its slots are published
	announces
)

type actor struct {
	step    int
	slot    bool // has one
	quits   bool
	stays   bool
	refusal bool // awaits it
	rank    Priority
	tenant  Tenant
	weight  int
	brings  int
	refused bool
	waiter  Waiter
	woken   bool // its Parker has been woken
}

func (a *actor) Wait(time.Time) error { panic("BUG: the test parks by itself") }
func (a *actor) Wake()                { a.woken = true }

type world struct {
	hold   *Hold
	slots  int
	actors []*actor
	served int
	strict bool // one slot in all, and no refusals: the order is exact
	broken error
}

func (c cast) world() *world {
	w := &world{slots: c.slots}
	w.hold = NewHold(c.limit, NewPool(100), func() {})
	w.hold.SetLIFO(c.late)
	for i := range c.callers + c.quitters {
		w.actors = append(w.actors, &actor{quits: i >= c.callers})
	}
	for range c.high {
		w.actors = append(w.actors, &actor{rank: High})
	}
	for range c.streams {
		w.actors = append(w.actors, &actor{stays: true})
	}
	for range c.unlucky {
		w.actors = append(w.actors, &actor{refusal: true})
	}
	for i, a := range w.actors {
		if c.tenants > 0 {
			a.tenant = Tenant(i % c.tenants)
		}
		a.weight = 1
		if int(a.tenant) == c.tenants-1 {
			a.weight = 2
		}
	}
	sum := c.slots
	for _, n := range c.arrive {
		w.actors = append(w.actors, &actor{step: arrives, brings: n})
		sum += n
	}
	w.strict = sum == 1 && c.streams == 0 && c.unlucky == 0 && !c.late
	return w
}

// moves is how many ways the actor can go on: none, one, or for a quitter that
// waits, two.
func (a *actor) moves() int {
	switch {
	case a.step == over:
		return 0
	case a.step == parks && a.quits && a.woken:
		return 2
	case a.step == parks && !a.woken && !a.quits:
		return 0
	}
	return 1
}

// do takes the actor's next step.
func (w *world) do(a *actor, move int) {
	take := func(got, not int) {
		if w.slots > 0 {
			w.slots--
			a.slot = true
			w.served++
			a.step = got
			return
		}
		a.step = not
	}
	switch a.step {
	case looksAtLine:
		a.step = joins
		if w.hold.Empty() {
			a.step = picks
		}
	case picks:
		take(dials, joins)
	case joins, rejoins:
		again := a.step == rejoins
		a.step = asksTurn
		if err := w.hold.Join(&a.waiter, a, Claim{Priority: a.rank, Tenant: a.tenant, Weight: a.weight, Bytes: 10, Again: again}); err != nil {
			a.refused, a.step = true, over
			if again {
				w.broken = fmt.Errorf("a call that was in is turned away: %w", err)
			}
		}
	case asksTurn:
		a.step = parks
		if a.waiter.Turn() {
			a.step = looks
		}
	case looks:
		take(leaves, parks)
		if a.slot {
			w.checkOrder(a)
		}
	case parks:
		if a.quits && (move == 1 || !a.woken) {
			a.step = leaves
			return
		}
		a.woken = false
		a.step = asksTurn
		if a.waiter.over() != nil {
			a.refused, a.step = true, leaves
		}
	case leaves:
		if a.slot {
			a.waiter.Go()
			a.step = dials
		} else {
			a.waiter.Leave()
			a.step = over
		}
	case dials:
		a.step = frees
		if a.refusal {
			a.refusal, a.step = false, returns
			w.served--
		} else if a.stays {
			a.step = over
		}
	case returns:
		w.slots++
		a.slot = false
		a.step = tells
	case tells:
		w.hold.Wake(1)
		a.step = rejoins
	case frees:
		w.slots++
		a.slot = false
		a.step = wakes
	case wakes:
		w.hold.Wake(1)
		a.step = over
	case arrives:
		w.slots += a.brings
		a.step = announces
	case announces:
		w.hold.Wake(a.brings)
		a.step = over
	default:
		panic("BUG: no such step")
	}
}

// checkOrder holds a call that has just taken a slot against those who stand
// in line with it.
func (w *world) checkOrder(a *actor) {
	for _, other := range w.actors {
		waits := other.step == asksTurn || other.step == looks || other.step == parks
		waits = waits && other.waiter.verdict == nil && a.waiter.verdict == nil
		if w.strict && waits && other.rank == a.rank && other.tenant == a.tenant && other.waiter.number < a.waiter.number {
			w.broken = errors.New("a call went before one of the same priority that came earlier")
		}
	}
}

// fingerprint is all that decides what can happen next.
func (w *world) fingerprint() string {
	b := []byte{byte(w.slots)}
	index := func(waiter *Waiter) byte {
		for i, a := range w.actors {
			if waiter == &a.waiter {
				return byte(i)
			}
		}
		return 0xff
	}
	for _, a := range w.actors {
		flags := byte(0)
		for i, set := range []bool{a.slot, a.woken, a.waiter.turn, a.waiter.looked, a.refusal, a.waiter.charged, a.waiter.verdict != nil} {
			if set {
				flags |= 1 << i
			}
		}
		b = append(b, byte(a.step), flags)
	}
	for i := range w.hold.bands {
		band := &w.hold.bands[i]
		for _, g := range band.orders[byDue].groups {
			b = append(b, index(g.head), byte(g.passed), byte(int64(g.due-band.now)>>28))
		}
	}
	_, oldest := w.hold.dueLocked(time.Time{})
	if oldest != nil {
		b = append(b, index(oldest.head))
	}
	at := w.hold.walkLocked()
	for next := at.next(); next != nil; next = at.next() {
		b = append(b, index(next))
	}
	at.end()
	return string(b)
}

// check is what must hold where nobody can go on by himself.
func (w *world) check() error {
	waiting := 0
	for _, a := range w.actors {
		if a.step == parks {
			waiting++
		}
	}
	if waiting > 0 && w.slots > 0 {
		return fmt.Errorf("%d wait although %d slots are free", waiting, w.slots)
	}
	if n := w.hold.Len(); n != waiting {
		return fmt.Errorf("%d wait, the line says %d", waiting, n)
	}
	if n, bytes := w.hold.pool.Held(), w.hold.pool.Bytes(); n != waiting || bytes != int64(10*waiting) || w.hold.bytes != 10*waiting {
		return fmt.Errorf("%d wait, the pool says %d with %d bytes, the line %d", waiting, n, bytes, w.hold.bytes)
	}
	return nil
}

type choice struct{ actor, move int }

// explore tries every schedule. States that were seen are not gone through
// again; the world is built anew for every schedule, because a Hold cannot be
// copied.
func (c cast) explore(t *testing.T) (states, ends int) {
	seen := map[string]bool{}
	todo := [][]choice{nil}
	for len(todo) > 0 {
		schedule := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		w := c.world()
		for _, s := range schedule {
			w.do(w.actors[s.actor], s.move)
		}
		if w.broken != nil {
			t.Fatalf("%+v: %v\nschedule %v", c, w.broken, schedule)
		}
		if print := w.fingerprint(); seen[print] {
			continue
		} else {
			seen[print] = true
		}
		stuck := true
		for i, a := range w.actors {
			for move := range a.moves() {
				// A quitter that stays is not progress: it counts as stuck.
				stuck = stuck && a.step == parks && a.quits && !a.woken
				todo = append(todo, append(schedule[:len(schedule):len(schedule)], choice{i, move}))
			}
		}
		if stuck {
			ends++
			if err := w.check(); err != nil {
				t.Fatalf("%+v: %v\nschedule %v", c, err, schedule)
			}
		}
	}
	return len(seen), ends
}

func TestEveryInterleaving(t *testing.T) {
	for _, c := range []cast{
		{slots: 1, callers: 2, limit: 10},
		{slots: 1, callers: 3, limit: 10},
		{slots: 2, callers: 3, limit: 10},
		{arrive: []int{1}, callers: 3, limit: 10},
		{arrive: []int{5}, streams: 3, limit: 10}, // five slots for one waiter
		{arrive: []int{2}, streams: 1, high: 1, quitters: 1, limit: 10},
		{arrive: []int{2}, callers: 2, quitters: 1, limit: 10},
		{arrive: []int{1, 1}, callers: 2, limit: 10},
		{slots: 1, callers: 1, quitters: 2, limit: 10},
		{slots: 1, callers: 3, limit: 1},
		{slots: 1, callers: 2, quitters: 1, limit: 2},
		{arrive: []int{1}, quitters: 3, limit: 2},
		{slots: 1, callers: 2, high: 1, limit: 10},
		{slots: 1, callers: 1, high: 2, limit: 10},
		{arrive: []int{1}, callers: 1, quitters: 1, high: 1, limit: 10},
		{slots: 1, callers: 2, unlucky: 1, limit: 1},
		{slots: 2, callers: 1, unlucky: 2, limit: 10},
		{arrive: []int{1}, unlucky: 1, high: 1, limit: 10},
		{slots: 1, callers: 3, limit: 10, late: true},
		{arrive: []int{5}, streams: 3, limit: 10, late: true},
		{arrive: []int{1}, callers: 1, quitters: 1, limit: 10, late: true},
		{slots: 1, callers: 1, high: 2, limit: 10, late: true},
		{slots: 1, callers: 2, unlucky: 1, limit: 1, late: true},
		{slots: 1, callers: 3, limit: 10, tenants: 2},
		{slots: 1, callers: 3, limit: 10, tenants: 3},
		{slots: 1, callers: 2, quitters: 1, limit: 10, tenants: 2},
		{arrive: []int{2}, callers: 3, limit: 10, tenants: 2},
		{arrive: []int{5}, streams: 3, limit: 10, tenants: 2},
		{arrive: []int{2}, callers: 2, quitters: 1, limit: 10, tenants: 3},
		{arrive: []int{1}, callers: 1, quitters: 1, high: 1, limit: 10, tenants: 2},
		{slots: 1, callers: 2, unlucky: 1, limit: 1, tenants: 2},
		{slots: 1, callers: 1, unlucky: 2, limit: 10, tenants: 2},
		{arrive: []int{1}, callers: 3, limit: 2, tenants: 2},
		{arrive: []int{1}, quitters: 3, limit: 2, tenants: 2},
		{slots: 1, callers: 3, limit: 10, tenants: 2, late: true},
	} {
		states, ends := c.explore(t)
		t.Logf("%+v: %d states, %d ends", c, states, ends)
		if states < 20 || ends == 0 {
			t.Errorf("%+v: only %d states and %d ends: the cast does nothing", c, states, ends)
		}
	}
}
