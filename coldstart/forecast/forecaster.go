package forecast

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/config"
)

// The triggers of starts ahead of a call, as they stand in logs and metrics.
const (
	BySchedule = "schedule"
	ByHabit    = "predict"
	ByChain    = "chain"
)

// A Raiser is what the Forecaster may do: coldstart.Activator. Its methods do
// not block, and do nothing for a function that cannot be raised.
type Raiser interface {
	// Prewarm raises a function, and keeps it up until somebody has called, but
	// not beyond a moment.
	Prewarm(function, trigger string, until time.Time)
	// Floor has at least n instances run from now on.
	Floor(function, trigger string, n int)
	// Keep has a function stay up for d after its last call.
	Keep(function string, d time.Duration)
	// KeepUsual has it stay up for idle_after.
	KeepUsual(function string)
}

// A Sight is what there is to see of a function at one moment.
type Sight struct {
	Inside int           // calls
	Last   time.Time     // the last of them left
	Up     bool          // an instance serves
	Start  time.Duration // that a start usually takes; 0 if nobody knows
}

// A Visit is the first call of a function after nobody has been inside for its
// VisitGap.
type Visit struct {
	Function string
	At       time.Time
	Gap      time.Duration // that nobody has been inside; over a century if nobody ever was
	Trace    Trace
}

// A Forecaster has functions raised before they are called. One goroutine,
// Run's, does it all; what is exported may be called from anywhere.
//
// Every router looks ahead for the calls that reach it. Of a function that one of them
// holds (cold_start.placement: one_router) only the holder does: it sees all calls but
// those that an instance elsewhere has, and the Raiser of another router does nothing.
// To raise there and not hand the calls over would leave to chance who finds it up: of
// a function called every 10 minutes through three routers in turn, simulated for 100
// hours (2026-11-26), 67 % were cold then. TestOneHolderIsWarmer has what it is now.
type Forecaster struct {
	raiser Raiser
	look   func(function string) (Sight, bool)
	log    *slog.Logger

	told  atomic.Pointer[config.Config] // by Configure, last
	bell  chan struct{}                 // capacity one: the inbox is not empty
	mu    sync.Mutex                    // guards all below
	inbox []func()
	ahead map[string]outlook // of functions that something is expected of

	// Run's own.
	cfg      *config.Config // that was taken over last; nil at first
	subjects map[string]*subject
	chains   *Chains
	most     int // instances that may be up on a prediction
	turn     *time.Timer
}

// A subject is a function as the Forecaster knows it.
type subject struct {
	fn       config.Function
	schedule Schedule
	floor    int    // that the Raiser was told of
	habit    *Habit // nil: nothing is learned, nothing is predicted
	record   Record
	keep     time.Duration // that the Raiser was told of; 0 is the usual
	plan     Plan          // since the last visit
	expected *prediction   // nil: none is open
	visits   int           // counts them; timers of an earlier one are void
	watching *time.Timer   // for the moment to raise it, or nil
	closing  *time.Timer   // for the end of expected, or nil
	chaining *time.Timer   // to look whether the visit goes on, or nil
}

// A prediction is open from the moment it is made until somebody comes or its
// time is over.
type prediction struct {
	kind      string
	until     time.Time
	instances int // that are up because of it
}

// mostEvents may wait for Run: visits beyond are not learned of. It is a
// second's worth of 5,000 functions that wake at once.
const mostEvents = 5000

// New makes a Forecaster that looks at functions through look, which does not
// block and knows nothing of a function that is not there. Nothing happens
// before Run.
func New(raiser Raiser, look func(function string) (Sight, bool), log *slog.Logger) *Forecaster {
	turn := time.NewTimer(0)
	turn.Stop()
	return &Forecaster{
		raiser: raiser, look: look, log: log,
		bell:  make(chan struct{}, 1),
		ahead: map[string]outlook{}, subjects: map[string]*subject{}, chains: NewChains(), turn: turn,
	}
}

// Run looks ahead until ctx ends.
func (f *Forecaster) Run(ctx context.Context) error {
	defer f.turn.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.bell:
			for _, event := range f.takeInbox() {
				event()
			}
		case <-f.turn.C:
			f.turnWindows()
		}
	}
}

// Visited hears that a visit has begun.
func (f *Forecaster) Visited(v Visit) {
	f.mu.Lock()
	full := len(f.inbox) >= mostEvents
	f.mu.Unlock()
	if !full {
		f.post(func() { f.visited(v) })
	}
}

// Configure takes over a configuration. What was learned stays, as long as it
// was learned of the same range.
func (f *Forecaster) Configure(cfg *config.Config) {
	if before := f.told.Swap(cfg); before == nil || !sameColdStarts(before, cfg) {
		f.post(func() { f.configure(cfg) })
	}
}

// sameColdStarts tells whether a Forecaster would notice nothing of a change from one
// configuration to another; false also if that would take long to find out.
func sameColdStarts(a, b *config.Config) bool {
	changed, few := b.ChangedSince(a)
	if !few || a.ColdStart.MaxPrewarmed != b.ColdStart.MaxPrewarmed {
		return false
	}
	for _, name := range changed {
		if !reflect.DeepEqual(a.Functions[name].ColdStart, b.Functions[name].ColdStart) {
			return false
		}
	}
	return true
}

func (f *Forecaster) configure(cfg *config.Config) {
	f.most = cfg.ColdStart.MaxPrewarmed
	changed, few := cfg.ChangedSince(f.cfg)
	if f.cfg = cfg; few {
		for _, name := range changed {
			f.settle(f.subjects[name], *cfg.Functions[name])
		}
		f.turnWindows()
		return
	}
	was := f.subjects
	f.subjects = make(map[string]*subject, len(cfg.Functions))
	for name, fn := range cfg.Functions {
		s := was[name]
		delete(was, name)
		if s == nil {
			s = &subject{}
		}
		f.settle(s, *fn)
		f.subjects[name] = s
	}
	for name, s := range was {
		s.stop()
		f.raiser.Floor(name, BySchedule, 0)
		f.raiser.KeepUsual(name)
		f.outlook(name, outlook{})
	}
	f.chains.Forget(func(name string) bool { return f.subjects[name] != nil })
	f.turnWindows()
}

// settle gives a subject the configuration of its function.
func (f *Forecaster) settle(s *subject, fn config.Function) {
	reach := s.fn.ColdStart.PredictRange
	s.fn = fn
	var err error
	if s.schedule, err = NewSchedule(fn.ColdStart.Schedule); err != nil {
		panic("BUG: the configuration was not checked: " + err.Error())
	}
	switch {
	case !predictable(fn):
		s.habit, s.record, s.plan = nil, Record{}, Plan{}
		f.keep(s, 0)
	case s.habit == nil || reach != fn.ColdStart.PredictRange:
		s.habit, s.record, s.plan = NewHabit(fn.ColdStart.PredictRange, fn.ColdStart.VisitGap()), Record{}, Plan{}
		f.keep(s, 0)
	}
	f.foresee(s, time.Time{})
}

// predictable tells whether there is anything to predict: a function that is
// never put back needs no forecast.
func predictable(fn config.Function) bool {
	c := fn.ColdStart
	return c.Predict == "histogram" && c.Scaler != "" && c.IdleAfter > 0 && c.MinScale == 0
}

// keep tells the Raiser how long the function stays up; 0 is as usual.
func (f *Forecaster) keep(s *subject, d time.Duration) {
	switch {
	case d == s.keep:
		return
	case d == 0:
		f.raiser.KeepUsual(s.fn.Name)
	default:
		f.raiser.Keep(s.fn.Name, d)
	}
	s.keep = d
}

// stop voids the timers of the last visit.
func (s *subject) stop() {
	s.visits++ // for those that have fired already
	for _, t := range []*time.Timer{s.watching, s.closing, s.chaining} {
		if t != nil {
			t.Stop()
		}
	}
}

// after has a function called in d, unless the subject has been visited by then
// or the same timer is set anew.
func (f *Forecaster) after(s *subject, timer **time.Timer, d time.Duration, call func()) {
	if *timer != nil {
		(*timer).Stop()
	}
	visits := s.visits
	*timer = time.AfterFunc(d, func() {
		f.post(func() {
			if s.visits == visits {
				call()
			}
		})
	})
}

// post puts an event into the inbox.
func (f *Forecaster) post(event func()) {
	f.mu.Lock()
	f.inbox = append(f.inbox, event)
	f.mu.Unlock()
	select {
	case f.bell <- struct{}{}:
	default: // it rings already
	}
}

func (f *Forecaster) takeInbox() []func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	events := f.inbox
	f.inbox = nil
	return events
}
