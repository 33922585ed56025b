package bench

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// A Step is a stretch of time in which the rate goes evenly from one value to
// another, in calls a second.
type Step struct {
	From float64       `json:"from" yaml:"from"`
	To   float64       `json:"to" yaml:"to"`
	For  time.Duration `json:"for" yaml:"for"`
}

// ParseRate reads a rate as it stands on the command line: "500", "100..2000"
// for a ramp, "100,200,400" for steps of equal length; for is the length of it
// all.
func ParseRate(text string, length time.Duration) ([]Step, error) {
	var steps []Step
	parts := strings.Split(text, ",")
	for _, part := range parts {
		from, to, ramp := strings.Cut(part, "..")
		if !ramp {
			to = from
		}
		s := Step{For: length / time.Duration(len(parts))}
		var err error
		if s.From, err = parsePerSecond(from); err != nil {
			return nil, err
		}
		if s.To, err = parsePerSecond(to); err != nil {
			return nil, err
		}
		if s.From+s.To == 0 {
			return nil, fmt.Errorf("rate %q is none at all", part)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func parsePerSecond(text string) (float64, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(f >= 0 && f <= 1e7) { // NaN too
		return 0, fmt.Errorf("%q is not a rate in calls a second, such as 500, 100..2000 (a ramp) or 100,200,400 (steps)", text)
	}
	return f, nil
}

// A schedule says when calls are to be sent, whatever the target does. Each
// worker has its own: of a regular one every n-th call, of a Poisson process
// an n-th of the rate.
type schedule struct {
	steps  []Step
	stride float64    // calls of all workers between two of this one
	at     float64    // how many calls of all workers come before the next
	random *rand.Rand // nil: regular
}

func newSchedule(steps []Step, poisson bool, worker, workers int, seed uint64) *schedule {
	s := &schedule{steps: steps, stride: float64(workers), at: float64(worker)}
	if poisson {
		s.random = rand.New(rand.NewPCG(seed, uint64(worker)))
		s.at = s.random.ExpFloat64() * s.stride
	}
	return s
}

// next is when the next call is to be sent, counted from the beginning, and
// false when there is none.
func (s *schedule) next() (time.Duration, bool) {
	t, ok := reached(s.steps, s.at)
	if s.random != nil {
		// A Poisson process of a changing rate is one of rate 1 whose time has
		// been stretched (Lewis and Shedler 1979).
		s.at += s.random.ExpFloat64() * s.stride
	} else {
		s.at += s.stride
	}
	return t, ok
}

// reached is when n calls have been due.
func reached(steps []Step, n float64) (time.Duration, bool) {
	var before time.Duration
	for _, s := range steps {
		length := s.For.Seconds()
		if all := (s.From + s.To) / 2 * length; n >= all {
			n -= all
			before += s.For
			continue
		}
		t := n / s.From
		if slope := (s.To - s.From) / length; slope != 0 { // from·t + slope·t²/2 = n
			t = (math.Sqrt(s.From*s.From+2*slope*n) - s.From) / slope
		}
		return before + time.Duration(t*float64(time.Second)), true
	}
	return before, false
}

func lengthOf(steps []Step) (d time.Duration) {
	for _, s := range steps {
		d += s.For
	}
	return d
}

func checkSteps(steps []Step) error {
	for _, s := range steps {
		switch {
		case s.For <= 0:
			return errors.New("a step of the rate must last longer than nothing")
		case s.From < 0 || s.To < 0 || s.From+s.To == 0:
			return errors.New("a step of the rate must have a rate")
		}
	}
	return nil
}
