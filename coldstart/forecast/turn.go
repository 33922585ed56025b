package forecast

import "time"

// What follows from the clock on the wall: windows open and close.

// turnEvery is how often the clock is read at least where there are windows, in
// case it is put right.
const turnEvery = time.Minute

// turnWindows tells the Raiser what has changed, and when to look again.
func (f *Forecaster) turnWindows() {
	now := time.Now()
	var next time.Time
	for name, s := range f.subjects {
		if n := s.schedule.At(now); n != s.floor {
			f.log.Info(map[bool]string{true: "a window opens", false: "a window closes"}[n > s.floor], "function", name, "instances", n)
			f.raiser.Floor(name, BySchedule, n)
			s.floor = n
		}
		next = earlier(next, s.schedule.Change(now))
	}
	f.turn.Stop()
	if !next.IsZero() {
		f.turn.Reset(min(max(next.Sub(now.Round(0)), time.Millisecond), turnEvery))
	}
}

// An outlook is what is expected of a function.
type outlook struct {
	schedule Schedule
	call     time.Time // when, of a prediction
}

func (f *Forecaster) outlook(function string, o outlook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o.schedule == nil && o.call.IsZero() {
		delete(f.ahead, function)
	} else {
		f.ahead[function] = o
	}
}

// foresee publishes when the next call of a function is expected.
func (f *Forecaster) foresee(s *subject, call time.Time) {
	f.outlook(s.fn.Name, outlook{s.schedule, call})
}

// Expected tells when a function is next raised for, and why: its window opens
// or a call is predicted; ok is false if neither is known.
func (f *Forecaster) Expected(function string) (at time.Time, kind string, ok bool) {
	f.mu.Lock()
	o := f.ahead[function]
	f.mu.Unlock()
	now := time.Now()
	at, kind = o.schedule.Opens(now), BySchedule
	if o.call.After(now) && earlier(at, o.call).Equal(o.call) {
		at, kind = o.call, ByHabit
	}
	return at, kind, !at.IsZero()
}
