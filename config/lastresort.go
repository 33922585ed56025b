package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A LastResort has the calls that a function cannot answer: another function, or a
// fixed answer. The call has been everywhere else by then: it comes after the last
// try that retries allow. What may have been carried out is not sent to another
// function, unless its method is idempotent (RFC 9110 section 9.2.2); a fixed answer is for all
// calls but those of gRPC, which are told what is wrong.
type LastResort struct {
	// On lists what the call must have come to: circuit_open; no_endpoint (there is
	// none, or none is well, or all are drained); start_failed (or it was not over in
	// cold_start.max_wait); overloaded (no place, and none in line); connect_failure;
	// reset (the connection ended before an answer, or what came is none); timeout (of
	// a try, and for a fixed answer of the call); a status that the endpoint answered,
	// from 400 on, or 5xx for all of these. Without it all but overloaded and statuses.
	On []string `yaml:"on"`
	// Function has the call then, with its own limits, as if it had been called in
	// the first place. Its own last resort is not for such calls. The deadline stays.
	Function string `yaml:"function"`
	// Status of the fixed answer, without a function.
	Status int `yaml:"status" default:"503"`
	// Body of the fixed answer, as text.
	Body string `yaml:"body"`
}

// Text is what it does as people say it.
func (l *LastResort) Text() string {
	has := fmt.Sprintf("the answer %d", l.Status)
	if l.Function != "" {
		has = "the function " + l.Function
	}
	return has + " after " + strings.Join(l.On, ", ")
}

// Has tells whether it is for calls that have come to a reason, or, without one,
// to an answer with a status.
func (l *LastResort) Has(reason string, status int) bool {
	if reason != "" {
		return slices.Contains(l.On, reason)
	}
	for _, on := range l.On {
		if on == "5xx" && status >= 500 {
			return true
		}
		if n, err := strconv.Atoi(on); err == nil && n == status {
			return true
		}
	}
	return false
}

var (
	lastResortOn = []string{"circuit_open", "no_endpoint", "start_failed", "connect_failure", "reset", "timeout"}
	resortable   = append(slices.Clone(lastResortOn), "overloaded", "5xx")
)

func completeLastResort(l *LastResort) {
	if l != nil && l.On == nil {
		l.On = slices.Clone(lastResortOn)
	}
}

func (c *checker) lastResort(p *path, l *LastResort, function string) {
	if l == nil {
		return
	}
	if len(l.On) == 0 {
		c.fail(p.key("on"), "leave it out for "+lastResortOn[0]+" and the like", "is empty")
	}
	for i, reason := range l.On {
		n, err := strconv.Atoi(reason)
		if !slices.Contains(resortable, reason) && (err != nil || len(reason) != 3 || n < 400 || n > 599) {
			c.fail(p.key("on").item(i), didYouMean(reason, resortable),
				"must be circuit_open, no_endpoint, start_failed, overloaded, connect_failure, reset, timeout, 5xx or a status from 400 to 599, not %q", reason)
		}
	}
	c.instead(p, l.Function, l.Status, l.Body, function)
}
