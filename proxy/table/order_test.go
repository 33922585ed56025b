package table

import (
	"strings"
	"testing"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// The examples of docs/routing.md.
func TestDocumentedOrder(t *testing.T) {
	f := func(want, host, path string, routes ...config.Route) {
		t.Helper()
		r, _ := routesTo(routes...)
		q := message.Request{Host: []byte(host), Path: []byte(path), Method: []byte("GET"),
			Fields: []message.Field{{Name: []byte("X-Canary"), Value: []byte("1")}}}
		e := r.explain(&q, routes)
		if e.Route == nil || e.Route.Name != want {
			t.Errorf("%s%s leads to %v, want %s", host, path, e.Route, want)
		}
	}
	x := []string{"x.org"}
	f("host", "x.org", "/admin", config.Route{Hosts: x, PathPrefix: "/", Function: "host"}, config.Route{PathPrefix: "/admin", Function: "path"})
	f("path", "x.org", "/admin", config.Route{Hosts: x, PathPrefix: "/", Function: "host"}, config.Route{PathPrefix: "/admin", Precedence: 1, Function: "path"})
	users := []config.Route{{PathPrefix: "/users", Function: "prefix"}, {PathTemplate: "/users/{id}", Function: "template"}, {Path: "/users/me", Function: "exact"}}
	f("exact", "x.org", "/users/me", users...)
	f("template", "x.org", "/users/7", users...)
	f("prefix", "x.org", "/users/7/posts", users...)
	f("literal", "x.org", "/books/cart", config.Route{PathTemplate: "/{shop}/cart", Function: "variable"}, config.Route{PathTemplate: "/books/{page}", Function: "literal"})
	static := []config.Route{{PathRegex: "/.*", Function: "regex"}, {PathPrefix: "/static", Function: "prefix"}}
	f("regex", "x.org", "/static/a.js", static...)
	static[1].Precedence = 1
	f("prefix", "x.org", "/static/a.js", static...)
	one := "1"
	f("canary", "x.org", "/shop", config.Route{PathPrefix: "/shop", Function: "stable"},
		config.Route{PathPrefix: "/shop", Headers: []config.Condition{{Name: "x-canary", Exact: &one}}, Function: "canary"})
}

func TestExplain(t *testing.T) {
	cfg, err := config.Parse("test.yaml", []byte(`
listeners: [{ address: ':1' }]
functions: { a: {}, b: {}, c: {} }
routes:
  - { hosts: ['*.x.org'], path_prefix: /shop, methods: [GET], function: a }
  - { hosts: ['*.x.org'], path_template: '/shop/{id}', headers: [{ name: x-canary, exact: "1" }], methods: [PUT], function: b }
  - { path_prefix: /, function: c }
  - { path: /shop/1, query: [{ name: v, regex: "[0-9]+" }], precedence: 5, function: c }
`))
	if err != nil {
		t.Fatal(err)
	}
	e := Explain(cfg, &message.Request{Method: []byte("GET"), Host: []byte("www.x.org"), Path: []byte("/shop/1"), Query: []byte("v=a")})
	if e.Route == nil || e.Route.Name != "a" || strings.Join(e.Why, "; ") != "host *.x.org; path_prefix /shop; method GET" {
		t.Errorf("%v because %q", e.Route, e.Why)
	}
	if len(e.Passed) != 2 || e.Passed[0].Route.Index != 3 || e.Passed[0].Why != `query parameter v matches "[0-9]+"` ||
		e.Passed[1].Why != `header x-canary is "1"; method PUT` {
		t.Errorf("passed %+v", e.Passed)
	}
	if len(e.Later) != 1 || e.Later[0].Index != 2 {
		t.Errorf("later %v", e.Later)
	}
	cfg.Routes = cfg.Routes[:2]
	if e := Explain(cfg, &message.Request{Method: []byte("DELETE"), Host: []byte("www.x.org"), Path: []byte("/shop/1")}); e.Route != nil || e.Allow != "GET, HEAD" {
		t.Errorf("%+v", e)
	}
}
