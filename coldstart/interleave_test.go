package coldstart

import (
	"fmt"
	"strings"
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
	limit    int   // of the line
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
	frees // gives the slot back
	wakes // and looks for waiters
	over
	arrives // an endpoint: its slots are published
	announces
)

type actor struct {
	step    int
	slot    bool // has one
	quits   bool
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
}

func (c cast) world() *world {
	w := &world{slots: c.slots}
	w.hold = NewHold(c.limit, NewPool(100), func() {})
	for i := range c.callers + c.quitters {
		w.actors = append(w.actors, &actor{quits: i >= c.callers})
	}
	for _, n := range c.arrive {
		w.actors = append(w.actors, &actor{step: arrives, brings: n})
	}
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
		take(frees, joins)
	case joins:
		a.step = asksTurn
		if err := w.hold.Join(&a.waiter, a, time.Time{}); err != nil {
			a.refused, a.step = true, over
		}
	case asksTurn:
		a.step = parks
		if a.waiter.Turn() {
			a.step = looks
		}
	case looks:
		take(leaves, parks)
	case parks:
		if a.quits && (move == 1 || !a.woken) {
			a.step = leaves
			return
		}
		a.woken = false
		a.step = asksTurn
	case leaves:
		a.waiter.Leave()
		a.step = over
		if a.slot {
			a.step = frees
		}
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

// fingerprint is all that decides what can happen next.
func (w *world) fingerprint() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d|", w.slots)
	for _, a := range w.actors {
		fmt.Fprintf(&b, "%d%t%t%t.", a.step, a.slot, a.woken, a.waiter.turn)
	}
	for at := w.hold.head; at != nil; at = at.next {
		for i, a := range w.actors {
			if at == &a.waiter {
				fmt.Fprintf(&b, ">%d", i)
			}
		}
	}
	return b.String()
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
	if n := w.hold.pool.Held(); n != waiting {
		return fmt.Errorf("%d wait, the pool says %d", waiting, n)
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
		{arrive: []int{5}, callers: 3, limit: 10}, // five slots for one waiter
		{arrive: []int{2}, callers: 2, quitters: 1, limit: 10},
		{arrive: []int{1, 1}, callers: 2, quitters: 1, limit: 10},
		{slots: 1, callers: 2, quitters: 2, limit: 10},
		{slots: 1, callers: 3, limit: 1},
		{slots: 1, callers: 2, quitters: 1, limit: 2},
		{arrive: []int{1}, quitters: 3, limit: 2},
	} {
		states, ends := c.explore(t)
		t.Logf("%+v: %d states, %d ends", c, states, ends)
		if states < 20 || ends == 0 {
			t.Errorf("%+v: only %d states and %d ends: the cast does nothing", c, states, ends)
		}
	}
}
