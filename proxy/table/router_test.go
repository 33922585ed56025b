package table

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// routesTo builds a router whose functions are named after their routes.
func routesTo(routes ...config.Route) (router, map[string]*Function) {
	functions := map[string]*Function{}
	for i := range routes {
		if routes[i].Function == "" {
			routes[i].Function = strings.Join(routes[i].Hosts, ",") + routes[i].PathPrefix
		}
		functions[routes[i].Function] = &Function{Function: config.Function{Name: routes[i].Function}}
	}
	r, refused := buildRouter(&config.Config{Routes: routes}, functions)
	if len(refused) > 0 {
		panic(refused[0].Reason)
	}
	return r, functions
}

// find is match for a request that has nothing but a host and a path.
func (r *router) find(host, path []byte) *Route {
	request := message.Request{Host: host, Path: path}
	return r.match(&search{request: &request, path: path})
}

func TestMatch(t *testing.T) {
	r, _ := routesTo(
		config.Route{PathPrefix: "/"},
		config.Route{PathPrefix: "/a"},
		config.Route{PathPrefix: "/a/b/"},
		config.Route{Hosts: []string{"x.org"}, PathPrefix: "/a"},
		config.Route{Hosts: []string{"x.org"}, PathPrefix: "/only"},
		config.Route{Hosts: []string{"*.x.org"}, PathPrefix: "/"},
		config.Route{Hosts: []string{"*.deep.x.org"}, PathPrefix: "/d"},
	)
	f := func(host, path, want string) {
		t.Helper()
		got := r.find([]byte(host), []byte(path))
		if got == nil || got.Name != want {
			t.Errorf("%s%s leads to %v, want %s", host, path, got, want)
		}
	}
	f("y.org", "/", "/")
	f("y.org", "/b", "/")
	f("y.org", "/a", "/a")
	f("y.org", "/a/", "/a")
	f("y.org", "/ab", "/") // by segment
	f("y.org", "/a/b", "/a/b/")
	f("y.org", "/a/b/c/d", "/a/b/")
	f("y.org", "/a/bc", "/a")
	f("x.org", "/a/b", "x.org/a") // the host before the longer prefix
	f("x.org", "/b", "/")         // none of its own
	f("x.org", "/only/x", "x.org/only")
	f("www.x.org", "/", "*.x.org/")
	f("a.b.x.org", "/a", "*.x.org/")
	f("a.deep.x.org", "/d/e", "*.deep.x.org/d")
	f("a.deep.x.org", "/e", "*.x.org/")
	f("", "/", "/")
	f("y.org", "*", "/")
}

func TestNoRoute(t *testing.T) {
	r, _ := routesTo(config.Route{Hosts: []string{"x.org"}, PathPrefix: "/a"})
	for _, path := range []string{"/", "/b", "/ab", "*"} {
		if fn := r.find([]byte("x.org"), []byte(path)); fn != nil {
			t.Errorf("%s leads to %s", path, fn.Name)
		}
	}
}

// many are n routes on a tenth as many hosts, of each host five prefixes, two
// exact paths and two templates, of which one asks for a method, and a prefix for
// those who send a field; and a call for each.
func many(n int) (router, []message.Request) {
	var routes []config.Route
	var calls []message.Request
	one := "1"
	rules := []config.Route{
		{PathPrefix: "/"}, {PathPrefix: "/api/v1/orders"}, {PathPrefix: "/api/v1/customers"}, {PathPrefix: "/api/v2"},
		{PathPrefix: "/static"}, {Path: "/login"}, {Path: "/api/v1/orders/search"},
		{PathTemplate: "/api/v1/users/{id}/posts"}, {PathTemplate: "/api/v1/users/{id}", Methods: []string{"GET", "PUT"}},
		{PathPrefix: "/api/v2", Headers: []config.Condition{{Name: "x-canary", Exact: &one}}},
	}
	paths := []string{
		"/index.html", "/api/v1/orders/4711", "/api/v1/customers/12/orders", "/api/v2/things/1", "/static/js/app.js",
		"/login", "/api/v1/orders/search", "/api/v1/users/4711/posts", "/api/v1/users/4711", "/api/v2/things/2",
	}
	for i := range n {
		host := fmt.Sprintf("host-%d.example.com", i/len(rules))
		route := rules[i%len(rules)]
		route.Hosts = []string{host}
		route.Function = fmt.Sprint("f", i%len(rules))
		routes = append(routes, route)
		call := message.Request{Host: []byte(host), Path: []byte(paths[i%len(rules)]), Method: []byte("GET")}
		name := "Accept"
		if i%len(rules) == 9 {
			name = "X-Canary"
		}
		call.Fields = []message.Field{
			{Name: []byte("User-Agent"), Value: []byte("test"), ID: message.UserAgent}, {Name: []byte(name), Value: []byte("1"), ID: message.Lookup([]byte(name))},
		}
		calls = append(calls, call)
	}
	r, _ := routesTo(routes...)
	return r, calls
}

func TestManyRoutes(t *testing.T) {
	r, calls := many(100)
	for i := range calls {
		if to := r.match(&search{request: &calls[i], path: calls[i].Path}); to == nil || to.Index != i {
			t.Errorf("call %d for %s%s leads to %v", i, calls[i].Host, calls[i].Path, to)
		}
	}
}

func TestMatchAllocs(t *testing.T) {
	routes := append(matchRules(), config.Route{PathPrefix: "/"})
	tab := &Table{}
	tab.routes, _ = routesTo(routes...)
	calls := []message.Request{
		{Path: []byte("/exact")}, {Path: []byte("/users/12/posts")}, {Path: []byte("/v12/x")}, {Path: []byte("/prefix/a/b")}, {Path: []byte("/none")},
		{Path: []byte("/query"), Query: []byte("a=1&v%65rsion=2%20x&c")}, {Path: []byte("/post"), Method: []byte("DELETE")},
		{Path: []byte("/cookie"), Fields: []message.Field{{Name: []byte("Cookie"), ID: message.Cookie, Value: []byte("a=1; session=\"b12\"")}}},
	}
	for i := range calls {
		calls[i].Host = []byte("www.x.org")
	}
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		call := &calls[i%len(calls)]
		i++
		if to, _ := tab.Match(call, call.Path); to == nil {
			t.Fatal("no route")
		}
	}); n > 0 {
		t.Errorf("a match allocates %.1f times", n)
	}
}

// BenchmarkMatch: 100,000 routes on 10,000 hosts, every call for another one. The
// request itself is in the cache, as it is when it has just been read; the routes
// are not.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprint("routes=", n), func(b *testing.B) {
			r, calls := many(n)
			calls = slices.Clone(calls[:10])
			runtime.GC() // what is left of making them is none of a match's business
			b.ReportAllocs()
			host := make([]byte, 0, 64)
			i := uint64(0)
			for b.Loop() {
				i = i*6364136223846793005 + 1442695040888963407
				call := &calls[i>>40%10]
				host = strconv.AppendUint(append(host[:0], "host-"...), i>>33%uint64(n/10), 10)
				host = append(host, ".example.com"...)
				call.Host = host
				if r.match(&search{request: call, path: call.Path}) == nil {
					b.Fatal("no route")
				}
			}
		})
	}
}

// BenchmarkMatchOwnPaths: 100,000 routes on 10,000 hosts, of which no two have a path
// in common; every call is for another host, and for each of its ten routes in turn.
func BenchmarkMatchOwnPaths(b *testing.B) {
	const hosts = 10_000
	var routes []config.Route
	for i := range hosts {
		host := []string{fmt.Sprintf("host-%d.example.com", i)}
		for n := range 4 {
			routes = append(routes, config.Route{Hosts: host, PathPrefix: fmt.Sprintf("/prefix-%d-%d", n, i)})
		}
		for n := range 3 {
			routes = append(routes,
				config.Route{Hosts: host, Path: fmt.Sprintf("/exact-%d-%d", n, i)},
				config.Route{Hosts: host, PathTemplate: fmt.Sprintf("/users-%d-%d/{id}/posts", n, i)})
		}
	}
	r, _ := routesTo(routes...)
	runtime.GC()
	kinds := [10][2]string{
		{"/prefix-0-", "/a"}, {"/exact-0-", ""}, {"/users-0-", "/7/posts"}, {"/prefix-1-", ""}, {"/exact-1-", ""},
		{"/users-1-", "/12/posts"}, {"/prefix-2-", "/a/b"}, {"/exact-2-", ""}, {"/users-2-", "/x/posts"}, {"/prefix-3-", "/"},
	}
	call := &message.Request{}
	host, path := make([]byte, 0, 64), make([]byte, 0, 64)
	i := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		i = i*6364136223846793005 + 1442695040888963407
		kind, of := &kinds[i>>40%10], i>>33%hosts
		host = append(strconv.AppendUint(append(host[:0], "host-"...), of, 10), ".example.com"...)
		path = append(strconv.AppendUint(append(path[:0], kind[0]...), of, 10), kind[1]...)
		call.Host, call.Path = host, path
		if r.match(&search{request: call, path: path}) == nil {
			b.Fatalf("no route for %s%s", host, path)
		}
	}
}

// BenchmarkMatchOneHost: 10,000 routes without a host.
func BenchmarkMatchOneHost(b *testing.B) {
	var routes []config.Route
	var paths [][]byte
	for i := range 10_000 {
		prefix := fmt.Sprintf("/function-%d", i)
		routes = append(routes, config.Route{PathPrefix: prefix})
		paths = append(paths, []byte(prefix+"/x"))
	}
	r, _ := routesTo(routes...)
	call := &message.Request{Host: []byte("localhost")}
	i := 0
	for b.Loop() {
		call.Path = paths[i*7919%len(paths)]
		if r.match(&search{request: call, path: call.Path}) == nil {
			b.Fatal("no route")
		}
		i++
	}
}

// A match of 100,000 routes costs what the memory it touches does.
func TestLayout(t *testing.T) {
	if n := unsafe.Sizeof(plan{}); n != 128 {
		t.Errorf("a plan has %d bytes, want two lines of 64", n)
	}
	if n := unsafe.Sizeof(hostSlot{}); n != 16 {
		t.Errorf("the slot of a host has %d bytes, want 16", n)
	}
}
