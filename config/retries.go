package config

import "time"

// Retries says when a call is tried once more, at another endpoint if there is
// one, and how often. Only what is safe to repeat is: what never reached an
// endpoint, and of the rest the methods that are idempotent (RFC 9110 section
// 9.2.2) and calls with an Idempotency-Key. A call is never tried again after a
// byte of its answer went to the client, nor without the whole of its body.
//
// Without this block a call is tried up to twice more after connect_failure and
// reset, at once and without a budget.
type Retries struct {
	// Attempts is how many tries may follow the first.
	Attempts int `yaml:"attempts" default:"2"`
	// RetryOn lists what a try must have come to: connect_failure (nothing was
	// sent), reset (the connection ended before an answer), a status that the
	// endpoint answered, from 400 on, or 5xx for all of these. A try that ran into
	// timeouts.per_try counts as 504. Without it connect_failure and reset.
	RetryOn []string `yaml:"retry_on"`
	// Backoff is how long to wait before.
	Backoff Backoff `yaml:"backoff"`
	// Budget bounds the further tries of all calls together: retries must not
	// bring down what is only slow.
	Budget RetryBudget `yaml:"budget"`
}

// Backoff is a wait at random between nothing and a bound that doubles with
// every try ("full jitter"), so that calls which failed together do not come
// again together. An endpoint that says Retry-After is given that time; if it is
// more than the call has, its answer is passed on.
type Backoff struct {
	// Base bounds the first wait.
	Base time.Duration `yaml:"base" default:"25ms"`
	// Max bounds every wait.
	Max time.Duration `yaml:"max" default:"250ms"`
}

// RetryBudget is over a window of ten seconds. With both at 0 nothing is tried
// again.
type RetryBudget struct {
	// Percent of the calls that may be tried again.
	Percent int `yaml:"percent" default:"20"`
	// MinPerSecond may be in any case, so that a function with few calls can
	// retry too.
	MinPerSecond int `yaml:"min_per_second" default:"10"`
}
