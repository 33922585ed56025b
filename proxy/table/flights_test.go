package table

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
)

// asking is what a call asks for that asks for that text.
func asking(text string) *Question {
	q := &Question{Path: []byte(text)}
	q.begin()
	return q
}

// A passenger is a call that has joined, as the model sees it.
type passenger struct {
	lead     Lead
	follower Follower
	parker   parker
	flight   *Flight // that it led, when it has departed
	of       string  // what it asks
	gone     bool
}

// isToLead tells whether its waiting has come to that.
func (p *passenger) isToLead() bool { return p.follower.Flying() && p.follower.Verdict() == Leads }

// leads tells whether it is whom others wait for, or is to be.
func (p *passenger) leads(flight *Flight) bool {
	return !p.gone && (p.flight == flight || p.lead.Leads() && p.lead.flight == flight || p.isToLead() && p.follower.flight == flight)
}

// isOpen tells whether others may follow it.
func (p *passenger) isOpen(f *Flights) bool {
	isOpen := func(fl *Flight) bool { return f.open.find(fl.question, fl.to, fl.text) == fl }
	switch {
	case p.gone || p.flight != nil:
		return false
	case p.lead.Leads():
		return p.lead.spot != nil || isOpen(p.lead.flight)
	}
	return p.isToLead() && isOpen(p.follower.flight)
}

// known is the flight that others know it by. With nil there was none, and it has ended.
func (p *passenger) known() *Flight {
	fl := p.flight
	if fl == nil {
		fl = p.lead.Known()
	}
	p.flight, p.gone = fl, fl == nil
	return fl
}

// Whatever order things come in: of all who ask the same, one leads whom the others can
// follow; each who follows is told once what comes of it, and woken for it; and no call
// and no byte is left over.
func TestFlightsAsTheModel(t *testing.T) {
	questions := []string{"a", "b", "c"}
	var all spots
	for i := 0; all.of(asking(questions[2]).hash) != all.of(asking("a").hash); i++ { // one that stands where another does
		questions[2] = fmt.Sprint(i)
	}
	rapid.Check(t, func(t *rapid.T) {
		var f Flights
		s := &config.Collapse{MaxBytes: 100, MaxFollowers: rapid.IntRange(1, 5).Draw(t, "most")}
		now := time.Now()
		var all []*passenger
		pick := func(t *rapid.T, what string, fits func(*passenger) bool) *passenger {
			var some []*passenger
			for _, p := range all {
				if !p.gone && fits(p) {
					some = append(some, p)
				}
			}
			if len(some) == 0 {
				t.Skip("nobody ", what)
			}
			return rapid.SampledFrom(some).Draw(t, what)
		}
		leads := func(p *passenger) bool { return p.lead.Leads() || p.flight != nil }
		follows := func(p *passenger) bool { return p.follower.Flying() }
		lands := func(p *passenger) { p.flight, p.gone = nil, true }
		end := func(p *passenger, how func(*Flight)) {
			if fl := p.known(); fl != nil {
				how(fl)
				lands(p)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				p := &passenger{parker: make(parker, 1), of: rapid.SampledFrom(questions).Draw(t, "question")}
				waiting, _ := f.Waiting()
				open := slices.ContainsFunc(all, func(o *passenger) bool { return o.of == p.of && o.isOpen(&f) })
				verdict := f.Join(&p.lead, &p.follower, p.parker, nil, asking(p.of), s, now)
				apart := now.Before(f.apart[asking(p.of).hash])
				want := Follows
				switch {
				case f.ended, apart, open && waiting >= s.MaxFollowers:
					want = Alone
				case !open:
					want = Leads
				}
				if verdict != want || p.lead.Leads() != (verdict == Leads) || p.follower.Flying() != (verdict == Follows) {
					t.Fatalf("joined as %d, want %d", verdict, want)
				}
				p.gone = verdict == Alone
				all = append(all, p)
			},
			"depart": func(t *rapid.T) {
				p := pick(t, "leads", func(p *passenger) bool { return p.lead.Leads() })
				if fl := p.known(); fl != nil && !fl.Depart() {
					lands(p)
				}
			},
			"keep": func(t *rapid.T) {
				p := pick(t, "has departed", func(p *passenger) bool { return p.flight != nil })
				p.flight.Keep(rapid.IntRange(0, 60).Draw(t, "bytes"))
			},
			"share": func(t *rapid.T) {
				p := pick(t, "leads", leads)
				end(p, func(fl *Flight) { fl.Share(&Answer{From: []byte(p.of)}) })
			},
			"disperse": func(t *rapid.T) {
				apart := rapid.Bool().Draw(t, "apart")
				end(pick(t, "leads", leads), func(fl *Flight) { fl.Disperse(apart, now) })
			},
			"hand over": func(t *rapid.T) { end(pick(t, "leads", leads), (*Flight).HandOver) },
			"leave": func(t *rapid.T) {
				p := pick(t, "follows", follows)
				p.follower.Leave()
				p.gone = true
			},
			"look": func(t *rapid.T) {
				p := pick(t, "follows", follows)
				switch verdict := p.follower.Verdict(); {
				case verdict == Follows:
				case len(p.parker) == 0:
					t.Fatal("nobody has woken it")
				case verdict == Leads:
					p.lead = p.follower.Lead()
				case verdict == Given && string(p.follower.Answer().From) != p.of:
					t.Fatal("it is given the answer to something else")
				case verdict != Given:
					p.follower.Leave()
					p.gone = true
				}
			},
			"later": func(*rapid.T) { now = now.Add(apartFor) },
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
					f.Close()
				}
			},
			"": func(t *rapid.T) {
				waiting := 0
				for _, p := range all {
					if p.gone || !p.follower.Flying() || p.follower.Verdict() != Follows {
						continue
					}
					waiting++
					flight := p.follower.flight
					if !slices.ContainsFunc(all, func(o *passenger) bool { return o.leads(flight) }) {
						t.Fatal("it waits for nobody")
					}
				}
				if n, bytes := f.Waiting(); n != waiting || bytes < 0 || bytes > 100 {
					t.Fatalf("%d wait with %d bytes, want %d", n, bytes, waiting)
				}
			},
		})
		for slices.ContainsFunc(all, func(p *passenger) bool { return !p.gone }) {
			for _, p := range all {
				switch {
				case p.gone:
				case leads(p):
					end(p, (*Flight).HandOver)
				case p.isToLead():
					p.lead = p.follower.Lead()
				default:
					p.follower.Leave()
					p.gone = true
				}
			}
		}
		if n, bytes := f.Waiting(); n != 0 || bytes != 0 || f.Open() != 0 {
			t.Fatalf("%d wait, %d bytes, %d open", n, bytes, f.Open())
		}
	})
}

// Who waits for a call that another has begun to lead beside is told when weir ends.
func TestFlightHandedOverBesideAnother(t *testing.T) {
	var f Flights
	s := &config.Collapse{MaxBytes: 100, MaxFollowers: 10}
	now := time.Now()
	var first, otherLead Lead
	var second, third, other Follower
	join := func(l *Lead, w *Follower) Verdict { return f.Join(l, w, make(parker, 1), nil, asking("a"), s, now) }
	join(&first, &second)
	join(new(Lead), &second)
	join(new(Lead), &third)
	flight := first.Known()
	flight.Depart()
	if verdict := join(&otherLead, &other); verdict != Leads {
		t.Fatalf("joined as %d a flight that has departed", verdict)
	}
	flight.HandOver()
	f.Close()
	if a, b := second.Verdict(), third.Verdict(); a != Leads || b != Ended {
		t.Fatalf("%d and %d", a, b)
	}
}

// What is known of answers that are one client's own is forgotten.
func TestApartIsForgotten(t *testing.T) {
	var f Flights
	s := &config.Collapse{MaxBytes: 100, MaxFollowers: 10}
	now := time.Now()
	for i := range 50 {
		question, l, w := asking(fmt.Sprint(i)), &Lead{}, &Follower{}
		f.Join(l, w, make(parker, 1), nil, question, s, now)
		f.Join(new(Lead), w, make(parker, 1), nil, question, s, now)
		flight := l.Known()
		flight.Depart()
		flight.Disperse(true, now)
		w.Leave()
		now = now.Add(apartFor)
	}
	if n := len(f.apart); n > 2 {
		t.Errorf("%d are remembered", n)
	}
	f.Join(new(Lead), &Follower{}, make(parker, 1), nil, asking("b"), s, now.Add(apartFor))
	if len(f.apart) > 0 || f.careful.Load() {
		t.Errorf("when all is over %d are remembered, careful: %v", len(f.apart), f.careful.Load())
	}
}

// Whatever their hashes, those who ask the same by the same route follow each other, and
// nobody else.
func TestQuestionsOfOneHash(t *testing.T) {
	var f Flights
	s := &config.Collapse{MaxBytes: 100, MaxFollowers: 10}
	now := time.Now()
	join := func(to *Route, text string) (*Lead, *Follower, Verdict) {
		l, w := &Lead{}, &Follower{}
		verdict := f.Join(l, w, make(parker, 1), to, asking(text), s, now)
		return l, w, verdict
	}
	first, _, _ := join(nil, "z")
	first.Known() // from now on they stand alone
	lead, _, _ := join(nil, "a")
	lead.question.Path = []byte("b") // as if the two had one hash
	for to, want := range map[*Route]Verdict{nil: Leads, {}: Leads} {
		if _, _, verdict := join(to, "a"); verdict != want {
			t.Errorf("by %v: %d", to, verdict)
		}
	}
	if _, w, verdict := join(nil, "a"); verdict != Follows || !bytes.Equal(w.flight.text, asking("a").appendText(nil)) {
		t.Errorf("%d, those who ask %q", verdict, w.flight.text)
	}
}

// However calls come and go at once, each who follows is given the answer to what it
// asks, and nobody is left.
func TestFlightsAtOnce(t *testing.T) {
	var f Flights
	s := &config.Collapse{MaxBytes: 100, MaxFollowers: 4}
	var shared atomic.Int64
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			of, park := []byte{byte('a' + i%3)}, make(parker, 1)
			var l Lead
			var w Follower
			for range 3000 {
				switch f.Join(&l, &w, park, nil, asking(string(of)), s, time.Now()) {
				case Follows:
					for w.Verdict() == Follows {
						<-park
					}
					if w.Verdict() == Given && !bytes.Equal(w.Answer().From, of) {
						t.Errorf("%s was given the answer to %s", of, w.Answer().From)
					}
					w.Leave()
				case Leads:
					runtime.Gosched()
					if flight := l.Known(); flight != nil && flight.Depart() {
						shared.Add(int64(flight.Share(&Answer{From: of})))
					}
				}
				select { // a wake that came while it left
				case <-park:
				default:
				}
			}
		})
	}
	work.Wait()
	if n, bytes := f.Waiting(); n != 0 || bytes != 0 || f.Open() != 0 || shared.Load() == 0 {
		t.Errorf("%d wait, %d bytes, %d open, %d were shared", n, bytes, f.Open(), shared.Load())
	}
}

// However many there are at once, each is found.
func TestManyFlights(t *testing.T) {
	var f Flights
	s := &config.Collapse{MaxBytes: 100, MaxFollowers: 10 * leastChains}
	now := time.Now()
	var leads []*Lead
	for i := range 10 * leastChains {
		l := &Lead{}
		if verdict := f.Join(l, &Follower{}, make(parker, 1), nil, asking(fmt.Sprint(i)), s, now); verdict != Leads {
			t.Fatalf("%d joined as %d", i, verdict)
		}
		leads = append(leads, l)
	}
	if n := f.Open(); n != len(leads) {
		t.Errorf("%d are open, want %d", n, len(leads))
	}
	for i, l := range leads {
		w := &Follower{}
		verdict := f.Join(new(Lead), w, make(parker, 1), nil, asking(fmt.Sprint(i)), s, now)
		flight := l.Known()
		if verdict != Follows || w.flight != flight || !flight.Depart() {
			t.Fatalf("%d is not found", i)
		}
		if flight.Share(&Answer{}) != 1 {
			t.Fatalf("%d has other followers", i)
		}
	}
	if n := f.Open(); n != 0 {
		t.Errorf("%d are left", n)
	}
}

// A call that nobody follows allocates nothing, and of a burst of them only so many are
// kept as may be.
func TestFlightsAreUsedAgain(t *testing.T) {
	var f Flights
	s := &config.Collapse{MaxBytes: 100, MaxFollowers: 10}
	now := time.Now()
	var w Follower
	question, park := asking(strings.Repeat("a", 200)), make(parker, 1)
	join := func(l *Lead, q *Question) {
		if verdict := f.Join(l, &w, park, nil, q, s, now); verdict != Leads {
			t.Fatalf("it joins as %d", verdict)
		}
	}
	depart := func(l *Lead) {
		if flight := l.Known(); flight != nil && flight.Depart() {
			t.Fatal("it is followed")
		}
	}
	var one Lead
	for _, crowded := range []bool{false, true} {
		if n := testing.AllocsPerRun(1000, func() {
			join(&one, question)
			if crowded {
				f.mu.Lock()
				f.occupyLocked(one.question.hash) // as who asks for something else does
				f.mu.Unlock()
			}
			depart(&one)
		}); n > 0 {
			t.Errorf("crowded %v: %.1f allocations", crowded, n)
		}
	}
	all := make([]Lead, 2*mostFree)
	f.careful.Store(true)
	for i := range all {
		join(&all[i], asking(fmt.Sprint(i)))
	}
	for i := range all {
		depart(&all[i])
	}
	if n := len(f.free); n != mostFree {
		t.Errorf("%d are kept, want %d", n, mostFree)
	}
	join(&one, asking(strings.Repeat("a", longestFree+1)))
	depart(&one)
	if n := len(f.free); n != mostFree-1 {
		t.Errorf("%d are kept, want %d without that of a long question", n, mostFree-1)
	}
}
