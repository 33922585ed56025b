package config

import (
	"fmt"
	"regexp"
	"strings"
)

// A cover is a route that takes every call below a path of a host.
type cover struct {
	route int
	kind  PathKind
}

// covers are the best ones by host and path, the path without a slash at its
// end.
type covers map[[2]string]cover

// warnUnreachable tells of routes that no call ever comes to, because one before
// them in the order takes everything. Only routes without conditions are held
// to do so; what two regular expressions have in common is not looked into.
func warnUnreachable(cfg *Config, d *document) {
	var top *path
	routes := top.key("routes")
	all := coversOf(cfg.Routes)
	for i := range cfg.Routes {
		if by, never := all.above(cfg.Routes, i); never {
			d.warn(d.find(routes.item(i)), fmt.Sprintf("routes[%d] is never reached: routes[%d] at %s takes its calls", i, by, d.where(routes.item(by))))
		}
	}
}

func coversOf(routes []Route) covers {
	all := covers{}
	for i := range routes {
		r := &routes[i]
		kind, pattern := r.PathRule()
		switch {
		case len(r.Methods)+len(r.Headers)+len(r.Query)+len(r.Cookies) > 0:
			continue
		case kind == RegexPath && (pattern == ".*" || pattern == "/.*"):
			pattern = ""
		case kind != PrefixPath:
			continue
		}
		for _, host := range hostsOf(r) {
			key := [2]string{host, strings.TrimRight(pattern, "/")}
			if was, ok := all[key]; !ok || r.Precedence > routes[was.route].Precedence || r.Precedence == routes[was.route].Precedence && kind < was.kind {
				all[key] = cover{i, kind}
			}
		}
	}
	return all
}

// hostsOf are the hosts of a route; "" is every host.
func hostsOf(r *Route) []string {
	if len(r.Hosts) == 0 {
		return []string{""}
	}
	return r.Hosts
}

// above finds a route that takes all calls of routes[i] on each of its hosts.
func (all covers) above(routes []Route, i int) (by int, never bool) {
	below := literalPath(&routes[i])
	for _, host := range hostsOf(&routes[i]) {
		by, never = all.onHost(routes, i, host, below)
		if !never {
			return 0, false
		}
	}
	return by, never
}

func (all covers) onHost(routes []Route, i int, host, below string) (by int, never bool) {
	r := &routes[i]
	kind, _ := r.PathRule()
	for wider, same := host, true; ; same = false {
		for at := below; ; at = at[:max(0, strings.LastIndexByte(at, '/'))] {
			if c, ok := all[[2]string{wider, at}]; ok && c.route != i {
				over := &routes[c.route]
				if over.Precedence > r.Precedence || over.Precedence == r.Precedence && same && c.kind < kind {
					return c.route, true
				}
			}
			if at == "" {
				break
			}
		}
		if wider == "" {
			return 0, false
		}
		wider = widerHost(wider)
	}
}

// widerHost is the next wildcard that has a host in it, at last "".
func widerHost(host string) string {
	_, rest, found := strings.Cut(strings.TrimPrefix(host, "*."), ".")
	if !found {
		return ""
	}
	return "*." + rest
}

// literalPath is a prefix, by whole segments, of every path that a route is for.
func literalPath(r *Route) string {
	kind, pattern := r.PathRule()
	switch kind {
	case TemplatePath:
		before, _, _ := strings.Cut(pattern, "{")
		return strings.TrimRight(before, "/")
	case RegexPath:
		re, err := regexp.Compile(pattern)
		if err != nil {
			return ""
		}
		before, _ := re.LiteralPrefix()
		return before[:max(0, strings.LastIndexByte(before, '/'))]
	}
	return strings.TrimRight(pattern, "/")
}
