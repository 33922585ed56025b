package coldstart

import (
	"errors"
	"math/rand/v2"
	"time"
)

// A class says what a failed start has to say about the next one.
type class int

const (
	transient class = iota // the platform could not now
	terminal               // it never will, unless something is changed
	crash                  // the instance ended before it served
	timedOut               // it was not ready in time
)

func (c class) String() string { return [...]string{"transient", "terminal", "crash", "timeout"}[c] }

// classOf tells the class of what a platform said.
func classOf(err error) class {
	switch {
	case IsTerminal(err):
		return terminal
	case errors.Is(err, ErrStartTimeout):
		return timedOut
	}
	return transient
}

const (
	firstPause = time.Second
	longPause  = time.Minute

	// startTries is how often a platform that cannot now is asked for a first
	// instance, firstBackoff apart, doubled: 0.3 s in all. What lasts longer
	// than that is told.
	startTries   = 3
	firstBackoff = 100 * time.Millisecond
)

// A door stands between the calls and a function that does not start. It
// closes after two failures in a row, or one that is terminal, for 1 s, doubled
// with each further one up to 60 s, give or take a fifth. Then one start is
// tried, when somebody asks for it: a hundred calls a second for a minute cause
// 8 requests at most, whatever fails.
type door struct {
	failures int       // requests and starts that failed in a row
	opens    time.Time // no start before this moment
}

// failed counts a failure and returns for how long the door is closed now; 0
// if it stays open.
func (d *door) failed(c class, now time.Time) time.Duration {
	d.failures++
	if c == terminal {
		d.failures = max(d.failures, 2)
	}
	pause := pauseAfter(d.failures - 2)
	d.opens = now.Add(pause)
	return pause
}

// open forgets what was.
func (d *door) open() { *d = door{} }

// state as a breaker has it: 0 closed (all is well), 1 half-open (the next
// start decides), 2 open (no start is tried).
func (d door) state(now time.Time) int {
	switch {
	case now.Before(d.opens):
		return 2
	case d.failures >= 2:
		return 1
	}
	return 0
}

// pauseAfter is 1 s, doubled n times up to 60 s; nothing if n is negative.
func pauseAfter(n int) time.Duration {
	if n < 0 {
		return 0
	}
	return jittered(min(firstPause<<min(n, 6), longPause))
}

// jittered is d give or take a fifth, so that functions which failed together
// are not tried together.
func jittered(d time.Duration) time.Duration {
	return d - d/5 + time.Duration(rand.Int64N(int64(d)*2/5+1))
}
