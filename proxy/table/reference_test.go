package table

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// reference finds the route as docs/routing.md says it, without any structure:
// all that match are put in order, and the first is it. It shares nothing with
// the router but the configuration.
func reference(routes []config.Route, q request) int {
	type match struct {
		rank  []string // compared one after the other, the larger first
		index int
	}
	var all []match
	for i, r := range routes {
		path, ok := pathRank(r, q.path)
		if !ok || !conditionsHold(r, q) {
			continue
		}
		hosts := r.Hosts
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, h := range hosts {
			host, ok := hostRank(h, q.host)
			if !ok {
				continue
			}
			all = append(all, match{[]string{
				fmt.Sprintf("%09d", r.Precedence), host, path, fmt.Sprint(len(r.Methods) > 0), // "true" is larger than "false"
				fmt.Sprintf("%09d", len(r.Headers)), fmt.Sprintf("%09d", len(r.Query)), fmt.Sprintf("%09d", len(r.Cookies)),
			}, i})
		}
	}
	if len(all) == 0 {
		return -1
	}
	slices.SortStableFunc(all, func(a, b match) int { return slices.Compare(b.rank, a.rank) })
	return all[0].index
}

func hostRank(rule, host string) (string, bool) {
	below, wild := strings.CutPrefix(rule, "*")
	switch {
	case rule == "":
		return "0", true
	case wild && strings.HasSuffix(host, below) && len(host) > len(below):
		return fmt.Sprintf("1 %09d", len(below)), true
	case !wild && rule == host:
		return "2", true
	}
	return "", false
}

func pathRank(r config.Route, path string) (string, bool) {
	switch {
	case r.Path != "":
		return "3", path == r.Path
	case r.PathTemplate != "":
		var pattern, shape strings.Builder
		for s := range strings.SplitSeq(r.PathTemplate[1:], "/") {
			if strings.HasPrefix(s, "{") {
				pattern.WriteString("/[^/]+")
				shape.WriteByte('0')
			} else {
				pattern.WriteString("/" + regexp.QuoteMeta(s))
				shape.WriteByte('1')
			}
		}
		return "2 " + shape.String(), regexp.MustCompile("^" + pattern.String() + "$").MatchString(path)
	case r.PathRegex != "":
		return "1", regexp.MustCompile("^(" + r.PathRegex + ")$").MatchString(path)
	}
	prefix := strings.TrimRight(r.PathPrefix, "/")
	return fmt.Sprintf("0 %09d", len(prefix)), prefix == "" || path == prefix || strings.HasPrefix(path, prefix+"/")
}

func conditionsHold(r config.Route, q request) bool {
	if len(r.Methods) > 0 && !slices.Contains(r.Methods, q.method) && (q.method != "HEAD" || !slices.Contains(r.Methods, "GET")) {
		return false
	}
	query, _ := url.ParseQuery(q.query)
	return all(r.Headers, map[string][]string{"x-canary": q.canary}) && all(r.Query, query) && all(r.Cookies, map[string][]string{"session": q.session})
}

func all(conditions []config.Condition, values map[string][]string) bool {
	for _, c := range conditions {
		there := values[c.Name]
		switch {
		case c.Present != nil && !*c.Present:
			if len(there) > 0 {
				return false
			}
		case !slices.ContainsFunc(there, func(v string) bool {
			return c.Present != nil || c.Exact != nil && v == *c.Exact || c.Prefix != "" && strings.HasPrefix(v, c.Prefix) ||
				c.Regex != "" && regexp.MustCompile("^("+c.Regex+")$").MatchString(v)
		}):
			return false
		}
	}
	return true
}

// A request as the reference looks at it.
type request struct {
	method, host, path, query string
	canary, session           []string // fields, and cookies
}

func (q request) message() *message.Request {
	r := &message.Request{Method: []byte(q.method), Host: []byte(q.host), Path: []byte(q.path), Query: []byte(q.query)}
	for _, v := range q.canary {
		r.Fields = append(r.Fields, message.Field{Name: []byte("X-Canary"), Value: []byte(v)})
	}
	if len(q.session) > 0 {
		r.Fields = append(r.Fields, message.Field{Name: []byte("Cookie"), ID: message.Cookie, Value: []byte("a=b; session=" + strings.Join(q.session, "; session="))})
	}
	return r
}

// matchRules are routes of every kind.
func matchRules() []config.Route {
	yes, no, two := true, false, "2 x"
	rules := []config.Route{
		{Path: "/exact"}, {PathTemplate: "/users/{id}/posts"}, {PathRegex: "/v[0-9]+(/.*)?"}, {PathPrefix: "/prefix/a"},
		{Path: "/query", Query: []config.Condition{{Name: "version", Exact: &two}, {Name: "none", Present: &no}, {Name: "c", Present: &yes}}},
		{Path: "/post", Methods: []string{"POST"}, Headers: []config.Condition{{Name: "x-a", Present: &no}}},
		{Path: "/cookie", Cookies: []config.Condition{{Name: "session", Regex: "[a-c][0-9]+"}}},
	}
	for i := range rules {
		rules[i].Function = fmt.Sprint(i)
	}
	return rules
}

// randomRoutes draws from few hosts, paths and conditions, so that many meet.
func randomRoutes(r *rand.Rand) (routes []config.Route) {
	yes, no, one := true, false, "1"
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	seen := map[string]bool{}
	for range 1 + r.IntN(25) {
		route := config.Route{Precedence: max(0, r.IntN(8)-5)}
		for range r.IntN(3) {
			if h := pick("x.org", "*.x.org", "*.y.x.org", "y.x.org", "*.org"); !slices.Contains(route.Hosts, h) {
				route.Hosts = append(route.Hosts, h)
			}
		}
		switch r.IntN(4) {
		case 0:
			route.Path = pick("/", "/a", "/a/b", "/a/", "/b/a/b")
		case 1:
			route.PathTemplate = pick("/{x}", "/{x}/b", "/a/{x}", "/{x}/{y}", "/{x}/b/{z}", "/a/{x}/c", "/{x}/")
		case 2:
			route.PathRegex = pick("/a.*", "/[ab](/.*)?", ".*b", "/a|/b", ".*")
		default:
			route.PathPrefix = pick("/", "/a", "/a/b", "/b/", "/a/b/c", "/ab")
		}
		if r.IntN(3) == 0 {
			route.Methods = []string{pick("GET", "POST", "HEAD", "PURGE")}
		}
		if r.IntN(3) == 0 {
			route.Headers = []config.Condition{[]config.Condition{{Exact: &one}, {Prefix: "1"}, {Present: &yes}, {Present: &no}, {Regex: "[12]"}}[r.IntN(5)]}
			route.Headers[0].Name = "x-canary"
		}
		if r.IntN(4) == 0 {
			route.Query = []config.Condition{[]config.Condition{{Exact: &one}, {Prefix: "1"}, {Present: &yes}, {Present: &no}}[r.IntN(4)]}
			route.Query[0].Name = pick("q", "p")
		}
		if r.IntN(4) == 0 {
			route.Cookies = []config.Condition{[]config.Condition{{Exact: &one}, {Present: &no}}[r.IntN(2)]}
			route.Cookies[0].Name = "session"
		}
		for range r.IntN(2) {
			route.Headers = append(route.Headers, config.Condition{Name: "x-canary", Present: &yes})
		}
		key := fmt.Sprintf("%+v", route)
		if !seen[key] {
			seen[key] = true
			route.Function = fmt.Sprint(len(routes))
			routes = append(routes, route)
		}
	}
	return routes
}

// The router finds what the reference finds, Explain tells the same, and a 405
// is said of exactly those requests that another method would have brought in.
func FuzzMatch(f *testing.F) {
	f.Add(uint64(1), "y.x.org", "/a/b/c", "q=1&p=%31", uint8(0))
	f.Add(uint64(2), "x.org", "/a", "q", uint8(7))
	f.Add(uint64(3), "a.y.x.org", "/b/a/b", "", uint8(200))
	for seed := range uint64(200) {
		f.Add(seed, "y.x.org", []string{"/", "/a", "/a/b", "/b/a", "/b", "/a/", "/x/b/c"}[seed%7], "q=1", uint8(seed*37))
	}
	f.Fuzz(func(t *testing.T, seed uint64, host, path, query string, other uint8) {
		if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || strings.ContainsAny(path, "\x00\n") || strings.ToValidUTF8(path, "") != path ||
			strings.HasPrefix(host, ".") || strings.Contains(host, "..") || strings.HasPrefix(host, "*") {
			t.Skip("not what reaches the router")
		}
		if _, err := url.ParseQuery(query); err != nil {
			query = ""
		}
		random := rand.New(rand.NewPCG(seed, 0))
		routes := randomRoutes(random)
		if seed%3 == 0 { // more than have tags
			for i := range 2 * tagged {
				route := config.Route{Path: fmt.Sprint("/0/", i), Function: fmt.Sprint(len(routes))}
				if i%2 == 0 {
					route.Hosts = []string{"x.org", "*.x.org"}
				}
				routes = append(routes, route)
			}
		}
		r, _ := routesTo(routes...)
		q := request{method: []string{"GET", "POST", "HEAD", "DELETE"}[other&3], host: host, path: path, query: query}
		q.canary = [][]string{nil, {"1"}, {"12"}, {"2", "1"}}[other>>2&3]
		q.session = [][]string{nil, {"1"}, {"2"}, {"2", "1"}}[other>>4&3]

		m := q.message()
		s := search{request: m, path: m.Path}
		got := -1
		if to := r.match(&s); to != nil {
			got = to.Index
		}
		want := reference(routes, q)
		if got != want {
			t.Fatalf("%+v leads to %d, want %d of\n%s", q, got, want, list(routes))
		}
		e := r.explain(m, routes)
		if told := e.Route; (told == nil) != (got < 0) || told != nil && told.Index != got {
			t.Fatalf("%+v leads to %d, and Explain tells of %+v", q, got, e)
		}
		if got < 0 {
			allowed := string(r.appendMethods(nil, s.allowed))
			if e.Allow != allowed {
				t.Fatalf("%+v allows %q, Explain tells %q", q, allowed, e.Allow)
			}
			for _, method := range []string{"GET", "POST", "HEAD", "PURGE"} {
				q.method = method
				if is := slices.Contains(strings.Split(allowed, ", "), method); is != (reference(routes, q) >= 0) {
					t.Fatalf("%+v: allowed are %q of\n%s", q, allowed, list(routes))
				}
			}
		}
	})
}

func list(routes []config.Route) string {
	var b strings.Builder
	for i, r := range routes {
		kind, pattern := r.PathRule()
		fmt.Fprintf(&b, "%d: precedence %d, hosts %v, %s %s, methods %v, %v %v %v\n", i, r.Precedence, r.Hosts, kind, pattern, r.Methods, r.Headers, r.Query, r.Cookies)
	}
	return b.String()
}

// What templates look up is no longer than what they were made of.
func TestLongPaths(t *testing.T) {
	r, _ := routesTo(config.Route{PathTemplate: "/a/{x}/" + strings.Repeat("y", config.MaxTemplate-8), Function: "/a"}, config.Route{PathPrefix: "/", Function: "root"})
	find := func(path, want string) {
		t.Helper()
		if to := r.find([]byte("h"), []byte(path)); to.Name != want {
			t.Errorf("%.40s leads to %s, want %s", path, to.Name, want)
		}
	}
	if len(r.shapes[r.plans[r.any.plan].shapes]) != 1 {
		t.Fatal("no template")
	}
	find("/a/"+strings.Repeat("x", 5000)+"/"+strings.Repeat("y", config.MaxTemplate-8), "/a")
	find("/a/x/"+strings.Repeat("y", 5000), "root")
	find("/"+strings.Repeat("a", 5000)+"/x/y", "root")
	find(strings.Repeat("/a", 5000), "root")
}
