package config

import (
	"regexp"
	"strconv"
	"time"
)

// Hedging has a call that its endpoint takes long for tried at another one beside. The
// first head of an answer counts, and the other connection is closed; an answer from
// 500 on counts only for the first of the two. Calls are hedged that are the same done
// twice and have no body: GET, HEAD, OPTIONS, and those with an Idempotency-Key; once,
// and not if they have stood in line.
type Hedging struct {
	// After is how long the endpoint takes until then: a duration, or p95 for as long
	// as 95 of 100 of the function's answers of late take less than (p50 to p99; 1 ms
	// at least; not before 200 answers).
	After string `yaml:"after" default:"p95"`
	// Budget bounds the second tries of all calls together.
	Budget HedgingBudget `yaml:"budget"`
}

// HedgingBudget is over a window of ten seconds. With both at 0 nothing is hedged.
type HedgingBudget struct {
	// Percent of the calls that may be hedged.
	Percent int `yaml:"percent" default:"5"`
	// MinPerSecond may be in any case.
	MinPerSecond int `yaml:"min_per_second" default:"1"`
}

var validShare = regexp.MustCompile(`^p([5-9][0-9])$`)

// When says what After does: a time, or the share of answers, from 0 to 1, that take
// less. Both are 0 if it says neither.
func (h *Hedging) When() (after time.Duration, share float64) {
	if m := validShare.FindStringSubmatch(h.After); m != nil {
		percent, _ := strconv.Atoi(m[1])
		return 0, float64(percent) / 100
	}
	after, err := time.ParseDuration(h.After)
	if err != nil || after <= 0 {
		return 0, 0
	}
	return after, 0
}

func (c *checker) hedging(p *path, h *Hedging, most time.Duration) {
	if h == nil {
		return
	}
	after, share := h.When()
	switch {
	case after == 0 && share == 0:
		c.fail(p.key("after"), "say after: p95, or after: 50ms", "is neither p50 to p99 nor a time over 0: %q", h.After)
	case after >= most && most > 0:
		c.fail(p.key("after"), "lower it, or raise timeouts", "%v is no less than the %v that a try has", after, most)
	}
	c.percent(p.key("budget").key("percent"), h.Budget.Percent)
}

// perTry is how long one try has; 0 if that is not said.
func perTry(t Timeouts) time.Duration {
	if t.PerTry > 0 && (t.PerTry < t.Request || t.Request == 0) {
		return t.PerTry
	}
	return t.Request
}
