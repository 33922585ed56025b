package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// pathRule checks that a route is for one kind of path, and that it can match.
func (c *checker) pathRule(at *path, r *Route) {
	said := map[PathKind]string{ExactPath: r.Path, TemplatePath: r.PathTemplate, RegexPath: r.PathRegex, PrefixPath: r.PathPrefix}
	kind, pattern := r.PathRule()
	for other := kind + 1; other <= PrefixPath; other++ {
		if said[other] != "" {
			c.fail(at.key(other.String()), "keep one, or make two routes", "and %s exclude each other", kind)
			return
		}
	}
	p := at.key(kind.String())
	switch kind {
	case ExactPath:
		c.prefix(p, pattern)
	case TemplatePath:
		if what, hint := templateMistake(pattern); what != "" {
			c.fail(p, hint, "%s", what)
		}
	case RegexPath:
		if bad := patternMistake(pattern); bad != nil {
			c.fail(p, bad.hint, "%s", bad.what)
		}
	case PrefixPath:
		c.prefix(p, r.PathPrefix)
		if strings.Count(strings.TrimRight(pattern, "/"), "/") > MaxSegments {
			c.fail(p, "", "has more than %d segments", MaxSegments)
		}
	}
}

var validVariable = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

func templateMistake(template string) (what, hint string) {
	segments, variable := TemplateSegments(template)
	plain := slices.Clone(segments)
	var names []string
	for i, s := range segments {
		switch {
		case !variable[i] && strings.ContainsAny(s, "{}"):
			return fmt.Sprintf("has a brace in %q", s), "a {name} stands for a whole segment; for a part of one use path_regex"
		case !variable[i]:
			continue
		case !validVariable.MatchString(s):
			return fmt.Sprintf("has an impossible name: {%s}", s), "use small letters, digits and underscores, as in {user_id}"
		case slices.Contains(names, s):
			return fmt.Sprintf("has {%s} twice", s), ""
		}
		names = append(names, s)
		plain[i] = "x"
	}
	switch {
	case !strings.HasPrefix(template, "/"):
		return fmt.Sprintf("must begin with a slash, not %q", template), ""
	case len(names) == 0:
		return fmt.Sprintf("has no {name} in it: %q", template), "say path for one path, path_prefix for all below it"
	case len(template) > MaxTemplate:
		return fmt.Sprintf("is longer than %d bytes", MaxTemplate), ""
	case len(segments) > MaxSegments:
		return fmt.Sprintf("has more than %d segments", MaxSegments), ""
	}
	return prefixMistake("/" + strings.Join(plain, "/"))
}

// conditions checks what else a call has to be for a route.
func (c *checker) conditions(at *path, r *Route) {
	for i, method := range r.Methods {
		p := at.key("methods").item(i)
		switch upper := strings.ToUpper(method); {
		case !validField.MatchString(method):
			c.fail(p, "", "is not a method: %q", method)
		case method != upper && slices.Contains(usualMethods, upper):
			c.fail(p, "methods are told apart by case: write "+upper, "is not %s: %q", upper, method)
		case slices.Contains(r.Methods[:i], method):
			c.fail(p, "", "%q is listed already", method)
		}
	}
	for i, cond := range r.Headers {
		p := at.key("headers").item(i)
		if validField.MatchString(cond.Name) && neverSeen(strings.ToLower(cond.Name)) {
			c.fail(p.key("name"), "it belongs to the connection, and is not passed on", "%q is never seen by a route", cond.Name)
		}
		c.condition(p, cond, validField)
	}
	for i, cond := range r.Query {
		c.condition(at.key("query").item(i), cond, anyName)
	}
	for i, cond := range r.Cookies {
		c.condition(at.key("cookies").item(i), cond, validField)
	}
}

var (
	anyName      = regexp.MustCompile(`^[^\x00-\x1f]{1,128}$`)
	usualMethods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"}
)

// neverSeen are the fields that weir drops before it looks for a route, so that
// a condition on one would never hold.
func neverSeen(name string) bool {
	switch name {
	case "connection", "content-length", "expect", "host", "keep-alive", "proxy", "proxy-authorization",
		"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

func (c *checker) condition(p *path, cond Condition, name *regexp.Regexp) {
	switch {
	case cond.Name == "":
		c.missing(p.key("name"), "say whose value it is about")
	case !name.MatchString(cond.Name):
		c.fail(p.key("name"), "", "is an impossible name: %q", cond.Name)
	}
	var said []string
	for key, is := range map[string]bool{
		"exact": cond.Exact != nil, "prefix": cond.Prefix != "", "regex": cond.Regex != "", "present": cond.Present != nil,
	} {
		if is {
			said = append(said, key)
		}
	}
	slices.Sort(said)
	switch {
	case len(said) == 0 && c.d.sound(p, p.key("exact"), p.key("prefix"), p.key("regex"), p.key("present")):
		c.fail(p, "say exact, prefix, regex or present", "asks for nothing")
	case len(said) > 1:
		c.fail(p.key(said[1]), "make two conditions of it", "and %s exclude each other", said[0])
	case cond.Exact != nil && strings.TrimSpace(*cond.Exact) != *cond.Exact:
		c.fail(p.key("exact"), "spaces around a value are not part of it", "can never be: %q", *cond.Exact)
	case cond.Regex != "":
		if bad := patternMistake(cond.Regex); bad != nil {
			c.fail(p.key("regex"), bad.hint, "%s", bad.what)
		}
	}
}

// sameness is a text that two routes share if they are for the same calls of a
// host: whichever comes second would never have one.
func (r *Route) sameness() string {
	kind, pattern := r.PathRule()
	switch kind {
	case TemplatePath:
		segments, variable := TemplateSegments(pattern)
		for i := range segments {
			if variable[i] {
				segments[i] = "{}"
			}
		}
		pattern = strings.Join(segments, "/")
	case PrefixPath:
		pattern = strings.Trim(pattern, "/")
	}
	parts := []string{fmt.Sprint(kind, r.Precedence), pattern, strings.Join(slices.Sorted(slices.Values(r.Methods)), ",")}
	for _, list := range [][]Condition{r.Headers, r.Query, r.Cookies} {
		var texts []string
		for _, cond := range list {
			texts = append(texts, cond.String())
		}
		slices.Sort(texts)
		parts = append(parts, strings.Join(texts, "\x01"))
	}
	return strings.Join(parts, "\x00")
}

// regexLimit refuses more regular expressions for one host than a call can
// afford to look at.
func (c *checker) regexLimit(p *path) {
	counts := map[string]int{}
	for i := range c.cfg.Routes {
		r := &c.cfg.Routes[i]
		if r.PathRegex == "" {
			continue
		}
		hosts := r.Hosts
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, host := range hosts {
			if counts[host]++; counts[host] == maxRegexes+1 {
				c.fail(p.item(i).key("path_regex"), "a call may have to look at each: use path_prefix, path or path_template",
					"is one too many: a host has %d at most", maxRegexes)
			}
		}
	}
}
