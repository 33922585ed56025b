package table

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// Flights are the calls of one function that others with the same question wait for.
// The zero value is ready; methods may be called from any goroutine. Nobody waits
// under its lock.
type Flights struct {
	spots   atomic.Pointer[spots]  // of those that nobody has come to follow; nil before the first
	careful atomic.Bool            // none may stand there: some are to go apart, or weir ends
	mu      sync.Mutex             // guards all below, and all of Flight, Follower and Answer that is not frozen
	open    chains                 // whom others may follow
	closed  map[*Flight]bool       // with followers, and nobody else may follow
	apart   map[question]time.Time // of which nobody waits for another before that moment
	swept   time.Time              // when what is over was taken out of apart
	free    []*Flight              // that have ended, for calls to come
	text    []byte                 // of textLocked
	waiting int                    // how many follow
	bytes   int                    // of answers
	ended   bool
}

// A Flight is a call that is followed, or that others have come close to. It ends by Share,
// Disperse or HandOver, or by Depart if nobody follows, and is another call's after that.
type Flight struct {
	Settings *config.Collapse // as they were when it began

	flights    *Flights // the same for ever
	question   question
	to         *Route
	text       []byte  // what it asks for
	next       *Flight // in its chain of those that are open
	head, tail *Follower
	kept       int // bytes of the answer so far
}

// mostFree is how many flights are kept for calls to come, and longestFree how long a
// question of theirs is at most.
const (
	mostFree    = 256
	longestFree = 4 << 10
)

// An Answer is what a Flight has brought. Frozen, but for who reads it.
type Answer struct {
	From []byte           // the request id of the call that it was for
	Head message.Response // as that call's client has it, without Added
	Body []byte

	kept    int
	readers int
}

// apartFor is how long calls do not wait for one another whose answers have turned
// out to be for one client each: to wait was for nothing. Varnish calls it hit for
// miss, and has it for two minutes.
const apartFor = 10 * time.Second

// mostApart is how many such questions are remembered.
const mostApart = 1000

// Join has a call follow the one that asks the same, or be the one that others may
// follow: with Leads l does, and q is to stay as it is until l is Known. With Follows
// the caller owes a Leave.
func (f *Flights) Join(l *Lead, w *Follower, p coldstart.Parker, to *Route, q *Question, s *config.Collapse, now time.Time) Verdict {
	l.flights, l.question, l.to, l.settings = f, q, to, s
	if l.standAlone() {
		return Leads
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	spot := f.occupyLocked(q.hash)
	defer spot.releaseLocked()
	verdict := f.joinLocked(l, w, p, now)
	if verdict != Leads {
		*l = Lead{}
	}
	return verdict
}

func (f *Flights) joinLocked(l *Lead, w *Follower, p coldstart.Parker, now time.Time) Verdict {
	if f.ended {
		return Alone
	}
	if len(f.apart) > 0 {
		f.sweepLocked(now)
		if until, known := f.apart[l.question.hash]; known && now.Before(until) {
			return Alone
		}
	}
	text := f.textLocked(l.question)
	flight := f.open.find(l.question.hash, l.to, text)
	if flight == nil {
		l.flight = f.openLocked(l, text)
		return Leads
	}
	if f.waiting >= l.settings.MaxFollowers {
		return Alone
	}
	*w = Follower{flight: flight, parker: p, prev: flight.tail}
	if flight.tail == nil {
		flight.head = w
	} else {
		flight.tail.next = w
	}
	flight.tail = w
	f.waiting++
	return Follows
}

// textLocked writes a question down, until the next one is.
func (f *Flights) textLocked(q *Question) []byte {
	if cap(f.text) > longestFree {
		f.text = nil
	}
	f.text = q.appendText(f.text[:0])
	return f.text
}

// openLocked makes a flight of a call, which others may follow.
func (f *Flights) openLocked(l *Lead, text []byte) *Flight {
	fl := f.newLocked(l, text)
	f.addLocked(fl)
	return fl
}

// addLocked lets others follow. The spot of the flight's question is occupied.
func (f *Flights) addLocked(fl *Flight) {
	f.open.add(fl)
	f.spots.Load().of(fl.question).open++
}

// sweepLocked forgets, once in a while, of whom it is over that they go apart.
func (f *Flights) sweepLocked(now time.Time) {
	if now.Sub(f.swept) < apartFor {
		return
	}
	f.swept = now
	maps.DeleteFunc(f.apart, func(_ question, until time.Time) bool { return !now.Before(until) })
	f.careful.Store(f.ended || len(f.apart) > 0)
}

func (f *Flights) newLocked(l *Lead, text []byte) *Flight {
	var fl *Flight
	if last := len(f.free) - 1; last < 0 {
		fl = &Flight{flights: f}
	} else {
		fl, f.free = f.free[last], f.free[:last]
	}
	fl.Settings, fl.question, fl.to, fl.text = l.settings, l.question.hash, l.to, append(fl.text[:0], text...)
	return fl
}

// freeLocked ends the flight, and keeps it for a call to come.
func (fl *Flight) freeLocked() {
	if fl.Settings == nil {
		panic("BUG: a flight ended twice")
	}
	f := fl.flights
	fl.forgetLocked()
	fl.Settings, fl.to = nil, nil // of a table that may go
	if len(f.free) < mostFree && cap(fl.text) <= longestFree {
		f.free = append(f.free, fl)
	}
}

// forgetLocked gives the memory of the answer back.
func (fl *Flight) forgetLocked() {
	fl.flights.bytes -= fl.kept
	fl.kept = 0
}

// closeLocked lets nobody follow any more.
func (f *Flights) closeLocked(fl *Flight) {
	delete(f.closed, fl)
	if f.open.remove(fl) {
		spot := f.spots.Load().of(fl.question)
		spot.open--
		spot.releaseLocked()
	}
}

func (f *Flights) keepClosedLocked(fl *Flight) {
	if f.closed == nil {
		f.closed = map[*Flight]bool{}
	}
	f.closed[fl] = true
}

// Depart lets nobody follow from now on, and tells whether somebody does. If nobody does
// the flight has ended.
func (fl *Flight) Depart() (followed bool) {
	f := fl.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closeLocked(fl)
	if fl.head == nil {
		fl.freeLocked()
		return false
	}
	f.keepClosedLocked(fl)
	return true
}

// Keep makes room for n further bytes of the answer, if there is some.
func (fl *Flight) Keep(n int) bool {
	f := fl.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bytes+n > int(fl.Settings.MaxBytes) {
		return false
	}
	f.bytes += n
	fl.kept += n
	return true
}

// Share gives the answer to all who wait, and tells how many those are.
func (fl *Flight) Share(a *Answer) (followers int) {
	f := fl.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closeLocked(fl)
	a.kept, fl.kept = fl.kept, 0
	for w := fl.head; w != nil; w = fl.head {
		w.answer = a
		a.readers++
		fl.tellLocked(w, Given)
	}
	followers = a.readers
	a.releaseLocked(f)
	fl.freeLocked()
	return followers
}

// Disperse has all who wait go by themselves. apart is that others need not wait for
// such an answer for a while.
func (fl *Flight) Disperse(apart bool, now time.Time) {
	f := fl.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closeLocked(fl)
	fl.tellAllLocked(Alone)
	if apart && !f.ended {
		f.sweepLocked(now)
		if len(f.apart) >= mostApart {
			clear(f.apart) // they will be found out again
		}
		if f.apart == nil {
			f.apart = map[question]time.Time{}
		}
		f.apart[fl.question] = now.Add(apartFor)
		f.careful.Store(true)
	}
	fl.freeLocked()
}

// HandOver has the first of those who wait be the one that the others wait for.
func (fl *Flight) HandOver() {
	f := fl.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.handOverLocked()
}

func (fl *Flight) handOverLocked() {
	f := fl.flights
	if fl.head == nil {
		f.closeLocked(fl)
		fl.freeLocked()
		return
	}
	fl.forgetLocked()
	fl.tellLocked(fl.head, Leads)
	delete(f.closed, fl)
	spot := f.occupyLocked(fl.question) // who stands there may ask the same
	defer spot.releaseLocked()
	switch other := f.open.find(fl.question, fl.to, fl.text); {
	case other == nil:
		f.addLocked(fl)
	case other != fl: // others follow that one
		f.keepClosedLocked(fl)
	}
}

// Close ends the waiting of all, for ever.
func (f *Flights) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	f.careful.Store(true)
	for _, fl := range f.open.all {
		for ; fl != nil; fl = fl.next {
			fl.tellAllLocked(Ended)
		}
	}
	for fl := range f.closed {
		fl.tellAllLocked(Ended)
	}
}

// Waiting tells how many calls wait for another's answer, and how many bytes of
// answers are kept for them.
func (f *Flights) Waiting() (calls, bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting, f.bytes
}

func (fl *Flight) tellAllLocked(v Verdict) {
	for fl.head != nil {
		fl.tellLocked(fl.head, v)
	}
}

// tellLocked ends a follower's waiting. It is woken under the lock, so that no wake
// comes after its Leave, when it may sleep for another reason.
func (fl *Flight) tellLocked(w *Follower, v Verdict) {
	fl.removeLocked(w)
	w.verdict = v
	w.parker.Wake()
}

func (fl *Flight) removeLocked(w *Follower) {
	if w.prev == nil {
		fl.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		fl.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	fl.flights.waiting--
}

// releaseLocked gives the memory back when nobody reads any more.
func (a *Answer) releaseLocked(f *Flights) {
	if a.readers == 0 {
		f.bytes -= a.kept
		a.kept = 0
	}
}

// Open is how many calls others may follow, or wait for.
func (f *Flights) Open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.spots.Load().alone() + f.open.len + len(f.closed)
}
