package config

import (
	"fmt"
	"slices"
	"strings"
)

// mostShares is how many functions a split may have, mostWeight the sum of
// their weights: ten thousandths are fine enough for a canary.
const (
	mostShares = 16
	mostWeight = 10_000
)

// action checks that a route says one thing to do, and how.
func (c *checker) action(at *path, r *Route) {
	var said []string
	for _, a := range []struct {
		key string
		is  bool
	}{{"function", r.Function != ""}, {"split", r.Split != nil}, {"redirect", r.Redirect != nil}, {"respond", r.Respond != nil}} {
		if a.is {
			said = append(said, a.key)
		}
	}
	switch {
	case len(said) == 0:
		c.missing(at.key("function"), "say which function takes the calls, or split, redirect or respond")
	case len(said) > 1:
		c.fail(at.key(said[1]), "a route does one thing", "and %s exclude each other", said[0])
	}
	if r.Function != "" {
		c.leadsTo(at.key("function"), r.Function)
	}
	c.split(at, r)
	c.rewrite(at.key("rewrite"), r)
	c.redirect(at.key("redirect"), r)
	c.mirror(at.key("mirror"), r)
	if r.Respond != nil {
		c.respond(at.key("respond"), r.Respond)
	}
	c.headerRules(at.key("request_headers"), r.RequestHeaders, neverSetRequest)
	c.headerRules(at.key("response_headers"), r.ResponseHeaders, neverSetResponse)
	if weir := r.Redirect != nil || r.Respond != nil; weir && r.RequestHeaders != nil {
		c.fail(at.key("request_headers"), "", "is about an endpoint, and the route has none")
	}
}

func (c *checker) split(at *path, r *Route) {
	p := at.key("split")
	sum, known := 0, map[string]bool{}
	for i, share := range r.Split {
		item := p.item(i)
		c.leadsTo(item.key("function"), share.Function)
		if known[share.Function] {
			c.fail(item.key("function"), "", "%q is in the split already", share.Function)
		}
		known[share.Function] = true
		sum += share.Weight
	}
	switch {
	case r.Split != nil && len(r.Split) == 0:
		c.fail(p, `say split: [{ function: a, weight: 95 }, { function: b, weight: 5 }]`, "is empty")
	case len(r.Split) > mostShares:
		c.fail(p, "", "has more than %d functions", mostShares)
	case sum > mostWeight:
		c.fail(p, "", "has weights of %d in all, more than %d", sum, mostWeight)
	case len(r.Split) > 0 && sum == 0 && c.d.sound(p):
		c.fail(p, "", "has no weight over 0: nobody would take the calls")
	}
	if r.Sticky == nil {
		return
	}
	s := at.key("sticky")
	switch {
	case r.Split == nil:
		c.fail(s, "", "is about a split, and the route has none")
	case r.Sticky.Header != "" && r.Sticky.Cookie != "":
		c.fail(s.key("cookie"), "", "and header exclude each other")
	case r.Sticky.Header == "" && r.Sticky.Cookie == "":
		c.fail(s, "", "needs header or cookie")
	case r.Sticky.Header != "" && (!validField.MatchString(r.Sticky.Header) || neverSeen(strings.ToLower(r.Sticky.Header))):
		c.fail(s.key("header"), "", "is not a field that a route sees: %q", r.Sticky.Header)
	case r.Sticky.Cookie != "" && !validField.MatchString(r.Sticky.Cookie):
		c.fail(s.key("cookie"), "", "is not the name of a cookie: %q", r.Sticky.Cookie)
	}
}

func (c *checker) rewrite(p *path, r *Route) {
	w := r.Rewrite
	if w == nil {
		return
	}
	kind, _ := r.PathRule()
	said := 0
	for _, is := range []bool{w.StripPrefix, w.Prefix != "", w.Path != ""} {
		if is {
			said++
		}
	}
	switch {
	case r.Redirect != nil || r.Respond != nil:
		c.fail(p, "", "is about an endpoint, and the route has none")
	case said > 1:
		c.fail(p, "keep one", "has more than one of strip_prefix, prefix and path")
	case said == 0 && w.Host == "" && !w.EndpointHost && c.d.sound(p):
		c.fail(p, "say strip_prefix, prefix, path, host or endpoint_host", "changes nothing")
	case w.Host != "" && w.EndpointHost:
		c.fail(p.key("endpoint_host"), "keep one", "and host exclude each other")
	case said > 0 && r.RawPath:
		c.fail(p, "take one out", "and raw_path exclude each other: the path goes on as it came, or rewritten")
	case (w.StripPrefix || w.Prefix != "") && kind != PrefixPath:
		c.fail(p, "say path, or give the route a path_prefix", "has no path_prefix to replace: the route is for a %s", kind)
	}
	if w.Prefix != "" {
		c.prefix(p.key("prefix"), w.Prefix)
	}
	if w.Path != "" {
		c.newPath(p.key("path"), w.Path, r)
	}
	if w.Host != "" {
		c.target(p.key("host"), w.Host)
	}
}

// target checks a host that calls or clients are sent to.
func (c *checker) target(p *path, host string) {
	if strings.HasPrefix(host, "*.") {
		c.fail(p, "", "is no single host: %q", host)
		return
	}
	c.host(p, strings.ToLower(host))
}

// newPath checks a path with the variables of the route's template in it.
func (c *checker) newPath(p *path, text string, r *Route) {
	segments, variable := TemplateSegments(text)
	known := TemplateVariables(r.PathTemplate)
	plain := slices.Clone(segments)
	for i, s := range segments {
		switch {
		case variable[i] && !slices.Contains(known, s):
			hint := "only a path_template has names"
			if len(known) > 0 {
				hint = thereIs(known)
			}
			c.fail(p, hint, "has {%s}, which is not in the route's path", s)
			return
		case variable[i]:
			plain[i] = "x"
		case strings.ContainsAny(s, "{}"):
			c.fail(p, "a {name} stands for a whole segment", "has a brace in %q", s)
			return
		}
	}
	if !strings.HasPrefix(text, "/") {
		c.fail(p, "", "must begin with a slash, not %q", text)
		return
	}
	c.prefix(p, "/"+strings.Join(plain, "/"))
}

// RedirectStatuses are those that send a client elsewhere. 300 has a choice in
// its body, 304 is about what the client has, 305 and 306 are deprecated (RFC 9110
// section 15.4).
var RedirectStatuses = []int{301, 302, 303, 307, 308}

func (c *checker) redirect(p *path, r *Route) {
	to := r.Redirect
	if to == nil {
		return
	}
	kind, _ := r.PathRule()
	switch {
	case !slices.Contains(RedirectStatuses, to.Status):
		c.fail(p.key("status"), "", "must be 301, 302, 303, 307 or 308, not %d", to.Status)
	case to.Port > 65535:
		c.fail(p.key("port"), "", "is no port: %d", to.Port)
	case to.Path != "" && to.Prefix != "":
		c.fail(p.key("prefix"), "keep one", "and path exclude each other")
	case to.Prefix != "" && kind != PrefixPath:
		c.fail(p.key("prefix"), "say path", "has no path_prefix to replace: the route is for a %s", kind)
	case to.Scheme == "" && to.Host == "" && to.Port == 0 && to.Path == "" && to.Prefix == "" && c.d.sound(p, p.key("scheme")):
		c.fail(p, "say scheme, host, port, path or prefix", "leads back to where it came from")
	case to.Path != "" && to.Path == r.Path && to.Scheme == "" && to.Host == "" && to.Port == 0:
		c.fail(p.key("path"), "", "leads back to where it came from: %q", to.Path)
	}
	if to.Host != "" {
		c.target(p.key("host"), to.Host)
	}
	if to.Path != "" {
		c.newPath(p.key("path"), to.Path, r)
	}
	if to.Prefix != "" {
		c.prefix(p.key("prefix"), to.Prefix)
	}
}

// mostResponse is the longest body that weir answers with by itself.
const mostResponse = 64 << 10

func (c *checker) respond(p *path, r *Response) {
	switch {
	case r.Status < 200 || r.Status > 599:
		c.fail(p.key("status"), "", "must be from 200 to 599, not %d", r.Status)
	case (r.Status == 204 || r.Status == 205 || r.Status == 304) && r.Body != "":
		c.fail(p.key("body"), "", "cannot be: an answer with status %d has none", r.Status)
	case len(r.Body) > mostResponse:
		c.fail(p.key("body"), "", "is longer than %v", Size(mostResponse))
	}
	if bad := valueMistake(r.ContentType); bad != "" {
		c.fail(p.key("content_type"), "", "%s", bad)
	}
}

func (c *checker) headerRules(p *path, h *HeaderRules, never func(name string) bool) {
	if h == nil {
		return
	}
	name := func(at *path, name string) {
		switch {
		case !validField.MatchString(name):
			c.fail(at, "", "is not the name of a field: %q", name)
		case never(strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))):
			c.fail(at, "it frames the message, belongs to the connection, or says who somebody is", "%q is weir's own", name)
		}
	}
	removed := map[string]bool{}
	for i, n := range h.Remove {
		name(p.key("remove").item(i), n)
		removed[strings.ToLower(n)] = true
	}
	for key, fields := range map[string]map[string]string{"set": h.Set, "add": h.Add} {
		for _, n := range sortedKeys(fields) {
			at := p.key(key).entry(n)
			name(at, n)
			if bad := valueMistake(fields[n]); bad != "" {
				c.fail(at, "", "%s", bad)
			}
			if removed[strings.ToLower(n)] {
				c.fail(at, "set does away with what was there", "is removed and %s", map[string]string{"set": "set", "add": "added"}[key])
			}
		}
	}
	if len(h.Remove)+len(h.Set)+len(h.Add) == 0 && c.d.sound(p, p.key("remove"), p.key("set"), p.key("add")) {
		c.fail(p, "say remove, set or add", "changes nothing")
	}
}

// mostValue is the longest value of a field that weir sets.
const mostValue = 4 << 10

func valueMistake(value string) string {
	switch {
	case len(value) > mostValue:
		return fmt.Sprintf("is longer than %v", Size(mostValue))
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f }):
		return fmt.Sprintf("has a character that no field has: %q", value)
	case strings.TrimSpace(value) != value:
		return fmt.Sprintf("has a space at its end: %q", value)
	}
	return ""
}

// neverSetRequest are the fields of a request that rules leave alone.
func neverSetRequest(name string) bool {
	if neverSeen(name) || strings.HasPrefix(name, "x-forwarded-") || strings.HasPrefix(name, "x-envoy-") {
		return true
	}
	switch name {
	case "forwarded", "grpc-timeout", "max-forwards", "traceparent", "tracestate", "true-client-ip", "via", "x-client-ip",
		"x-cluster-client-ip", "x-original-url", "x-real-ip", "x-request-id", "x-request-timeout-ms", "x-rewrite-url",
		"x-weir-mirror":
		return true
	}
	return false
}

// neverSetResponse are those of a response.
func neverSetResponse(name string) bool {
	switch name {
	case "connection", "content-length", "date", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer",
		"transfer-encoding", "upgrade", "via", "x-request-id":
		return true
	}
	return false
}
