package consul

import (
	"slices"
	"time"
)

// A guard stands between an answer and the set: an answer that is empty is a
// fact, or a registry that has forgotten.
type guard struct {
	after time.Duration

	until   time.Time // nothing is removed before; zero: it may
	confirm bool      // the last answer would have left nobody
}

// pass returns the set that follows from what an answer names, and whether more
// stands in it than that. With doubt, what stood stays for as long as the guard
// lasts, but for what is in maintenance, which nobody forgets into.
func (g *guard) pass(standing, named []instance, seen []sighting, doubt bool, now time.Time) (set []instance, guarded bool) {
	named = stillProven(standing, named)
	if doubt && len(standing) > 0 {
		g.until = now.Add(g.after)
	}
	if now.Before(g.until) {
		g.confirm = false
		set = join(standing, named, seen)
		return set, len(set) > len(named)
	}
	waited := !g.until.IsZero() || g.confirm
	g.until, g.confirm = time.Time{}, false
	if anyProven(standing) && !anyProven(named) && !waited && !allMaintained(seen) {
		g.confirm = true
		return join(standing, named, seen), true
	}
	return named, false
}

// stillProven takes those that serve already for proven. A registry that has lost
// everything has them registered anew, before their checks have passed: until
// each had been probed nobody would serve.
func stillProven(standing, named []instance) []instance {
	named = slices.Clone(named)
	for i := range named {
		one := &named[i]
		one.Unproven = one.Unproven && !slices.ContainsFunc(standing, func(was instance) bool {
			return was.ID == one.ID && was.Addr == one.Addr && !was.Unproven
		})
	}
	return named
}

func anyProven(set []instance) bool {
	return slices.ContainsFunc(set, func(i instance) bool { return !i.Unproven })
}

// join is what is named, and what stood beside it.
func join(standing, named []instance, seen []sighting) []instance {
	set := slices.Clone(named)
	for _, was := range standing {
		same := func(id string) bool { return id == was.ID }
		if slices.ContainsFunc(named, func(i instance) bool { return same(i.ID) }) ||
			slices.ContainsFunc(seen, func(s sighting) bool { return same(s.ID) && s.maintained }) {
			continue
		}
		set = append(set, was)
	}
	slices.SortFunc(set, byID)
	return set
}

// allMaintained tells whether there are instances, and all are in maintenance:
// somebody wants it so.
func allMaintained(seen []sighting) bool {
	return len(seen) > 0 && !slices.ContainsFunc(seen, func(s sighting) bool { return !s.maintained })
}
