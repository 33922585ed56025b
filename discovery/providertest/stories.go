package providertest

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// What the source has already is reported soon, in every detail, and once.
func firstReport(st *stage) {
	set := endpoints(1, 5)
	set[4].Weight = 0 // it takes no new calls, and that is something to say
	st.Put("f", set)
	w := st.watch("f")
	w.until(set)
	w.silent()
}

// A function that is none of this provider's business has an empty set.
func nothingToSay(st *stage) {
	w := st.watchFunction(config.Function{Name: "stranger"})
	w.until(nil)
	w.silent()
}

func changes(st *stage) {
	one, two := endpoints(1, 3), endpoints(2, 4)
	st.Put("f", one)
	w := st.watch("f")
	for _, set := range [][]discovery.Endpoint{one, one[:2], two, append(endpoints(1, 1), two...), {}, one, two[:1]} {
		st.Put("f", set)
		w.until(set)
	}
	heavier := endpoints(2, 1)
	heavier[0].Weight += 6
	st.Put("f", heavier)
	w.until(heavier)
}

// A source that says the same again, in another order, has said nothing.
func nothingNew(st *stage) {
	set := endpoints(1, 6)
	st.Put("f", set)
	w := st.watch("f")
	w.until(set)
	for range 3 {
		rand.Shuffle(len(set), func(i, j int) { set[i], set[j] = set[j], set[i] })
		st.Put("f", set)
	}
	w.silent()
}

// No report has half of one set and half of another.
func wholeSets(st *stage) {
	if st.subject.Piecewise {
		st.Skip("its source changes piece by piece")
	}
	const size, generations = 20, 30
	st.Put("f", endpoints(0, size))
	w := st.watch("f")
	w.until(endpoints(0, size))
	for g := range generations {
		st.Put("f", endpoints(g, size))
	}
	w.until(endpoints(generations-1, size))
	for _, set := range w.reports {
		for _, ep := range set {
			if len(set) != size || generation(ep) != generation(set[0]) {
				st.Fatalf("a set that the source never had: %v", addrs(set))
			}
		}
	}
}

func generation(ep discovery.Endpoint) string { return strings.Split(ep.Addr, ".")[1] }

// However often the source has changed its mind, what it says last is reported.
func lastWord(st *stage) {
	st.Put("f", nil)
	w := st.watch("f")
	for g := range 40 {
		st.Put("f", endpoints(g%5, g%4))
		if g%10 == 9 {
			w.until(endpoints(g%5, g%4))
		}
	}
}

func twice(st *stage) {
	if st.PutTwice == nil {
		st.Skip("nothing is in its source twice")
	}
	st.PutTwice("f", endpoints(1, 3))
	w := st.watch("f")
	w.until(endpoints(1, 3))
}

// One bad entry costs one entry, and somebody is told why.
func badEntry(st *stage) {
	if st.PutBad == nil {
		st.Skip("no entry of its source is bad alone")
	}
	st.Put("f", endpoints(1, 3))
	w := st.watch("f")
	w.until(endpoints(1, 3))
	st.PutBad("f", endpoints(2, 4))
	w.until(endpoints(2, 4))
	st.eventually(st.log.complains, func() string { return "nobody is told of the bad entry" })
	st.Put("f", endpoints(3, 2))
	w.until(endpoints(3, 2))
}

// What makes no sense is no empty set.
func garbage(st *stage) {
	if st.Garble == nil {
		st.Skip("its source cannot talk nonsense")
	}
	st.Put("f", endpoints(1, 3))
	w := st.watch("f")
	w.until(endpoints(1, 3))
	st.Garble("f")
	w.silent()
	st.eventually(st.log.complains, func() string { return "nobody is told of the garbage" })
	st.Put("f", endpoints(2, 1))
	w.until(endpoints(2, 1))
}

// A source that cannot be reached is silence.
func away(st *stage) {
	if st.Away == nil {
		st.Skip("its source is always there")
	}
	st.Put("f", endpoints(1, 3))
	w := st.watch("f")
	w.until(endpoints(1, 3))
	back := st.Away()
	w.silent()
	back()
	w.silent()
	back = st.Away()
	st.Put("f", endpoints(2, 2))
	w.silent()
	back()
	w.until(endpoints(2, 2))
}

func awayFromTheStart(st *stage) {
	if st.Away == nil {
		st.Skip("its source is always there")
	}
	back := st.Away()
	st.Put("f", endpoints(1, 3))
	w := st.watch("f")
	w.silent()
	if n, set := w.told(); n > 0 {
		st.Errorf("reported %v of a source that nobody has reached", addrs(set))
	}
	back()
	w.until(endpoints(1, 3))
}

// The Keeper watches anew when a function's settings change.
func takeOver(st *stage) {
	st.Put("f", endpoints(1, 3))
	old := st.watch("f")
	old.until(endpoints(1, 3))
	next := st.watch("f")
	old.stop()
	next.until(endpoints(1, 3))
	st.Put("f", endpoints(2, 2))
	next.until(endpoints(2, 2))
	next.stop()
	st.Put("f", endpoints(3, 1)) // nobody listens, and yet it is known
	st.watch("f").until(endpoints(3, 1))
}

// Watches of one function hear the same, and do not mind who comes and goes.
func manyWatches(st *stage) {
	const many = 30
	st.Put("f", endpoints(1, 3))
	watches := make([]*watched, many)
	var work sync.WaitGroup
	for i := range watches {
		work.Go(func() { watches[i] = st.watch("f") })
	}
	work.Wait()
	for _, w := range watches {
		w.until(endpoints(1, 3))
	}
	for _, w := range watches[:many/2] {
		work.Go(w.stop)
	}
	st.Put("f", endpoints(2, 4))
	work.Wait()
	for _, w := range watches[many/2:] {
		w.until(endpoints(2, 4))
	}
}

func apart(st *stage) {
	const many = 20
	var watches []*watched
	name := func(i int) string { return "f" + strconv.Itoa(i) } // f1 begins as f10
	for i := range many {
		st.Put(name(i), endpoints(i, 2))
		watches = append(watches, st.watch(name(i)))
	}
	before := make([]int, many)
	for i, w := range watches {
		w.until(endpoints(i, 2))
		before[i], _ = w.told()
	}
	st.Put(name(1), endpoints(100, 3))
	watches[1].until(endpoints(100, 3))
	watches[10].silent()
	for i, w := range watches {
		if n, _ := w.told(); i != 1 && n > before[i] {
			st.Errorf("%s: reported again, and only %s has changed", w.function, name(1))
		}
	}
}

func bigSet(st *stage) {
	most := st.subject.Most
	st.Put("f", endpoints(1, most))
	w := st.watch("f")
	w.until(endpoints(1, most))
	st.Put("f", endpoints(1, most)[1:])
	w.until(endpoints(1, most)[1:])
}

// A watch ends when it is told to, from whatever it is doing, and says no more.
func end(st *stage) {
	st.Put("f", endpoints(1, 3))
	for range 10 {
		st.watch("f").stop()
	}
	w := st.watch("f")
	w.until(endpoints(1, 3))
	w.stop()
	st.Put("f", endpoints(2, 3))
	w.silent()
}

func endWhileAway(st *stage) {
	if st.Away == nil {
		st.Skip("its source is always there")
	}
	st.Put("f", endpoints(1, 3))
	w := st.watch("f")
	w.until(endpoints(1, 3))
	back := st.Away()
	fresh := st.watch("f")
	w.silent()
	w.stop()
	fresh.stop()
	back()
}
