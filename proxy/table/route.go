package table

import (
	"errors"
	"fmt"
	"strings"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/shaping"
)

// A Route is a function, and what the rule that leads to it says of clients and
// of paths.
type Route struct {
	*Function
	Index        int             // in Config.Routes
	Access       *shaping.Access // who may call it; nil is everyone
	RawPath      bool
	EncodedSlash string
	Priority     coldstart.Priority
	RespondAsync bool
	WhileCold    *config.WhileCold  // nil: nothing of that
	Fallback     *config.LastResort // nil: a fault is a fault
	Mirror       *Mirror            // nil: no calls are copied
	Pattern      string             // of its path, as it was written
	Action

	kind       config.PathKind
	pattern    string // the same without the slash at the end of a prefix
	variables  uint32 // of a template: the highest bit is its first segment
	precedence int
	conditions *conditions // nil: none
	split      *split      // nil: one function has all calls
}

// compile makes a route, or tells why there is none. A split does without the
// functions that are not there, and tells that too.
func (r *router) compile(p *parts, i int, route *config.Route, functions map[string]*Function) (to *Route, errs []error) {
	to = &Route{
		Index: i, Access: shaping.NewAccess(route.Access), RawPath: route.RawPath, EncodedSlash: route.EncodedSlash, precedence: route.Precedence,
	}
	if err := to.readPath(route); err != nil {
		return nil, []error{err}
	}
	var mirrored []error
	var err error
	if to.conditions, err = r.conditions(p, route); err != nil {
		return nil, []error{err}
	}
	to.Action = actionOf(to, route)
	if m := route.Mirror; m != nil && m.Percent > 0 {
		fn := functions[m.Function]
		if fn == nil {
			mirrored = append(mirrored, fmt.Errorf("function %s of its mirror is not there", m.Function))
		} else {
			to.Mirror = newMirror(m, fn)
		}
	}
	if errs = to.lead(route, functions); to.Function == nil {
		return nil, errs
	}
	return to, append(errs, mirrored...)
}

func (to *Route) readPath(route *config.Route) error {
	to.kind, to.Pattern = route.PathRule()
	to.pattern = to.Pattern
	if to.kind == config.PrefixPath {
		to.pattern = strings.TrimRight(to.pattern, "/")
	}
	if to.kind != config.RegexPath && strings.Count(to.pattern, "/") > config.MaxSegments {
		return fmt.Errorf("it has more than %d segments", config.MaxSegments)
	}
	if to.kind == config.TemplatePath {
		_, variable := config.TemplateSegments(to.pattern)
		for n, is := range variable {
			if is {
				to.variables |= 1 << (31 - n)
			}
		}
	}
	if to.kind == config.RegexPath {
		_, err := config.CompilePattern(to.pattern)
		return err
	}
	return nil
}

// nobody stands in for the function of routes that weir answers by itself.
var nobody = &Function{}

// lead sets the function that the route leads to, or its split.
func (to *Route) lead(route *config.Route, functions map[string]*Function) (errs []error) {
	if route.Redirect != nil || route.Respond != nil {
		to.Function = nobody
		return nil
	}
	if route.Function != "" {
		if functions[route.Function] == nil {
			return []error{fmt.Errorf("its function %s is not there", route.Function)}
		}
		to.Function, to.Priority = functions[route.Function], priorityOf(route.Priority)
		to.WhileCold, to.RespondAsync, to.Fallback = route.WhileCold, route.RespondAsync, route.Fallback
		return nil
	}
	var routes []*Route
	var weights []int
	sum := 0
	for _, share := range route.Split {
		fn := functions[share.Function]
		if fn == nil {
			errs = append(errs, fmt.Errorf("function %s of its split is not there", share.Function))
			continue
		}
		one := *to
		if own, ok := share.OwnRewrite(); ok {
			rewritten := *route
			rewritten.Rewrite = own
			one.Action = actionOf(&one, &rewritten)
		}
		one.Function, one.Priority, one.WhileCold = fn, priorityOf(route.Priority), route.WhileCold
		one.RespondAsync, one.Fallback = route.RespondAsync || fn.RespondAsync, route.Fallback
		if route.Priority == "" {
			one.Priority = priorityOf(fn.Priority)
		}
		if route.WhileCold == nil {
			one.WhileCold = fn.WhileCold
		}
		if route.Fallback == nil {
			one.Fallback = fn.Fallback
		}
		routes, weights = append(routes, &one), append(weights, share.Weight)
		sum += share.Weight
	}
	if sum == 0 {
		return append(errs, errors.New("no function of its split is there and has a weight over 0"))
	}
	to.Function = routes[0].Function
	to.split = newSplit(routes, weights, route.Sticky)
	return errs
}

// each are the routes that calls take: of a split those of its functions.
func (to *Route) each() []*Route {
	if to.split == nil {
		return []*Route{to}
	}
	var all []*Route
	for _, s := range to.split.shares {
		all = append(all, s.to)
	}
	return all
}

// priorityOf is what the configuration calls so.
func priorityOf(name string) coldstart.Priority {
	switch name {
	case "high":
		return coldstart.High
	case "low":
		return coldstart.Low
	}
	return coldstart.Normal
}
