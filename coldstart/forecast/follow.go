package forecast

import "time"

// What follows from what is called before: a chain is raised side by side.

const (
	// A chain is raised over as many links from the one that is called.
	longestChain = 4

	// How long who is expected to follow may take, starts aside. It is more
	// than the time within which a chain is learned, so that one slow call does
	// not cost the start.
	followsBy = 30 * time.Second
)

// follow raises those that follow the function which is visited, as declared
// and as learned, and their followers.
func (f *Forecaster) follow(s *subject, at time.Time) {
	f.raiseChain(s, at, f.startOf(s), map[*subject]bool{s: true})
	if len(s.fn.ColdStart.Chain) > 0 {
		f.after(s, &s.chaining, follows, func() { f.followOn(s) })
	}
}

func (f *Forecaster) raiseChain(s *subject, at time.Time, starts time.Duration, seen map[*subject]bool) {
	if len(seen) > longestChain {
		return
	}
	for _, name := range f.followers(s) {
		next := f.subjects[name]
		if next == nil || seen[next] {
			continue
		}
		sight, there := f.look(name)
		if !there {
			continue
		}
		seen[next] = true
		took := starts + f.startOf(next)
		f.raiseLink(s, next, at.Add(took+followsBy), sight)
		f.raiseChain(next, at, took, seen)
	}
}

// raiseLink raises one that is expected to follow. Where it is up, it is kept up.
func (f *Forecaster) raiseLink(s, next *subject, until time.Time, sight Sight) {
	if sight.Up && next.expected == nil {
		if f.most > 0 {
			f.raiser.Prewarm(next.fn.Name, ByChain, until)
		}
		return
	}
	if f.expect(next, ByChain, until, sight, true) {
		f.log.Info("a call is expected", "function", next.fn.Name, "after", s.fn.Name, "until_ms", time.Until(until).Milliseconds())
	}
}

// followers are those that the function is known to call: what the operator
// says, and what has been seen of those that may be predicted.
func (f *Forecaster) followers(s *subject) []string {
	names := s.fn.ColdStart.Chain
	for _, name := range f.chains.After(s.fn.Name) {
		if next := f.subjects[name]; next != nil && next.habit != nil {
			names = append(names[:len(names):len(names)], name)
		}
	}
	return names
}

// startOf is how long the function may take to be up from now on.
func (f *Forecaster) startOf(s *subject) time.Duration {
	switch sight, there := f.look(s.fn.Name); {
	case !there || sight.Up:
		return 0
	case sight.Start > 0:
		return sight.Start
	}
	return s.fn.ColdStart.StartTimeout
}

// followOn keeps a declared chain up while a visit lasts: it has one begin, and
// many calls.
func (f *Forecaster) followOn(s *subject) {
	now := time.Now()
	if sight, there := f.look(s.fn.Name); !there || sight.Inside == 0 && now.Sub(sight.Last) > follows {
		return
	}
	f.raiseChain(s, now, f.startOf(s), map[*subject]bool{s: true})
	f.after(s, &s.chaining, follows, func() { f.followOn(s) })
}
