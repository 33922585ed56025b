package forecast

import "time"

// What follows from a visit: something is learned, and the next is expected.

// century is a gap that says that nobody was there before.
const century = 100 * 365 * 24 * time.Hour

// worth is how many times as long as a start an absence has to be. An instance
// that starts keeps the machine busy, one that waits does not: stopping what is
// called every minute to start it again costs more than it saves. At 20, starts
// take 5 % of the time at most.
const worth = 20

func (f *Forecaster) visited(v Visit) {
	f.chains.Visit(v.Function, v.At, v.Trace)
	s := f.subjects[v.Function]
	if s == nil {
		return
	}
	f.fulfilled(s, v.At)
	if s.habit != nil {
		if v.Gap < century {
			s.habit.Learn(v.Gap)
		}
		f.replan(s)
	}
	f.follow(s, v.At)
}

// fulfilled closes the prediction that was open, if one was: somebody came.
func (f *Forecaster) fulfilled(s *subject, at time.Time) {
	s.stop()
	if e := s.expected; e != nil {
		f.close(s, !at.After(e.until))
	}
}

// close ends a prediction.
func (f *Forecaster) close(s *subject, hit bool) {
	e := s.expected
	s.expected = nil
	if e.kind != ByHabit {
		return // a chain is judged by how often it is followed
	}
	before := s.record.Trusted()
	s.record.Judge(hit)
	if now := s.record.Trusted(); now != before {
		f.log.Info(map[bool]string{true: "predictions are acted on again", false: "predictions are no longer acted on"}[now],
			"function", s.fn.Name, "hit_rate", s.record.Rate())
	}
}

// replan decides what to do after the visit that has begun.
func (f *Forecaster) replan(s *subject) {
	c := &s.fn.ColdStart
	sight, _ := f.look(s.fn.Name)
	s.plan = s.habit.Plan(c.IdleAfter, max(c.MinUp, c.VisitGap(), worth*sight.Start))
	switch {
	case s.plan.Basis == Fixed, s.plan.To > 0 && (f.most == 0 || !s.record.Trusted()):
		f.keep(s, 0)
	default:
		f.keep(s, s.plan.Keep)
	}
	f.foresee(s, time.Time{})
	if s.plan.To > 0 {
		f.watch(s)
	}
}

// watch looks for the moment to raise the function ahead of its next visit. It
// is counted from the end of this one, which may last.
func (f *Forecaster) watch(s *subject) {
	sight, there := f.look(s.fn.Name)
	if !there {
		return
	}
	now := time.Now()
	last := sight.Last
	if sight.Inside > 0 {
		last = now
	}
	due := last.Add(s.plan.From - sight.Start)
	f.foresee(s, last.Add(s.plan.From))
	switch until := last.Add(s.plan.To); {
	case now.Before(due):
		f.after(s, &s.watching, due.Sub(now), func() { f.watch(s) })
	case now.Before(until):
		f.predict(s, until, sight)
	}
}

// predict opens a prediction. If it is not acted on, it is judged all the same.
func (f *Forecaster) predict(s *subject, until time.Time, sight Sight) {
	if f.expect(s, ByHabit, until, sight, s.record.Trusted()) {
		f.log.Info("a call is expected", "function", s.fn.Name, "after", string(s.plan.Basis),
			"in_ms", (s.plan.From - time.Since(sight.Last)).Milliseconds(), "until_ms", time.Until(until).Milliseconds())
	}
}

// expect opens a prediction or prolongs the one that is open, and has the
// function raised if that is to be acted on and there is room for it. It tells
// whether it was.
func (f *Forecaster) expect(s *subject, kind string, until time.Time, sight Sight, act bool) bool {
	e := s.expected
	if e == nil {
		e = &prediction{kind: kind}
		s.expected = e
		f.after(s, &s.closing, time.Until(until), func() { f.over(s, e) })
	}
	if until.After(e.until) {
		e.until = until
	}
	need := max(s.fn.ColdStart.ActivationScale, 1)
	switch {
	case !act || f.most == 0:
		return false
	case sight.Up || e.instances > 0: // costs nothing more
	case f.standing()+need > f.most:
		f.log.Debug("no room for a prediction", "function", s.fn.Name, "kind", kind)
		return false
	default:
		e.instances = need
	}
	f.raiser.Prewarm(s.fn.Name, kind, until)
	return true
}

// over closes a prediction that did not come true.
func (f *Forecaster) over(s *subject, e *prediction) {
	switch left := time.Until(e.until); {
	case s.expected != e:
	case left > 0:
		f.after(s, &s.closing, left, func() { f.over(s, e) })
	default:
		f.close(s, false)
		f.foresee(s, time.Time{})
		if !s.record.Trusted() {
			f.keep(s, 0)
		}
	}
}

// standing is how many instances are up on predictions that are open. There are
// few: at most as many as it is compared with.
func (f *Forecaster) standing() (sum int) {
	for _, s := range f.subjects {
		if s.expected != nil {
			sum += s.expected.instances
		}
	}
	return sum
}
