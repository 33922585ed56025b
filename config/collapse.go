package config

import (
	"slices"
	"strings"
)

// Collapse has calls that ask for the same wait for the first of them, and gives them
// a copy of its answer: of a thousand at once one goes to an endpoint, or stands in
// line. The same is a GET, or a HEAD, without a body, by the same route, with the same
// scheme, host, path, query and fields of Vary. A call with a field that is not under
// Vary, not under Ignore and not known to make no difference goes by itself: with
// Authorization, Cookie, Range, If-None-Match, Origin, Cache-Control or X-Api-Key. So
// do all of them if the answer turns out to be for one client (docs/resilience.md).
type Collapse struct {
	// Vary names fields of a request that are part of what is asked for: calls in
	// which one differs do not wait for one another. Without it accept,
	// accept-encoding and accept-language.
	Vary []string `yaml:"vary"`
	// Ignore names fields that make no difference to the answer.
	Ignore []string `yaml:"ignore"`
	// MaxBody is the longest body that is given to others.
	MaxBody Size `yaml:"max_body" default:"1MiB"`
	// MaxBytes is how much memory the bodies take at once, of the whole function.
	MaxBytes Size `yaml:"max_bytes" default:"64MiB"`
	// MaxFollowers is how many calls of the function wait so at once. One more goes by
	// itself.
	MaxFollowers int `yaml:"max_followers" default:"1000"`
}

// usualVary is what content is negotiated by, RFC 9110 section 12.5.
var usualVary = []string{"accept", "accept-encoding", "accept-language"}

// mostFields is more than anybody means.
const mostFields = 32

func (c *checker) collapse(p *path, s *Collapse) {
	if s == nil {
		return
	}
	vary, ignore := p.key("vary"), p.key("ignore")
	c.fieldNames(vary, s.Vary)
	c.fieldNames(ignore, s.Ignore)
	for i, name := range s.Ignore {
		name = strings.ToLower(name)
		switch {
		case personal(name):
			c.fail(ignore.item(i), "put it under vary, or leave it out: calls that have it go by themselves", "is %q, by which answers are one client's", name)
		case name == strings.ToLower(c.cfg.Tenants.Header):
			c.fail(ignore.item(i), "put it under vary, or leave it out: calls that have it go by themselves", "is %q, which is tenants.header: one tenant would be given the answer to another", name)
		case slices.ContainsFunc(s.Vary, func(v string) bool { return strings.EqualFold(v, name) }):
			c.fail(ignore.item(i), "", "is %q, which is under vary too", name)
		}
	}
	if s.MaxBody < 1 {
		c.fail(p.key("max_body"), "for no collapsing leave collapse out", "must be 1 at least, not %v", s.MaxBody)
	}
	if s.MaxBytes < s.MaxBody {
		c.fail(p.key("max_bytes"), "", "is less than one body may have, max_body: %v", s.MaxBody)
	}
	if s.MaxFollowers < 1 {
		c.fail(p.key("max_followers"), "for no collapsing leave collapse out", "must be 1 at least, not %d", s.MaxFollowers)
	}
}

// personal tells whether a field says who asks, or which part of the answer or under
// which condition it is wanted.
func personal(name string) bool {
	switch name {
	case "authorization", "cookie", "range":
		return true
	}
	return strings.HasPrefix(name, "if-")
}

func (c *checker) fieldNames(p *path, names []string) {
	if len(names) > mostFields {
		c.fail(p, "", "are %d names, %d at most may be", len(names), mostFields)
	}
	seen := map[string]bool{}
	for i, name := range names {
		name = strings.ToLower(name)
		switch {
		case !validField.MatchString(name):
			c.fail(p.item(i), "", "is not the name of a field: %q", name)
		case seen[name]:
			c.fail(p.item(i), "", "is %q, which is there twice", name)
		}
		seen[name] = true
	}
}
