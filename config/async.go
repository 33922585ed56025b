package config

import "time"

// Async bounds what is kept for clients that do not wait for their answer: calls
// under way, and answers that were not fetched. All of it is in memory, and gone
// with weir; what cannot be kept is refused.
type Async struct {
	// MaxCalls is how many calls and answers there may be at once. Beyond it 503.
	MaxCalls int `yaml:"max_calls" default:"1000"`
	// MaxBytes is how much memory they may take together. Beyond it 503, or 502
	// for an answer that there is no room for.
	MaxBytes Size `yaml:"max_bytes" default:"64MiB"`
	// MaxBody is the longest body of such a call. Beyond it 413.
	MaxBody Size `yaml:"max_body" default:"256KiB"`
	// MaxResponse is the longest body of an answer that is kept. Beyond it 502.
	MaxResponse Size `yaml:"max_response" default:"1MiB"`
	// Keep is how long an answer waits to be fetched. Once it was, it is kept for
	// a minute more at most.
	Keep time.Duration `yaml:"keep" default:"10m"`
}
