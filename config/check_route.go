package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

func (c *checker) routes(p *path) {
	seen := map[[2]string]*path{} // by host and sameness
	for i := range c.cfg.Routes {
		at, route := p.item(i), &c.cfg.Routes[i]
		for j, host := range route.Hosts {
			c.host(at.key("hosts").item(j), host)
		}
		c.pathRule(at, route)
		c.conditions(at, route)
		c.action(at, route)
		c.access(at.key("access"), route.Access)
		if fn := c.cfg.Functions[route.Function]; fn != nil && c.d.isGiven(at.key("while_cold").String()) {
			c.whileCold(at.key("while_cold"), route.WhileCold, *fn)
		}
		if c.d.isGiven(at.key("fallback").String()) {
			c.lastResort(at.key("fallback"), route.Fallback, route.Function)
		}
		c.unique(at, route, seen)
	}
	c.regexLimit(p)
}

func (c *checker) leadsTo(p *path, function string) {
	if function == "" {
		c.missing(p, "say which function takes the calls")
		return
	}
	if _, ok := c.cfg.Functions[function]; ok || !c.d.sound((*path)(nil).key("functions")) {
		return
	}
	known := sortedKeys(c.cfg.Functions)
	hint := didYouMean(function, known)
	if hint == "" {
		hint = thereIs(known)
	}
	c.fail(p, hint, "%q is not under functions", function)
}

// unique reports a route for the same calls as an earlier one.
func (c *checker) unique(p *path, route *Route, seen map[[2]string]*path) {
	kind, pattern := route.PathRule()
	if !c.d.sound(p, p.key("hosts"), p.key("path"), p.key("path_template"), p.key("path_regex"), p.key("path_prefix"), p.key("precedence")) {
		return
	}
	hosts := route.Hosts
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	same := route.sameness()
	for j, host := range hosts {
		key := [2]string{host, same}
		at := p
		if len(route.Hosts) > 0 {
			at = p.key("hosts").item(j)
		}
		if !c.d.sound(at) {
			continue
		}
		if first := seen[key]; first != nil {
			what := fmt.Sprintf("host %q and %s %q", host, kind, pattern)
			if host == "" {
				what = fmt.Sprintf("every host and %s %q", kind, pattern)
			}
			c.fail(at, "", "repeats the route for %s at %s", what, c.d.where(first))
			continue
		}
		seen[key] = at
	}
}

// host checks a name that calls are for, already in lower case.
func (c *checker) host(p *path, host string) {
	what, hint := hostMistake(host)
	if what != "" {
		c.fail(p, hint, "%s", what)
	}
}

func hostMistake(host string) (what, hint string) {
	name, _ := strings.CutPrefix(host, "*.")
	switch {
	case host == "":
		return "is empty", "leave out hosts for every host"
	case host == "*":
		return `is "*"`, "leave out hosts for every host"
	case strings.Contains(host, "://"):
		return fmt.Sprintf("has a scheme: %q", host), "a host is a name, as in api.example.com"
	case strings.Contains(host, "/"):
		return fmt.Sprintf("has a path: %q", host), "a path goes into path_prefix"
	case strings.Contains(host, ":") && !strings.HasPrefix(host, "["):
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Sprintf("has a port: %q", host), "a route holds for every port"
		}
		return fmt.Sprintf("is an IPv6 address: %q", host), "leave out hosts, or use a name"
	case strings.Contains(name, "*"):
		return fmt.Sprintf("has a * in the wrong place: %q", host), "a wildcard stands for everything before the first dot: *.example.com"
	case strings.HasSuffix(host, "."):
		return fmt.Sprintf("ends with a dot: %q", host), "write it without"
	case !isASCII(host):
		return fmt.Sprintf("is not ASCII: %q", host), "write it as it is on the wire, xn--..."
	case !isHost(name):
		return fmt.Sprintf("is not a name of a host: %q", host), ""
	}
	return "", ""
}

// prefix checks that a path can match. Paths are matched in normal form
// (proxy/message), so a prefix that is not would never.
func (c *checker) prefix(p *path, prefix string) {
	if what, hint := prefixMistake(prefix); what != "" {
		c.fail(p, hint, "%s", what)
	}
}

func prefixMistake(prefix string) (what, hint string) {
	if !strings.HasPrefix(prefix, "/") {
		return fmt.Sprintf("must begin with a slash, not %q", prefix), ""
	}
	if i := strings.IndexAny(prefix, "?#"); i >= 0 {
		return fmt.Sprintf("has a %q in it", prefix[i]), "a route looks at the path only"
	}
	if strings.Contains(prefix, "//") {
		return fmt.Sprintf("has an empty segment: %q", prefix), "repeated slashes are made one before a path is matched"
	}
	for segment := range strings.SplitSeq(prefix, "/") {
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case ".", "..":
			return fmt.Sprintf("has a dot segment: %q", prefix), "dot segments are resolved before a path is matched"
		}
	}
	for i := range len(prefix) {
		if b := prefix[i]; b <= ' ' || b >= 0x7f || b == '\\' {
			return fmt.Sprintf("has a character that no path has: %q", prefix), "percent-encode it"
		}
	}
	return escapeMistake(prefix)
}

// escapeMistake finds a percent-encoding that is not in normal form: broken,
// in lower case, or of a character that stands for itself.
func escapeMistake(prefix string) (what, hint string) {
	for rest := prefix; ; {
		_, after, found := strings.Cut(rest, "%")
		if !found {
			return "", ""
		}
		rest = after
		after = after[:min(2, len(after))]
		n, err := strconv.ParseUint(after, 16, 8)
		c := byte(n)
		switch {
		case err != nil || len(after) < 2:
			return fmt.Sprintf("has a broken percent-encoding: %q", "%"+after), "a percent sign itself is %25"
		case c == 0 || c == '\\':
			return fmt.Sprintf("has %q, which is refused in every path", "%"+after), ""
		case c > ' ' && c < 0x7f && !strings.ContainsRune("/%?#", rune(c)): // as message.Literal has it
			return fmt.Sprintf("has %q, which stands for %q", "%"+after, string(rune(c))), "write the character itself"
		case after != strings.ToUpper(after):
			return fmt.Sprintf("has %q in lower case", "%"+after), "write %" + strings.ToUpper(after)
		}
	}
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 0x7e }) < 0
}
