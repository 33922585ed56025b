package table

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/config"
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
	return buildRouter(routes, functions), functions
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
		got := r.match([]byte(host), []byte(path))
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
		if fn := r.match([]byte("x.org"), []byte(path)); fn != nil {
			t.Errorf("%s leads to %s", path, fn.Name)
		}
	}
}

// naive is the rule as the documentation says it, without any structure.
func naive(routes []config.Route, host, path string) string {
	best, bestRank := "", -1
	for _, route := range routes {
		prefix := strings.TrimRight(route.PathPrefix, "/")
		if path != prefix && !strings.HasPrefix(path, prefix+"/") {
			continue
		}
		hosts := route.Hosts
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, h := range hosts {
			rank := len(prefix)
			switch below, wild := strings.CutPrefix(h, "*"); {
			case h == host && h != "":
				rank += 1_000_000
			case wild && strings.HasSuffix(host, below) && len(host) > len(below):
				rank += 1000 * len(below)
			case h != "":
				continue
			}
			if rank > bestRank {
				best, bestRank = route.Function, rank
			}
		}
	}
	return best
}

func FuzzMatch(f *testing.F) {
	hosts := []string{"", "x.org", "*.x.org", "*.y.x.org", "y.x.org"}
	prefixes := []string{"/", "/a", "/a/b", "/b/", "/a/b/c", "/ab"}
	f.Add(uint64(0x123456789), "y.x.org", "/a/b/c")
	f.Fuzz(func(t *testing.T, pick uint64, host, path string) {
		if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || strings.HasPrefix(host, ".") || strings.Contains(host, "..") || strings.HasPrefix(host, "*") {
			t.Skip("not what reaches the router")
		}
		var routes []config.Route
		for i, h := range hosts {
			for j, p := range prefixes {
				if pick>>(i*len(prefixes)+j)&1 == 1 {
					route := config.Route{PathPrefix: p}
					if h != "" {
						route.Hosts = []string{h}
					}
					routes = append(routes, route)
				}
			}
		}
		r, _ := routesTo(routes...)
		got := ""
		if fn := r.match([]byte(host), []byte(path)); fn != nil {
			got = fn.Name
		}
		if want := naive(routes, host, path); got != want {
			t.Errorf("%q %q leads to %q, want %q", host, path, got, want)
		}
	})
}

func many(n int) (router, [][2][]byte) {
	var routes []config.Route
	var calls [][2][]byte
	for i := range n {
		host := fmt.Sprintf("host-%d.example.com", i%(n/10))
		prefix := fmt.Sprintf("/api/v%d/resource", i/(n/10))
		routes = append(routes, config.Route{Hosts: []string{host}, PathPrefix: prefix})
		calls = append(calls, [2][]byte{[]byte(host), []byte(prefix + "/item/42")})
	}
	r, _ := routesTo(routes...)
	return r, calls
}

func TestMatchAllocs(t *testing.T) {
	r, calls := many(100)
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		call := calls[i%len(calls)]
		i++
		if r.match(call[0], call[1]) == nil {
			t.Fatal("no route")
		}
	}); n > 0 {
		t.Errorf("a match allocates %.0f times", n)
	}
}

// BenchmarkMatch: 10,000 routes on 1,000 hosts, every call another one.
func BenchmarkMatch(b *testing.B) {
	r, calls := many(10_000)
	i := 0
	for b.Loop() {
		call := calls[i*7919%len(calls)]
		i++
		if r.match(call[0], call[1]) == nil {
			b.Fatal("no route")
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
	host := []byte("localhost")
	i := 0
	for b.Loop() {
		if r.match(host, paths[i*7919%len(paths)]) == nil {
			b.Fatal("no route")
		}
		i++
	}
}
