package coldstart

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is a line as one would write it down: who waits, in the order of
// joining, and how often the first of them was overtaken.
type model struct {
	waits     []*Waiter
	overtaken [numPriorities]int // the first of the priority, as the first of all
	lifo      bool
	late      map[*Waiter]bool // half of their time is over
}

// goes is who must be let go next.
func (m *model) goes() *Waiter {
	if m.overtaken[m.waits[0].class] >= mostOvertaken {
		return m.waits[0]
	}
	best := m.waits[0]
	for _, w := range m.waits {
		if w.class < best.class {
			best = w
		}
	}
	if m.lifo && m.late[best] {
		for _, w := range m.waits {
			if w.class == best.class {
				best = w
			}
		}
	}
	return best
}

func (m *model) leave(w *Waiter) {
	oldest := m.waits[0]
	if w != oldest && (w.class < oldest.class || w.class == oldest.class && m.lifo && m.late[oldest]) {
		m.overtaken[oldest.class]++
	}
	m.remove(w)
}

func (m *model) remove(w *Waiter) {
	first := true // of its priority
	for i := range m.waits {
		if m.waits[i] == w {
			m.waits = append(m.waits[:i:i], m.waits[i+1:]...)
			break
		}
		first = first && m.waits[i].class != w.class
	}
	if first {
		m.overtaken[w.class] = 0
	}
}

// displace takes out who makes room in a full line: of the least urgent, if they are
// less urgent than p, the one that came last.
func (m *model) displace(p Priority) *Waiter {
	out := -1
	for i, w := range m.waits {
		if w.class > p.class() && (out < 0 || w.class >= m.waits[out].class) {
			out = i
		}
	}
	if out < 0 {
		return nil
	}
	w := m.waits[out]
	m.remove(w)
	return w
}

// Whatever happens to a line, whoever is let look is the one that a simple model
// says, once for each time, nobody is forgotten, and it has no more places than
// it may.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 20
		h := NewHold(limit, NewPool(10_000), func() {})
		m := &model{late: map[*Waiter]bool{}}
		now := time.Now()
		passed := map[*Waiter]int{} // while it was the one that waited longest
		gone := map[*Waiter]bool{}
		let := func(w *Waiter) {
			if gone[w] {
				t.Fatal("served twice")
			}
			gone[w] = true
			if oldest := m.waits[0]; w != oldest {
				passed[oldest]++
				if passed[oldest] > mostOvertaken {
					t.Fatal("the one that waits longest is passed over for ever")
				}
			}
			m.leave(w)
			w.Go()
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "n") {
					w := &Waiter{}
					claim := Claim{Now: now, Until: now.Add(time.Hour), Priority: Priority(rapid.IntRange(-1, 1).Draw(t, "priority"))}
					if rapid.Bool().Draw(t, "late") {
						claim.Until = now.Add(-time.Hour)
					}
					var out *Waiter
					if len(m.waits) == limit {
						out = m.displace(claim.Priority)
					}
					err := h.Join(w, newParker(), claim)
					if full := len(m.waits) == limit; full != (err == ErrLineFull) || !full && err != nil {
						t.Fatalf("%d wait: %v", len(m.waits), err)
					}
					if out != nil {
						if out.over() != ErrDisplaced {
							t.Fatal("another one was displaced")
						}
						gone[out] = true
						out.Leave()
					}
					if err == nil {
						m.waits, m.late[w] = append(m.waits, w), claim.Until.Before(now)
					}
				}
			},
			"change": func(t *rapid.T) {
				m.lifo = !m.lifo
				h.SetLIFO(m.lifo)
			},
			"go": func(t *rapid.T) { // one after the other
				for range rapid.IntRange(0, len(m.waits)).Draw(t, "n") {
					want := m.goes()
					h.Wake(1)
					if !want.Turn() {
						t.Fatal("another one was let look")
					}
					let(want)
				}
			},
			"all": func(t *rapid.T) { // look at once
				h.Wake(len(m.waits))
				for _, w := range m.waits {
					if !w.Turn() {
						t.Fatal("one was not let look")
					}
				}
			},
			"refused": func(t *rapid.T) { // leaves, and comes back to its place
				if len(m.waits) == 0 {
					t.Skip()
				}
				w := m.goes()
				was := append([]*Waiter{}, m.waits...)
				m.leave(w)
				w.Go()
				if err := h.Join(w, newParker(), Claim{Priority: Priority(w.class) + High, Again: true}); err != nil {
					t.Fatal(err)
				}
				m.waits = was
				clear(passed)
			},
			"quit": func(t *rapid.T) {
				if len(m.waits) == 0 {
					t.Skip()
				}
				w := m.waits[rapid.IntRange(0, len(m.waits)-1).Draw(t, "who")]
				m.leave(w)
				w.Leave()
				clear(passed) // who quits is not let go: the count stays, the promise is about who goes
			},
			"": func(t *rapid.T) {
				if h.Len() != len(m.waits) || h.pool.Held() != len(m.waits) {
					t.Fatalf("%d wait, the line says %d", len(m.waits), h.Len())
				}
			},
		})
	})
}

// A pool as one would write it down.
func TestPoolIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 400).Draw(t, "limit")
		maxBytes := rapid.IntRange(0, 4000).Draw(t, "bytes")
		pool := NewPool(limit)
		pool.SetMaxBytes(int64(maxBytes))
		lines := make([]*Hold, 5)
		waits := make([][]*Waiter, len(lines))
		for i := range lines {
			lines[i] = NewHold(1000, pool, func() {})
		}
		held, bytes := 0, 0
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
				n := rapid.IntRange(0, 100).Draw(t, "n")
				w, mine := &Waiter{}, 0
				for _, other := range waits[i] {
					mine += other.bytes
				}
				small := len(waits[i]) < leastShare
				var want error
				switch {
				case held == limit:
					want = ErrPoolFull
				case !small && len(waits[i]) >= limit-held:
					want = ErrShare
				case maxBytes > 0 && bytes+n > maxBytes:
					want = ErrBytesFull
				case maxBytes > 0 && !small && mine >= maxBytes-bytes:
					want = ErrShare
				}
				if err := lines[i].Join(w, newParker(), Claim{Bytes: n}); err != want {
					t.Fatalf("%v, want %v", err, want)
				}
				if want == nil {
					held, bytes, waits[i] = held+1, bytes+n, append(waits[i], w)
				}
			},
			"leave": func(t *rapid.T) {
				i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
				if len(waits[i]) == 0 {
					t.Skip()
				}
				w := waits[i][0]
				held, bytes, waits[i] = held-1, bytes-w.bytes, waits[i][1:]
				w.Leave()
			},
			"": func(t *rapid.T) {
				if pool.Held() != held || pool.Bytes() != int64(bytes) {
					t.Fatalf("%d with %d bytes, the pool says %d with %d", held, bytes, pool.Held(), pool.Bytes())
				}
			},
		})
	})
}

// However many calls flood whichever lines, one that holds nothing gets in.
func TestAFloodKeepsNobodyOut(t *testing.T) {
	for _, flooded := range []int{1, 2, 3, 8} {
		pool := NewPool(10_000)
		for range flooded {
			h := NewHold(100_000, pool, func() {})
			for range 20_000 {
				_ = h.Join(&Waiter{}, newParker(), Claim{})
			}
		}
		for range 3 {
			join(t, NewHold(1000, pool, func() {}))
		}
		t.Logf("%d flooded functions hold %d of 10,000", flooded, pool.Held())
	}
}

func TestRefusalsCostNothing(t *testing.T) {
	f := func(name string, h *Hold, want error, budget float64) {
		t.Helper()
		p, now := newParker(), time.Now()
		var w Waiter
		var err error
		if n := testing.AllocsPerRun(1000, func() { err = h.Join(&w, p, Claim{Now: now, Bytes: 1}) }); n > budget || !errors.Is(err, want) {
			t.Errorf("%s: %v, allocates %.0f times", name, err, n)
		}
	}
	f("line", NewHold(0, NewPool(10), func() {}), ErrLineFull, 0)
	f("pool", NewHold(10, NewPool(0), func() {}), ErrPoolFull, 0)
	tight := NewPool(10)
	tight.SetMaxBytes(1)
	tight.force(1)
	f("bytes", NewHold(10, tight, func() {}), ErrBytesFull, 0)
	closed := line(10)
	closed.Fail(&NoStart{Reason: errors.New("no"), Retry: time.Hour}, time.Now())
	f("door", closed, ErrNoStart, 1) // it says when to come again
}
