package table

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// An Explanation says which route a request takes, and why.
type Explanation struct {
	Route  *Route   // nil: none
	Why    []string // what of the request fits which rule of it
	Passed []Passed // routes for the host and path that go before it, and do not match
	Later  []*Route // routes that would have taken the request had it not been for this one
	Allow  string   // if there is no route: the methods there is one for, as Allow has them
}

// Passed is a route that was passed over, and what it asks for in vain.
type Passed struct {
	Route *Route
	Why   string
}

// Explain is Match, told slowly: it holds the request against every route, in
// the order that docs/routing.md describes. Nothing is settled by it, and it
// may be called beside calls.
func (t *Table) Explain(r *message.Request) Explanation { return t.routes.explain(r, t.Config.Routes) }

// Explain tells which route a configuration has for a request, without a table
// that carries calls. The functions of its routes have no State.
func Explain(cfg *config.Config, r *message.Request) Explanation {
	functions := make(map[string]*Function, len(cfg.Functions))
	for name, fn := range cfg.Functions {
		functions[name] = &Function{Function: *fn}
	}
	routes, _ := buildRouter(cfg, functions)
	return routes.explain(r, cfg.Routes)
}

// A candidate is a route that is for the host and the path of a request.
type candidate struct {
	*Route
	host string // by which it is: the pattern
}

func (r *router) explain(request *message.Request, routes []config.Route) (e Explanation) {
	s := &search{request: request, path: request.Path, router: r}
	for _, c := range r.candidates(s) {
		meets := c.conditions == nil || s.meets(c.conditions)
		switch {
		case !meets && e.Route == nil:
			e.Passed = append(e.Passed, Passed{c.Route, s.missing(c.Route, &routes[c.Index])})
		case meets && e.Route == nil:
			e.Route, e.Why = c.Route, why(c, &routes[c.Index])
		case meets && c.Route != e.Route:
			e.Later = append(e.Later, c.Route)
		}
	}
	if e.Route == nil {
		e.Allow = string(r.appendMethods(nil, s.allowed))
	}
	return e
}

// candidates are the routes for the host and the path, in the order in which
// they are asked.
func (r *router) candidates(s *search) (all []candidate) {
	host := string(s.request.Host)
	take := func(b band, pattern string) {
		var here []candidate
		for ; b.plan != 0; b = r.below[b.routes] {
			for _, to := range r.routes[b.routes : b.routes+r.plans[b.plan].count] {
				if to.fits(s.path) {
					here = append(here, candidate{to, pattern})
				}
			}
		}
		slices.SortFunc(here, func(a, b candidate) int { return compare(a.Route, b.Route) })
		all = append(all, here...)
	}
	take(r.exact.find(r, s.request.Host), host)
	for rest := host; ; {
		_, below, found := strings.Cut(rest, ".")
		if !found {
			break
		}
		rest = below
		take(r.wildcard.find(r, []byte(rest)), "*."+rest)
	}
	take(r.any, "")
	slices.SortStableFunc(all, func(a, b candidate) int { return b.precedence - a.precedence })
	return all
}

// fits tells whether a route is for a path, by itself.
func (to *Route) fits(path []byte) bool {
	p := string(path)
	switch to.kind {
	case config.ExactPath:
		return p == to.pattern
	case config.RegexPath:
		re, err := config.CompilePattern(to.pattern)
		return err == nil && re.Match(path)
	case config.PrefixPath:
		return to.pattern == "" || p == to.pattern || strings.HasPrefix(p, to.pattern+"/")
	}
	segments, variable := config.TemplateSegments(to.pattern)
	got := strings.Split(strings.TrimPrefix(p, "/"), "/")
	if len(got) != len(segments) || p[0] != '/' {
		return false
	}
	for i, segment := range segments {
		if variable[i] && got[i] == "" || !variable[i] && got[i] != segment {
			return false
		}
	}
	return true
}

// why tells what fits.
func why(c candidate, route *config.Route) (why []string) {
	say := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if c.precedence != 0 {
		say("precedence %d", c.precedence)
	}
	if c.host == "" {
		say("it is for every host")
	} else {
		say("host %s", c.host)
	}
	kind, pattern := route.PathRule()
	say("%s %s", kind, pattern)
	if len(route.Methods) > 0 {
		say("method %s", strings.Join(route.Methods, ", "))
	}
	return append(why, route.Conditions()...)
}

// missing tells what a route asks for in vain.
func (s *search) missing(to *Route, route *config.Route) string {
	c := to.conditions
	var lacks []string
	for i := range c.headers {
		if !s.hasField(&c.headers[i]) {
			lacks = append(lacks, "header "+route.Headers[i].String())
		}
	}
	for i := range c.query {
		if !s.hasParameter(&c.query[i]) {
			lacks = append(lacks, "query parameter "+route.Query[i].String())
		}
	}
	for i := range c.cookies {
		if !s.hasCookie(&c.cookies[i]) {
			lacks = append(lacks, "cookie "+route.Cookies[i].String())
		}
	}
	if c.methods != 0 && c.methods&s.ownMethod() == 0 {
		lacks = append(lacks, "method "+strings.Join(route.Methods, ", "))
	}
	return strings.Join(lacks, "; ")
}
