package http1_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// named is an endpoint that says what it is called and how, in its answer.
func named(t testing.TB, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Old", "of the endpoint")
		fmt.Fprintf(w, "%s %s %s %s", name, r.Method, r.Host, r.RequestURI)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// asked sends one request with its fields and returns the answer.
func (g *gateway) asked(method, host, target string, fields ...string) (*http.Response, string) {
	g.t.Helper()
	c := g.dial()
	head := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n"
	for _, f := range fields {
		head += f + "\r\n"
	}
	c.send(head + "\r\n")
	r, body, err := c.answer(method)
	if err != nil {
		g.t.Fatalf("%s %s%s: %v", method, host, target, err)
	}
	return r, body
}

func TestRoutesOfEveryKind(t *testing.T) {
	g := start(t, fmt.Sprintf(`
functions: { web: { endpoints: ['%s'] }, api: { endpoints: ['%s'] } }
routes:
  - { hosts: [x.org], path_prefix: /, function: web }
  - { hosts: [x.org], path: /exact, methods: [GET, POST], function: api }
  - { hosts: [x.org], path_template: '/users/{id}/posts', function: api }
  - { hosts: [x.org], path_regex: '/v[0-9]+(/.*)?', function: api }
  - { hosts: [x.org], path_prefix: /shop, headers: [{ name: X-Canary, exact: "1" }], function: api }
  - { hosts: [x.org], path_prefix: /shop, query: [{ name: beta, present: true }], function: api }
  - { hosts: [x.org], path_prefix: /shop, cookies: [{ name: session, prefix: b }], function: api }
  - { hosts: [x.org], path_prefix: /tls, headers: [{ name: X-Forwarded-Proto, exact: https }], function: api }
  - { hosts: ['*.x.org'], path: /only, methods: [PUT], function: api }
  - { hosts: ['*.x.org'], path: /only, methods: [GET], headers: [{ name: x-a, present: true }], function: api }
`, named(t, "web"), named(t, "api")), parts{})
	leads := func(want, method, host, target string, fields ...string) {
		t.Helper()
		if r, body := g.asked(method, host, target, fields...); r.StatusCode != 200 || method != "HEAD" && body != want+" "+method+" "+host+" "+target {
			t.Errorf("%s %s%s %q: %d %s, want %s", method, host, target, fields, r.StatusCode, body, want)
		}
	}
	leads("web", "GET", "x.org", "/")
	leads("api", "GET", "x.org", "/exact?x=1")
	leads("api", "HEAD", "x.org", "/exact")
	leads("web", "DELETE", "x.org", "/exact") // a less specific route takes it
	leads("web", "GET", "x.org", "/exact/")
	leads("api", "GET", "x.org", "/users/12/posts")
	leads("web", "GET", "x.org", "/users/12/13/posts")
	leads("api", "GET", "x.org", "/v12")
	leads("web", "GET", "x.org", "/v12x")
	leads("web", "GET", "x.org", "/shop")
	leads("api", "GET", "x.org", "/shop", "x-canary: 1")
	leads("web", "GET", "x.org", "/shop", "x-canary: 1", "Connection: x-canary") // then the endpoint does not get it either
	leads("api", "GET", "x.org", "/shop?a=1&b%65ta")
	leads("api", "GET", "x.org", "/shop", "Cookie: a=1; session=b1")
	leads("web", "GET", "x.org", "/shop", "Cookie: a=1; session=a1")
	leads("web", "GET", "x.org", "/tls", "X-Forwarded-Proto: https") // nobody believes this client
	leads("api", "PUT", "www.x.org", "/only")

	not := func(status int, allow, method, host, target string, fields ...string) {
		t.Helper()
		r, body := g.asked(method, host, target, fields...)
		if r.StatusCode != status || r.Header.Get("Allow") != allow {
			t.Errorf("%s %s%s: %d, Allow %q, %s", method, host, target, r.StatusCode, r.Header.Get("Allow"), body)
		}
	}
	not(405, "PUT", "GET", "www.x.org", "/only")
	not(405, "GET, HEAD, PUT", "POST", "www.x.org", "/only", "X-A: 1")
	not(404, "", "GET", "www.x.org", "/other")
	not(404, "", "GET", "org", "/only")
	not(400, "", "GET", "x.org", "/users/a%2Fb/posts")
}

// What a trusted proxy says can be a condition.
func TestConditionOnForwardedProto(t *testing.T) {
	g := start(t, fmt.Sprintf(`
functions: { web: { endpoints: ['%s'] }, api: { endpoints: ['%s'] } }
routes:
  - { path_prefix: /, function: web }
  - { path_prefix: /, headers: [{ name: X-Forwarded-Proto, exact: https }], function: api }
`, named(t, "web"), named(t, "api")), parts{prepare: trustLoopback})
	for _, proto := range []string{"http", "https"} {
		_, body := g.asked("GET", "h", "/", "X-Forwarded-Proto: "+proto)
		if want := map[string]string{"http": "web", "https": "api"}[proto] + " GET h /"; body != want {
			t.Errorf("%s: %s, want %s", proto, body, want)
		}
	}
}

// dressed starts an endpoint that answers with the fields it got.
func dressed(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "old")
		w.Header().Add("X-Many", "one")
		_ = r.Header.Write(w)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestRewrites(t *testing.T) {
	g := start(t, fmt.Sprintf(`
functions: { web: { endpoints: ['%s'] } }
routes:
  - { path_prefix: /strip, rewrite: { strip_prefix: true }, function: web }
  - { path_prefix: /prefix, rewrite: { prefix: /v2/new/ }, function: web }
  - { path_template: '/users/{id}/posts/{post}', rewrite: { path: '/p/{post}/of/{id}/' }, function: web }
  - { path: /one, rewrite: { path: /other, host: internal.example }, function: web }
`, named(t, "web")), parts{})
	f := func(target, host, want string) {
		t.Helper()
		if _, body := g.asked("GET", "x.org", target); body != "web GET "+host+" "+want {
			t.Errorf("%s becomes %q, want %s", target, body, want)
		}
	}
	f("/strip", "x.org", "/")
	f("/strip/", "x.org", "/")
	f("/strip/a/b?c=/d", "x.org", "/a/b?c=/d")
	f("/strip//evil.example/x", "x.org", "/evil.example/x")
	f("/strip/a%2fb%20c", "x.org", "/a%2Fb%20c")
	f("/prefix", "x.org", "/v2/new")
	f("/prefix/x/?y", "x.org", "/v2/new/x/?y")
	f("/users/7/posts/a%20b?x", "x.org", "/p/a%20b/of/7/?x")
	f("/one", "internal.example", "/other")
	if r := g.record(1); r.call != "GET x.org /strip" {
		t.Errorf("the record has %s, not what the client asked for", r.call)
	}
}

func TestRedirectsAndResponses(t *testing.T) {
	g := start(t, `
functions: {}
routes:
  - { path_prefix: /, headers: [{ name: x-forwarded-proto, exact: http }], redirect: { status: 308, scheme: https } }
  - { path_prefix: /old, precedence: 1, redirect: { prefix: /new, drop_query: true } }
  - { path_prefix: /any, precedence: 1, redirect: { prefix: / } }
  - { path_template: '/u/{id}', precedence: 1, redirect: { status: 301, host: www.x.org, port: 8443, path: '/users/{id}' }, response_headers: { set: { Cache-Control: "max-age=60" } } }
  - { path_prefix: /loop, precedence: 1, redirect: { scheme: http } }
  - { path_prefix: /same, precedence: 1, redirect: { status: 303, scheme: http, host: x.org } }
  - { path: /gone, precedence: 1, respond: { status: 410, body: "gone\n" }, response_headers: { set: { X-A: b } } }
  - { path: /robots.txt, precedence: 1, respond: { body: '{}', content_type: application/json } }
  - { path: /empty, precedence: 1, respond: { status: 204 } }
`, parts{})
	to := func(target string, status int, location string) {
		t.Helper()
		if r, _ := g.asked("GET", "x.org:8080", target); r.StatusCode != status || r.Header.Get("Location") != location {
			t.Errorf("%s: %d to %s, want %s", target, r.StatusCode, r.Header.Get("Location"), location)
		}
	}
	to("/a?b=c", 308, "https://x.org/a?b=c")
	to("/old/x?b", 302, "/new/x")
	to("/any//evil.example/x", 302, "/evil.example/x")
	to("/any/%2fevil.example", 302, "/%2Fevil.example")
	to("/u/7", 301, "http://www.x.org:8443/users/7")
	to("/loop", 508, "")
	to("/same", 303, "http://x.org/same") // from another port
	for _, host := range []string{"x.org", "X.ORG"} {
		if r, _ := g.asked("GET", host, "/same"); r.StatusCode != 508 {
			t.Errorf("%s is sent to where it is: %v", host, r)
		}
	}
	r, body := g.asked("GET", "x.org", "/gone")
	if r.StatusCode != 410 || body != "gone\n" || r.Header.Get("X-A") != "b" || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%v %q", r, body)
	}
	if r, body := g.asked("GET", "x.org", "/robots.txt"); r.StatusCode != 200 || body != "{}" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v %q", r, body)
	}
	if r, _ := g.asked("POST", "x.org", "/empty"); r.StatusCode != 204 {
		t.Errorf("%v", r)
	}
}

func TestHeaderRules(t *testing.T) {
	g := start(t, fmt.Sprintf(`
functions: { web: { endpoints: ['%s'] } }
routes:
  - path_prefix: /
    function: web
    request_headers: { remove: [x-secret], set: { X-Team: shop }, add: { X-Many: "2" } }
    response_headers: { remove: [server], set: { Strict-Transport-Security: max-age=60 }, add: { X-Many: two } }
`, dressed(t)), parts{})
	r, body := g.asked("GET", "x.org", "/", "X-Secret: 1", "x-team: of the client", "X-Many: 1")
	for _, want := range []string{"X-Team: shop\r\n", "X-Many: 1\r\nX-Many: 2\r\n"} {
		if !strings.Contains(body, want) {
			t.Errorf("the endpoint got\n%s\nwithout %q", body, want)
		}
	}
	if strings.Contains(body, "Secret") || strings.Contains(body, "client") {
		t.Errorf("the endpoint got\n%s", body)
	}
	if r.Header.Get("Server") != "" || r.Header.Get("Strict-Transport-Security") != "max-age=60" || strings.Join(r.Header["X-Many"], ",") != "one,two" {
		t.Errorf("the client got %v", r.Header)
	}
}

func TestSplits(t *testing.T) {
	g := start(t, fmt.Sprintf(`
functions: { a: { endpoints: ['%s'] }, b: { endpoints: ['%s'] }, c: { endpoints: ['%s'] } }
routes:
  - { path_prefix: /, split: [{ function: a, weight: 3 }, { function: b, weight: 1 }, { function: c, weight: 0 }] }
  - { path_prefix: /sticky, split: [{ function: a, weight: 50 }, { function: b, weight: 50 }], sticky: { cookie: session } }
`, named(t, "a"), named(t, "b"), named(t, "c")), parts{})
	got := map[byte]int{}
	for range 40 {
		_, body := g.asked("GET", "x.org", "/")
		got[body[0]]++
	}
	if got['a'] != 30 || got['b'] != 10 {
		t.Errorf("40 calls at 3 to 1 went to %v", got)
	}
	first := map[string]string{}
	for i := range 30 {
		session := fmt.Sprint(i % 10)
		_, body := g.asked("GET", "x.org", "/sticky", "Cookie: session="+session)
		if was := first[session]; was != "" && was != body {
			t.Errorf("session %s went to %s and %s", session, was, body)
		}
		first[session] = body
	}
}
