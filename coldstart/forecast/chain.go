package forecast

import (
	"slices"
	"time"
)

const (
	// A function that is called within this time of another may follow it
	// (C33).
	follows = 5 * time.Second

	// It does if it has on 60 % of at least 20 occasions.
	surely    = .6
	occasions = 20

	// At twice this many visits of a function, they and what followed count
	// half, so that a chain which is no more is forgotten.
	recentVisits = 100

	// Bounds of the memory: functions that are learned about, those that may
	// follow one, and visits within the last follows. What is over is not
	// learned.
	maxFirsts    = 4096
	maxFollowers = 16
	maxLately    = 256
)

// A Trace tells calls apart that were caused by different ones: the trace-id of
// a traceparent. The zero value is not known.
type Trace [16]byte

// Chains learn which function follows which. They are not safe for concurrent
// use.
type Chains struct {
	firsts map[string]*first
	lately []visit // in the order of time
}

// A first is what may be followed.
type first struct {
	visits    int
	followers map[string]int // on how many visits each has followed
}

type visit struct {
	function string
	at       time.Time
	trace    Trace
	followed []string
}

// NewChains makes Chains that know nothing.
func NewChains() *Chains { return &Chains{firsts: map[string]*first{}} }

// Visit learns that a visit of a function has begun. It has followed all that
// were visited just before, unless both are known to belong to different
// traces.
func (c *Chains) Visit(function string, at time.Time, trace Trace) {
	old := 0
	for old < len(c.lately) && at.Sub(c.lately[old].at) > follows {
		old++
	}
	c.lately = slices.Delete(c.lately, 0, old)
	for i := range c.lately {
		c.follow(&c.lately[i], function, trace)
	}
	if c.began(function) && len(c.lately) < maxLately {
		c.lately = append(c.lately, visit{function: function, at: at, trace: trace})
	}
}

// follow counts that a visit was followed, once for each that follows.
func (c *Chains) follow(v *visit, by string, trace Trace) {
	f := c.firsts[v.function]
	known := v.trace != Trace{} && trace != Trace{}
	if f == nil || v.function == by || known && v.trace != trace || slices.Contains(v.followed, by) {
		return
	}
	if _, seen := f.followers[by]; !seen && len(f.followers) >= maxFollowers {
		return
	}
	f.followers[by]++
	v.followed = append(v.followed, by)
}

// began counts a visit of a function that may be followed.
func (c *Chains) began(function string) bool {
	f := c.firsts[function]
	if f == nil {
		if len(c.firsts) >= maxFirsts {
			return false
		}
		f = &first{followers: map[string]int{}}
		c.firsts[function] = f
	}
	f.visits++
	if f.visits >= 2*recentVisits {
		f.visits /= 2
		for name, n := range f.followers {
			if n /= 2; n == 0 {
				delete(f.followers, name)
			} else {
				f.followers[name] = n
			}
		}
	}
	return true
}

// After returns those that follow a function, as far as it has been learned, in
// the order of their names. The visit that has just begun does not count: what
// follows it is not there yet.
func (c *Chains) After(function string) (names []string) {
	f := c.firsts[function]
	if f == nil || f.visits-1 < occasions {
		return nil
	}
	for name, n := range f.followers {
		if float64(n) >= surely*float64(f.visits-1) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Forget lets go of what no longer exists.
func (c *Chains) Forget(exists func(function string) bool) {
	for name, f := range c.firsts {
		if !exists(name) {
			delete(c.firsts, name)
			continue
		}
		for follower := range f.followers {
			if !exists(follower) {
				delete(f.followers, follower)
			}
		}
	}
}
