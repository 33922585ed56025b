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
	overtaken int
}

// goes is who must be let go next.
func (m *model) goes() *Waiter {
	if m.overtaken >= mostOvertaken {
		return m.waits[0]
	}
	best := m.waits[0]
	for _, w := range m.waits {
		if w.class < best.class {
			best = w
		}
	}
	return best
}

func (m *model) leave(w *Waiter) {
	switch {
	case w == m.waits[0]:
		m.overtaken = 0
	case w.class < m.waits[0].class:
		m.overtaken++
	}
	for i := range m.waits {
		if m.waits[i] == w {
			m.waits = append(m.waits[:i:i], m.waits[i+1:]...)
			return
		}
	}
}

func TestOrderOfPriorities(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := NewHold(1000, NewPool(10_000), func() {})
		m := &model{}
		passed := map[*Waiter]int{} // while it was the one that waited longest
		let := func(w *Waiter) {
			if oldest := m.waits[0]; w != oldest {
				passed[oldest]++
				if passed[oldest] > mostOvertaken {
					t.Fatal("the one that waits longest is passed over for ever")
				}
			}
			m.leave(w)
			w.Leave()
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				w := &Waiter{}
				claim := Claim{Priority: Priority(rapid.IntRange(-1, 1).Draw(t, "priority"))}
				if err := h.Join(w, newParker(), claim); err != nil {
					t.Fatal(err)
				}
				m.waits = append(m.waits, w)
			},
			"go": func(t *rapid.T) {
				if len(m.waits) == 0 {
					t.Skip()
				}
				want := m.goes()
				h.Wake(1)
				if !want.Turn() {
					t.Fatal("another one was let look")
				}
				let(want)
			},
			"refused": func(t *rapid.T) { // leaves, and comes back to its place
				if len(m.waits) == 0 {
					t.Skip()
				}
				w := m.goes()
				was, overtaken := append([]*Waiter{}, m.waits...), h.overtaken
				w.Leave()
				if err := h.Join(w, newParker(), Claim{Priority: Priority(w.class) + High, Again: true}); err != nil {
					t.Fatal(err)
				}
				m.waits, m.overtaken = was, h.overtaken
				if h.overtaken > overtaken+1 {
					t.Fatal("coming back counts")
				}
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
