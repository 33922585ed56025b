package config

import (
	"cmp"
	"fmt"
	"strings"
)

// A Rewrite is how the path and the host go on to the endpoint, where that is
// not as they came. The query stays.
type Rewrite struct {
	// StripPrefix takes the route's path_prefix off: /checkout/pay goes on as
	// /pay.
	StripPrefix bool `yaml:"strip_prefix"`
	// Prefix takes the place of the route's path_prefix.
	Prefix string `yaml:"prefix"`
	// Path takes the place of the whole path. Of a path_template, {name} is the
	// segment that stood there.
	Path string `yaml:"path"`
	// Host the endpoint is asked for. X-Forwarded-Host has the client's.
	Host string `yaml:"host"`
	// EndpointHost asks every endpoint for its own address: 10.0.0.7:8080. One
	// at a socket in the file system has none, and is asked for the client's.
	EndpointHost bool `yaml:"endpoint_host"`
}

// A Redirect sends the client elsewhere. What is not said stays as the client
// asked for it.
type Redirect struct {
	// Status: 301 and 308 are for ever, 302 and 307 for now; with 307 and 308
	// the method stays what it was, with 303 it becomes GET.
	Status int `yaml:"status" default:"302"`
	// Scheme to go to. If nothing else changes, a call that came by it already
	// is answered 508 and not sent around for ever.
	Scheme string `yaml:"scheme" enum:"http,https"`
	// Host to go to.
	Host string `yaml:"host"`
	// Port to go to; 0 is the client's own, or with another scheme or host the
	// usual one of the scheme.
	Port int `yaml:"port" default:"0"`
	// Path to go to, as in rewrite.path.
	Path string `yaml:"path"`
	// Prefix takes the place of the route's path_prefix.
	Prefix string `yaml:"prefix"`
	// DropQuery leaves the query out.
	DropQuery bool `yaml:"drop_query"`
}

// A Response is an answer that weir gives by itself.
type Response struct {
	// Status of the answer, from 200 to 599.
	Status int `yaml:"status" default:"200"`
	// Body of the answer, as text.
	Body string `yaml:"body"`
	// ContentType of the body.
	ContentType string `yaml:"content_type" default:"text/plain; charset=utf-8"`
}

// HeaderRules change the fields of a head, in this order: remove, set, add. What
// frames a message, belongs to a connection or says who somebody is stays weir's.
type HeaderRules struct {
	// Remove these fields.
	Remove []string `yaml:"remove"`
	// Set these fields, in the place of any of the same name.
	Set map[string]string `yaml:"set"`
	// Add these fields, beside any of the same name.
	Add map[string]string `yaml:"add"`
}

// A Share is what one function has of the calls of a route.
type Share struct {
	// Function that has it.
	Function string `yaml:"function"`
	// Weight is its share among those of the split; 0 takes no calls.
	Weight int `yaml:"weight" default:"0"`

	rewrite *Rewrite // of its own, where services declare that; nil: the route's
}

// OwnRewrite is how the calls of the share go on, where that is not as the others
// do: of the services that declare one route, one may strip what another leaves.
// ok is false if it is the route's rewrite.
func (s *Share) OwnRewrite() (rewrite *Rewrite, ok bool) { return s.rewrite, s.rewrite != nil }

// Sticky says what keeps the calls of one client with one function of a split:
// the same value leads to the same function, on every weir, and when weights
// change only as many move as must. Calls without one are split by turns.
type Sticky struct {
	// Header whose value counts.
	Header string `yaml:"header"`
	// Cookie whose value counts.
	Cookie string `yaml:"cookie"`
}

// Target is what a route does with calls, as people read it: its function, those
// of its split with their weights, where it sends clients, what it answers.
func (r *Route) Target() string {
	switch {
	case r.Redirect != nil:
		d := r.Redirect
		to := cmp.Or(d.Path, d.Prefix)
		if d.Scheme != "" || d.Host != "" {
			to = cmp.Or(d.Scheme, "(scheme)") + "://" + cmp.Or(d.Host, "(host)") + to
		}
		return fmt.Sprintf("redirect %d %s", d.Status, to)
	case r.Respond != nil:
		return fmt.Sprintf("respond %d", r.Respond.Status)
	case r.Split != nil:
		shares := make([]string, len(r.Split))
		for i, s := range r.Split {
			shares[i] = fmt.Sprintf("%s=%d", s.Function, s.Weight)
		}
		return strings.Join(shares, " ")
	}
	return r.Function
}

// Functions are those that a route leads to.
func (r *Route) Functions() (names []string) {
	if r.Function != "" {
		names = append(names, r.Function)
	}
	for _, share := range r.Split {
		names = append(names, share.Function)
	}
	return names
}
