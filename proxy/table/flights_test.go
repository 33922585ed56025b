package table

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// A passenger is a call that has joined, as the model sees it.
type passenger struct {
	follower Follower
	parker   parker
	flight   *Flight // that it leads
	of       string  // what it asks
	gone     bool
}

// leads tells whether it is whom others wait for, or is to be.
func (p *passenger) leads(flight *Flight) bool {
	return !p.gone && (p.flight == flight || p.flight == nil && p.follower.flight == flight && p.follower.Verdict() == Leads)
}

// Whatever order things come in: of all who ask the same, one leads whom the others can
// follow; each who follows is told once what comes of it, and woken for it; and no call
// and no byte is left over.
func TestFlightsAsTheModel(t *testing.T) {
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
		leads := func(p *passenger) bool { return p.flight != nil }
		lands := func(p *passenger) { p.flight, p.gone = nil, true }
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				p := &passenger{parker: make(parker, 1), of: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "question")}
				waiting, _ := f.Waiting()
				flight, verdict := f.Join(&p.follower, p.parker, nil, []byte(p.of), s, now)
				at := f.open.find(questionOf([]byte(p.of)), nil, []byte(p.of))
				open := at != nil && slices.ContainsFunc(all, func(o *passenger) bool { return o.leads(at) })
				apart := now.Before(f.apart[questionOf([]byte(p.of))])
				want := Follows
				switch {
				case f.ended, apart, open && waiting >= s.MaxFollowers:
					want = Alone
				case !open:
					want = Leads
				}
				if verdict != want {
					t.Fatalf("joined as %d, want %d", verdict, want)
				}
				switch verdict {
				case Leads:
					p.flight = flight
				case Alone:
					p.gone = true
				}
				all = append(all, p)
			},
			"depart": func(t *rapid.T) {
				if p := pick(t, "leads", leads); !p.flight.Depart() {
					lands(p)
				}
			},
			"keep": func(t *rapid.T) { pick(t, "leads", leads).flight.Keep(rapid.IntRange(0, 60).Draw(t, "bytes")) },
			"share": func(t *rapid.T) {
				p := pick(t, "leads", leads)
				p.flight.Share(&Answer{From: []byte(p.of)})
				lands(p)
			},
			"disperse": func(t *rapid.T) {
				p := pick(t, "leads", leads)
				p.flight.Disperse(rapid.Bool().Draw(t, "apart"), now)
				lands(p)
			},
			"hand over": func(t *rapid.T) {
				p := pick(t, "leads", leads)
				p.flight.HandOver()
				lands(p)
			},
			"leave": func(t *rapid.T) {
				p := pick(t, "follows", func(p *passenger) bool { return p.flight == nil })
				p.follower.Leave()
				p.gone = true
			},
			"look": func(t *rapid.T) {
				p := pick(t, "follows", func(p *passenger) bool { return p.flight == nil })
				switch verdict := p.follower.Verdict(); {
				case verdict == Follows:
				case len(p.parker) == 0:
					t.Fatal("nobody has woken it")
				case verdict == Leads:
					p.flight = p.follower.Lead()
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
					if p.gone || p.flight != nil || p.follower.Verdict() != Follows {
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
				case p.flight != nil:
					p.flight.HandOver()
					lands(p)
				case p.follower.Verdict() == Leads:
					p.flight = p.follower.Lead()
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
	var second, third, other Follower
	first, _ := f.Join(&second, make(parker, 1), nil, []byte("a"), s, now)
	f.Join(&second, make(parker, 1), nil, []byte("a"), s, now)
	f.Join(&third, make(parker, 1), nil, []byte("a"), s, now)
	first.Depart()
	if _, verdict := f.Join(&other, make(parker, 1), nil, []byte("a"), s, now); verdict != Leads {
		t.Fatalf("joined as %d a flight that has departed", verdict)
	}
	first.HandOver()
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
		question, w := fmt.Append(nil, i), &Follower{}
		flight, _ := f.Join(w, make(parker, 1), nil, question, s, now)
		f.Join(w, make(parker, 1), nil, question, s, now)
		flight.Depart()
		flight.Disperse(true, now)
		w.Leave()
		now = now.Add(apartFor)
	}
	if n := len(f.apart); n > 2 {
		t.Errorf("%d are remembered", n)
	}
}

// Whatever their hashes, those who ask the same by the same route follow each other, and
// nobody else.
func TestQuestionsOfOneHash(t *testing.T) {
	var f Flights
	s := &config.Collapse{MaxBytes: 100, MaxFollowers: 10}
	now := time.Now()
	join := func(to *Route, text string) (*Flight, Verdict) {
		return f.Join(&Follower{}, make(parker, 1), to, []byte(text), s, now)
	}
	flight, _ := join(nil, "a")
	flight.text = []byte("b") // as if the two had one hash
	for to, want := range map[*Route]Verdict{nil: Leads, {}: Leads} {
		if _, verdict := join(to, "a"); verdict != want {
			t.Errorf("by %v: %d", to, verdict)
		}
	}
	if flight, verdict := join(nil, "a"); verdict != Follows || string(flight.text) != "a" {
		t.Errorf("%d, those who ask %q", verdict, flight.text)
	}
}

// However many there are at once, each is found.
func TestManyFlights(t *testing.T) {
	var f Flights
	s := &config.Collapse{MaxBytes: 100, MaxFollowers: 10 * leastChains}
	now := time.Now()
	var flights []*Flight
	for i := range 10 * leastChains {
		flight, verdict := f.Join(&Follower{}, make(parker, 1), nil, fmt.Append(nil, i), s, now)
		if verdict != Leads {
			t.Fatalf("%d joined as %d", i, verdict)
		}
		flights = append(flights, flight)
	}
	for i, want := range flights {
		flight, verdict := f.Join(&Follower{}, make(parker, 1), nil, fmt.Append(nil, i), s, now)
		if flight != want || verdict != Follows || !flight.Depart() {
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
	question, park := bytes.Repeat([]byte("a"), 200), make(parker, 1)
	one := func() {
		if flight, verdict := f.Join(&w, park, nil, question, s, now); verdict != Leads || flight.Depart() {
			t.Fatal("it is followed")
		}
	}
	if n := testing.AllocsPerRun(1000, one); n > 0 {
		t.Errorf("%.1f allocations", n)
	}
	var all []*Flight
	for i := range 2 * mostFree {
		flight, _ := f.Join(&w, park, nil, fmt.Append(nil, i), s, now)
		all = append(all, flight)
	}
	for _, flight := range all {
		flight.Depart()
	}
	if n := len(f.free); n != mostFree {
		t.Errorf("%d are kept, want %d", n, mostFree)
	}
	flight, _ := f.Join(&w, park, nil, bytes.Repeat([]byte("a"), longestFree+1), s, now)
	flight.Depart()
	if n := len(f.free); n != mostFree-1 {
		t.Errorf("%d are kept, want %d without that of a long question", n, mostFree-1)
	}
}

// Two calls ask the same if and only if they have the same values of what counts.
func TestSamenessIsThatOfValues(t *testing.T) {
	s := newSameness(&config.Function{
		Deadline: config.Deadline{Header: "X-My-Deadline"},
		Collapse: &config.Collapse{Vary: []string{"Accept", "x-a"}, Ignore: []string{"x-free"}},
	})
	names := []string{"accept", "ACCEPT", "x-a", "X-A", "User-Agent", "sec-ch-ua", "X-Free", "x-my-deadline"}
	type asked struct {
		fields []message.Field
		values [2][]string
	}
	rapid.Check(t, func(t *rapid.T) {
		draw := func() (a asked) {
			for range rapid.IntRange(0, 6).Draw(t, "fields") {
				name, value := rapid.SampledFrom(names).Draw(t, "name"), rapid.SampledFrom([]string{"", "x", "xx", "\x01x", strings.Repeat("y", 300)}).Draw(t, "value")
				dropped := rapid.IntRange(0, 4).Draw(t, "dropped") == 0
				f := message.Field{Name: []byte(name), Value: []byte(value), ID: message.Lookup([]byte(name)), Drop: dropped}
				if early := rapid.Bool().Draw(t, "read before names had numbers"); !early {
					f.Number = message.NumberOf(f.Name)
				}
				a.fields = append(a.fields, f)
				for i, counts := range []string{"accept", "x-a"} {
					if !dropped && strings.EqualFold(name, counts) {
						a.values[i] = append(a.values[i], value)
					}
				}
			}
			return a
		}
		a, b := draw(), draw()
		one, ok1 := s.AppendFields(nil, a.fields)
		two, ok2 := s.AppendFields(nil, b.fields)
		same := fmt.Sprintf("%q", a.values) == fmt.Sprintf("%q", b.values)
		if !ok1 || !ok2 || bytes.Equal(one, two) != same {
			t.Fatalf("%q and %q: %v, want %v", a.values, b.values, bytes.Equal(one, two), same)
		}
		stranger := message.Field{Name: []byte(rapid.SampledFrom([]string{"Cookie", "Content-Type", "X-Forwarded-Of", "x", "sec-", "x-a-", strings.Repeat("x-a", 30)}).Draw(t, "stranger"))}
		stranger.ID = message.Lookup(stranger.Name)
		if _, ok := s.AppendFields(nil, append(a.fields, stranger)); ok {
			t.Fatalf("%s makes no difference", stranger.Name)
		}
	})
}
