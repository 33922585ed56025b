package config

import "time"

// WhileCold says what callers get while no instance of a function is up, other
// than to be held. A route's own takes the place of its function's, as a whole:
// an empty one is nothing of this.
type WhileCold struct {
	// WakeFilter lists calls that do not start the function: those of monitors,
	// of crawlers. While it is down they are answered at once. While it is up
	// they are calls like any other, save that they do not keep it up. The first
	// rule that a call meets counts.
	WakeFilter []WakeRule `yaml:"wake_filter"`
	// WaitingPage shows people in browsers that the function is starting, and
	// brings them its answer when it has. Given as {} it is there; only GETs by
	// which a browser goes to a page get it.
	WaitingPage *WaitingPage `yaml:"waiting_page"`
	// Fallback has the calls that have been held for too long, and those that the
	// line or a failed start turns away.
	Fallback *Fallback `yaml:"fallback"`
}

// A Fallback is another function, or a fixed answer. The start goes on
// meanwhile. Only calls fall back that have not been at an endpoint.
type Fallback struct {
	// After is how long a call is held for its own function before.
	After time.Duration `yaml:"after" default:"2s"`
	// Function has the call then, with its own limits, as if it had been called
	// in the first place. What it says under while_cold is not for such calls.
	Function string `yaml:"function"`
	// Status of the fixed answer, without a function.
	Status int `yaml:"status" default:"503"`
	// Body of the fixed answer, as text.
	Body string `yaml:"body"`
}

// A WaitingPage is answered with 503, and needs no scripts. With scripts it
// hears of the start at /.weir/wait/<function> on the same host.
type WaitingPage struct {
	// After is how long the call is held before: a start that is over by then
	// shows its answer, and no page.
	After time.Duration `yaml:"after" default:"1s"`
}

// A WakeRule describes calls, and their answer while the function is down. A
// call meets it if it meets all that is given, and at least one thing is.
type WakeRule struct {
	// Methods are those of the calls; none is all.
	Methods []string `yaml:"methods"`
	// PathPrefix by whole segments, of the path as it is matched; none is all.
	PathPrefix string `yaml:"path_prefix"`
	// UserAgents are patterns, one of which the field User-Agent meets: * is any
	// text, case makes no difference. None is all; "" is a call without one.
	UserAgents []string `yaml:"user_agents"`
	// Headers are patterns for fields by name, all of which the call has.
	Headers map[string]string `yaml:"headers"`
	// Status of the answer: 200 for a monitor that is to be content, 503 for one
	// that is to know.
	Status int `yaml:"status" default:"503"`
	// Body of the answer, as text. With a status of 503 and none it is the
	// problem "dormant".
	Body string `yaml:"body"`
}
