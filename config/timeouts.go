package config

import "time"

// A Deadline is the time that a caller gives its call. It can only shorten what
// timeouts.request allows. Beyond it 504.
type Deadline struct {
	// Header in which a caller says it, in milliseconds. Understood besides:
	// x-envoy-upstream-rq-timeout-ms, x-envoy-expected-rq-timeout-ms, and
	// grpc-timeout with its units.
	Header string `yaml:"header" default:"x-request-timeout-ms"`
	// Max is the most that is believed; more counts as this much. 0 is no
	// bound.
	Max time.Duration `yaml:"max" default:"0s"`
	// Propagate tells the endpoint, in X-Request-Timeout-Ms, how much time is
	// left when the call is sent, so that it can give up when nobody waits any
	// more.
	Propagate bool `yaml:"propagate" default:"true"`
}

// Timeouts are lengths of time; each becomes a deadline when it meets a call.
type Timeouts struct {
	// Connect is how long one connection to an endpoint may take to stand.
	Connect time.Duration `yaml:"connect" default:"1s"`
	// Request is the whole call, holding and further tries included, until
	// the head of the answer. Beyond it 504. Bodies may flow for longer as long
	// as they make progress: an upload is answered within this time after its
	// last byte, unless the caller gave a deadline of its own.
	Request time.Duration `yaml:"request" default:"15s"`
	// PerTry is how long one try may take until the head of the answer. Beyond it
	// the connection is closed, and 504 if the call is not tried again. 0 is for as
	// long as the call has.
	PerTry time.Duration `yaml:"per_try" default:"0s"`
	// Idle is how long a connection may stand unused: towards clients the
	// keep-alive wait, towards endpoints the life of a pooled connection.
	Idle time.Duration `yaml:"idle" default:"60s"`
	// StreamIdle is how long an answer that has begun may pause, and how long a
	// tunnel may carry nothing in either direction. It is about progress, not
	// age: an event stream that says something once in a while lives on. 0 is
	// for ever.
	StreamIdle time.Duration `yaml:"stream_idle" default:"1h"`
}
