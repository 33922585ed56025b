package coldstart

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A shared line as one would write it down: every call, and for each tenant of a priority when
// it is due. Weights are powers of two, so that there is nothing to round.
type sharedModel struct {
	limit int
	waits []*sharer // in the order of joining
	lines map[place]*dueOf
	now   [numPriorities]float64
}

type place struct {
	class  int8
	tenant Tenant
}

type dueOf struct {
	at     float64
	weight int
	since  int
}

type sharer struct {
	place
	w      *Waiter
	number int
}

func (m *sharedModel) count(p place) (n int) {
	for _, s := range m.waits {
		if s.place == p {
			n++
		}
	}
	return n
}

// goes is who must be let go next, without the rule of those who are overtaken.
func (m *sharedModel) goes(class int8) *sharer {
	var best *sharer
	for _, s := range m.waits {
		if s.class != class {
			continue
		}
		if best == nil {
			best = s
			continue
		}
		a, b := m.lines[s.place], m.lines[best.place]
		if a != b && (a.at < b.at || a.at == b.at && a.since < b.since) {
			best = s
		}
	}
	return best
}

func (m *sharedModel) remove(s *sharer, served bool) {
	line := m.lines[s.place]
	if served {
		m.now[s.class] = max(m.now[s.class], line.at)
		line.at += 1 / float64(line.weight)
	}
	for i := range m.waits {
		if m.waits[i] == s {
			m.waits = append(m.waits[:i:i], m.waits[i+1:]...)
			break
		}
	}
	if m.count(s.place) == 0 {
		delete(m.lines, s.place)
	}
}

// out is who gives up a place to a call of p.
func (m *sharedModel) out(p place, weight int) *sharer {
	class := int8(-1)
	for _, s := range m.waits {
		if s.class > p.class {
			class = max(class, s.class)
		}
	}
	if class < 0 {
		class = p.class
		calls, weights := 0, weight
		for q, line := range m.lines {
			if q.class == class {
				calls += m.count(q)
				if q != p {
					weights += line.weight
				}
			}
		}
		if float64(m.count(p)+1) > float64(calls*weight)/float64(weights) {
			return nil
		}
	}
	var last *sharer
	most := 0.0
	for _, s := range m.waits {
		if s.class == class {
			if load := float64(m.count(s.place)) / float64(m.lines[s.place].weight); load >= most {
				last, most = s, load
			}
		}
	}
	return last
}

// Whatever happens to a line of several tenants, whoever is let go and whoever has to
// give up a place is the one that a simple model says.
func TestOrderOfTenants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &sharedModel{limit: 12, lines: map[place]*dueOf{}}
		h := NewHold(m.limit, NewPool(10_000), func() {})
		joined := 0
		weights := []int{1, 1, 2, 4, 8}
		join := func(t *rapid.T) {
			joined++
			s := &sharer{place{int8(rapid.IntRange(0, 1).Draw(t, "class")), Tenant(rapid.IntRange(0, 4).Draw(t, "tenant"))}, &Waiter{}, joined}
			weight := weights[s.tenant]
			full := len(m.waits) == m.limit
			var out *sharer
			if full {
				out = m.out(s.place, weight)
			}
			err := h.Join(s.w, newParker(), Claim{Priority: Priority(s.class) + High, Tenant: s.tenant, Weight: weight})
			if (err != nil) != (full && out == nil) {
				t.Fatalf("%v; full: %v, with one to go: %v", err, full, out != nil)
			}
			if out != nil {
				want := ErrBeyondShare
				if out.class > s.class {
					want = ErrDisplaced
				}
				if got := out.w.over(); got != want {
					t.Fatalf("the one to go was told %v, want %v", got, want)
				}
				m.remove(out, false)
				out.w.Leave()
			}
			if err != nil {
				return
			}
			m.waits = append(m.waits, s)
			if m.lines[s.place] == nil {
				m.lines[s.place] = &dueOf{m.now[s.class] + 1/float64(weight), weight, s.number}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				for range rapid.IntRange(1, 8).Draw(t, "n") {
					join(t)
				}
			},
			"go": func(t *rapid.T) {
				if len(m.waits) == 0 {
					t.Skip()
				}
				first, oldest := h.dueLocked(time.Time{})
				want := m.goes(0)
				if want == nil || first.class == 1 && oldest.passed >= mostOvertaken {
					want = m.goes(1)
				}
				if first != want.w {
					t.Fatal("another one goes")
				}
				m.remove(want, true)
				first.Go()
			},
			"all": func(t *rapid.T) { // in the order in which they would go
				at := h.walkLocked()
				seen := map[*Waiter]bool{}
				for w := at.next(); w != nil; w = at.next() {
					seen[w] = true
				}
				at.end()
				if len(seen) != len(m.waits) {
					t.Fatalf("%d of %d", len(seen), len(m.waits))
				}
			},
			"some": func(t *rapid.T) { // as many as are woken are those who would go one by one
				n := rapid.IntRange(0, len(m.waits)/2).Draw(t, "n")
				at := h.walkLocked()
				var ahead []*Waiter
				for range n {
					ahead = append(ahead, at.next())
				}
				at.end()
				for i, w := range ahead {
					if h.firstLocked() != w {
						t.Fatalf("the walk's number %d does not go", i)
					}
					for _, s := range m.waits {
						if s.w == w {
							m.remove(s, true)
							break
						}
					}
					w.Go()
				}
			},
			"refused": func(t *rapid.T) { // goes, and comes back to its place
				if len(m.waits) == 0 {
					t.Skip()
				}
				s := m.waits[0]
				for first := h.firstLocked(); s.w != first; {
					m.waits = append(m.waits[1:], s)
					s = m.waits[0]
				}
				slices.SortFunc(m.waits, func(a, b *sharer) int { return a.number - b.number })
				was := slices.Clone(m.waits)
				m.remove(s, true)
				s.w.Go()
				if err := h.Join(s.w, newParker(), Claim{Priority: Priority(s.class) + High, Tenant: s.tenant, Weight: weights[s.tenant], Again: true}); err != nil {
					t.Fatal(err)
				}
				m.waits = was
				if line := m.lines[s.place]; line != nil {
					line.at -= 1 / float64(line.weight)
					line.since = min(line.since, s.number)
				} else {
					m.lines[s.place] = &dueOf{m.now[s.class], weights[s.tenant], s.number}
				}
			},
			"quit": func(t *rapid.T) {
				if len(m.waits) == 0 {
					t.Skip()
				}
				s := m.waits[rapid.IntRange(0, len(m.waits)-1).Draw(t, "who")]
				m.remove(s, false)
				s.w.Leave()
			},
			"": func(t *rapid.T) {
				tenants := 0
				for i := range h.bands {
					b := &h.bands[i]
					calls, weights := 0, 0
					for _, g := range b.orders[byDue].groups {
						calls, weights, tenants = calls+g.calls, weights+g.weight, tenants+1
					}
					if calls != b.calls || weights != b.weights || b.orders[bySpace].Len() != b.orders[byDue].Len() {
						t.Fatalf("%d calls of weight %d, the band says %d and %d", calls, weights, b.calls, b.weights)
					}
				}
				if h.Len() != len(m.waits) || h.pool.Held() != len(m.waits) || tenants != len(m.lines) {
					t.Fatalf("%d of %d tenants wait, the line says %d of %d", len(m.waits), len(m.lines), h.Len(), tenants)
				}
			},
		})
	})
}
