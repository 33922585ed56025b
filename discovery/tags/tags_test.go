package tags

import (
	"fmt"
	"hash/crc32"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/config"
)

func prefixes(all ...string) (list []netip.Prefix) {
	for _, text := range all {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

const registerNote = "its option register=name is left out, the route stands: weir registers nothing in Consul; register the name yourself"

// one is an instance that serves.
func one(tags ...string) []Instance { return []Instance{{Tags: tags, Serves: true}} }

// The examples of Fabio's quickstart and of its reference, and ours.
func TestRead(t *testing.T) {
	for tag, want := range map[string]Route{
		"urlprefix-/css":                                {Path: "/css"},
		"urlprefix-i.com/static":                        {Host: "i.com", Path: "/static"},
		"urlprefix-MySite.com/":                         {Host: "mysite.com", Path: "/"},
		"  urlprefix-*.example.com/A/ ":                 {Host: "*.example.com", Path: "/A"},
		"urlprefix-/foo/bar strip=/foo":                 {Path: "/foo/bar", Strip: "/foo"},
		"urlprefix-/bar prepend=/foo":                   {Path: "/bar", Prepend: "/foo"},
		"urlprefix-/foo/bar proto=https":                {Path: "/foo/bar", TLS: true},
		"urlprefix-/foo/bar proto=http":                 {Path: "/foo/bar"},
		"urlprefix-/a proto=https   tlsskipverify=true": {Path: "/a", TLS: true, Insecure: true},
		"urlprefix-/a weight=0.05":                      {Path: "/a", Weight: 0.05},
		"urlprefix-/a host=API.internal":                {Path: "/a", RewriteHost: "api.internal"},
		"urlprefix-/a host=dst":                         {Path: "/a", EndpointHost: true},
		"urlprefix-/a register=name":                    {Path: "/a", Notes: []string{registerNote}},
		"urlprefix-/a weight=2":                         {Path: "/a", Weight: 2},
		"urlprefix-/path redirect=301,http://a.com/b/":  {Path: "/path", Redirect: &Redirect{301, "http", "a.com", 0, "/b/", false}},
		"urlprefix-/path redirect=303,https://www.Foo.com$path": {
			Path: "/path", Redirect: &Redirect{303, "https", "www.foo.com", 0, "", true},
		},
		"urlprefix-/path strip=/path redirect=302,http://a.com:81/b/$path": {
			Path: "/path", Strip: "/path", Redirect: &Redirect{302, "http", "a.com", 81, "/b", true},
		},
		"urlprefix-MySite.com:80/ redirect=308,https://$host$path": {
			Host: "mysite.com", Scheme: "http", Path: "/", Redirect: &Redirect{308, "https", "", 0, "", true},
		},
		"urlprefix-mysite.com:443/": {Host: "mysite.com", Scheme: "https", Path: "/"},
		"urlprefix-/a allow=ip:10.0.0.0/8,ip:fe80::/10": {
			Path: "/a", Access: config.Access{Allow: prefixes("10.0.0.0/8", "fe80::/10")},
		},
		"urlprefix-/a deny=ip:10.0.0.0/8,ip:fe80::1234": {
			Path: "/a", Access: config.Access{Deny: prefixes("10.0.0.0/8", "fe80::1234/128")},
		},
		"urlprefix-/a deny=ip:fe80::1234,100.123.0.0/16": { // as an example of Fabio's has it
			Path: "/a", Access: config.Access{Deny: prefixes("fe80::1234/128", "100.123.0.0/16")},
		},

		"weir.route=/":                       {Path: "/"},
		"weir.route=api.example.com/a strip": {Host: "api.example.com", Path: "/a", Strip: "/a"},
		"weir.route=/a/b strip=/a prepend=/v2 methods=PUT,GET,GET": {
			Path: "/a/b", Strip: "/a", Prepend: "/v2", Methods: []string{"GET", "PUT"},
		},
		"weir.route=/a exact priority=high tls": {Path: "/a", Exact: true, Priority: "high", TLS: true},
		"weir.route=/a allow=10.0.0.1 deny=10.0.0.0/8": {
			Path: "/a", Access: config.Access{Allow: prefixes("10.0.0.1/32"), Deny: prefixes("10.0.0.0/8")},
		},
	} {
		routes, refused := Read("svc", one("blue", tag))
		want.Service, want.Tag, want.Instances, want.Serving = "svc", strings.TrimSpace(tag), 1, 1
		checkRoutes(t, routes)
		if len(refused) > 0 || len(routes) != 1 || !reflect.DeepEqual(routes[0], want) {
			t.Errorf("%s is %+v, %v; want %+v", tag, routes, refused, want)
		}
	}
}

// One bad tag costs one tag, and its reason is told.
func TestRefused(t *testing.T) {
	for tag, reason := range map[string]string{
		"urlprefix-":                                    "names no calls",
		"urlprefix-example.com":                         "has no slash: write it as in example.com/",
		"urlprefix-:3306 proto=tcp":                     "is about a port",
		"urlprefix-example.com:8080/":                   `its host has a port: "example.com:8080"; a route holds for every port`,
		"urlprefix-ex*mple.com/":                        "its host has a * in the wrong place",
		"urlprefix-${ENV}.example.com/":                 "has a variable in it that is not $DC",
		"urlprefix-/a/../b":                             "its path has a dot segment",
		"urlprefix-/a?b":                                `its path has a '?' in it`,
		"urlprefix-/a%2Fb%2":                            "its path has a broken percent-encoding",
		"urlprefix-/a proto=tcp":                        "has proto=tcp, which weir does not speak to endpoints",
		"urlprefix-/a proto=grpc":                       "has proto=grpc, which weir does not speak to endpoints",
		"urlprefix-/a proto=gopher":                     "has an unknown proto=gopher",
		"urlprefix-/a pxyproto=true":                    "has the option pxyproto: weir sends no PROXY protocol",
		"urlprefix-/a auth=mybasic":                     "has the option auth: weir asks nobody for a password",
		"urlprefix-/a grpcservername=a":                 "has the option grpcservername, which is for proto=grpcs",
		"urlprefix-/a tlsskipverify=true":               "says tlsskipverify, but not proto=https",
		"urlprefix-/a{b} strip=/a":                      "strips /a, which its path does not begin with",
		"urlprefix-/a/{b} strip=/a":                     "has a brace in its path",
		"urlprefix-/a host=b.c:80":                      "its option host is not the name of a host",
		"urlprefix-/a strip=/b":                         "strips /b, which its path does not begin with",
		"urlprefix-/ab strip=/a":                        "strips /a, which its path does not begin with",
		"urlprefix-/a strip":                            "its strip must begin with a slash",
		"urlprefix-/a weight=-1":                        `its weight must be a share as 0.05, not "-1"`,
		"urlprefix-/a weight=NaN":                       `its weight must be a share as 0.05`,
		"urlprefix-/a weight=5%":                        `its weight must be a share as 0.05`,
		"urlprefix-/a weight=.1 weight=.2":              "says weight twice",
		"urlprefix-/a redirect=301":                     "its redirect must be a status and a URL",
		"urlprefix-/a redirect=200,http://a/":           "its redirect must have one of the statuses",
		"urlprefix-/a redirect=301,/b":                  "its redirect does not lead to a URL",
		"urlprefix-/a redirect=301,javascript:alert(1)": "its redirect does not lead to a URL",
		"urlprefix-/a redirect=304,http://a/":           "its redirect must have one of the statuses",
		"urlprefix-/a redirect=301,https://a$path$x":    "its redirect may have $host, alone, and $path",
		"urlprefix-/a redirect=301,https://$hostx/":     "its redirect has something behind $host",
		"urlprefix-/a redirect=301,https://a/b?c=d":     "its redirect has a query or a fragment",
		"urlprefix-/a redirect=301,https://a/..$path":   "the path of its redirect has a dot segment",
		"urlprefix-/a redirect=301,https://a/{b}":       "has a brace in its path",
		"urlprefix-/a redirect=301,https://a:99999/":    "its redirect leads to no port",
		"urlprefix-/a redirect=301,https://*.a.b/":      "its redirect does not lead to a host",
		"urlprefix-/a redirect=301,https://u@a/":        "its redirect does not lead to a URL",
		"urlprefix-/a redirect=301,https://a/ strip=/a": "strips or prepends, and its redirect has no $path",
		"urlprefix-/a redirect=301,https://a/ host=dst": "redirects, and says besides",
		"urlprefix-/a allow=10.0.0.0/8":                 `its allow is not about ip: "10.0.0.0/8"`,
		"urlprefix-/a allow=ip:10.0.0.0/40":             "its allow has what is neither a network nor an address",
		"urlprefix-/a wizzle=1":                         `has an unknown option "wizzle"`,
		"urlprefix-/" + strings.Repeat("a", 5000):       "is longer than 4096 bytes",
		"weir.route=":                                   "names no calls",
		"weir.route=/a methods=get":                     `its methods have what is none: "get"`,
		"weir.route=/a priority=1":                      "its priority must be high, normal or low",
		"weir.route=/a exact=1":                         "its option exact has no value",
		"weir.route=/a proto=https":                     `has an unknown option "proto"`,
	} {
		routes, refused := Read("svc", one("urlprefix-/good", tag))
		if len(routes) != 1 || len(refused) != 1 || !strings.HasPrefix(refused[0].Reason, reason) {
			t.Errorf("%.80s: %d routes, refused %v; want %s", tag, len(routes), refused, reason)
			continue
		}
		if what := refused[0].What; !strings.HasPrefix(what, "service svc, tag ") || len(what) > 200 {
			t.Errorf("%.80s is called %s", tag, what)
		}
	}
}

// What an instance says twice is said once, and what contradicts is refused: the
// first in the order of the tags stands, whatever the order in which they come.
func TestTwice(t *testing.T) {
	for _, tags := range [][]string{
		{"urlprefix-/a", "urlprefix-/a/", "urlprefix-/a", "urlprefix-/a strip=/a"},
		{"urlprefix-/a strip=/a", "urlprefix-/a/", "urlprefix-/a"},
	} {
		metadata := map[string]string{"weir_route": "/a strip", "weir_route_2": "/b", "weir_route_3": "/a", "weird": "/c", "version": "1"}
		routes, refused := Read("svc", []Instance{{Tags: tags, Metadata: metadata}})
		var got []string
		for _, r := range routes {
			got = append(got, r.Path+" "+r.Strip)
		}
		for _, r := range refused {
			got = append(got, r.What+": "+r.Reason)
		}
		want := []string{
			"/a ", "/b ",
			`service svc, tag "urlprefix-/a strip=/a": contradicts tag "urlprefix-/a", which is about the same calls`,
			`service svc, tag "weir_route=/a strip": contradicts tag "urlprefix-/a", which is about the same calls`,
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q:\n%s\nwant\n%s", tags, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// A tag is for those who have it, metadata is for all.
func TestInstances(t *testing.T) {
	routes, refused := Read("svc", []Instance{
		{ID: "1", Datacenter: "east", Tags: []string{"urlprefix-/a", "urlprefix-/b"}, Serves: true},
		{ID: "2", Datacenter: "west", Tags: []string{"urlprefix-/b/", "urlprefix-/a"}},
		{ID: "3", Datacenter: "east", Tags: []string{"urlprefix-/a weight=0.1", "urlprefix-$DC.org/"}, Serves: true},
		{ID: "4", Datacenter: "east", Tags: []string{"urlprefix-/a weight=0.1"}, Metadata: map[string]string{"weir_route": "/m"}, Serves: true},
	})
	var got []string
	for _, r := range routes {
		got = append(got, fmt.Sprintf("%s: %d of %d, partial %v, %v", r.Tag, r.Serving, r.Instances, r.Partial, r.Datacenters))
	}
	for _, r := range refused {
		got = append(got, r.What+": "+r.Reason)
	}
	want := []string{
		"urlprefix-/a: 1 of 2, partial true, [east west]",
		"urlprefix-/a weight=0.1: 2 of 2, partial true, [east]",
		"urlprefix-/b: 1 of 1, partial true, [east]",
		"urlprefix-/b/: 0 of 1, partial true, [west]",
		"weir_route=/m: 3 of 4, partial false, [east west]",
		`service svc, tag "urlprefix-$DC.org/": has $DC in it, and its service is in several datacenters: weir counts their instances together`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("read:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	routes, _ = Read("svc", []Instance{{Datacenter: "East", Tags: []string{"urlprefix-${DC}.org/$DC"}}})
	if len(routes) != 1 || routes[0].Host != "east.org" || routes[0].Path != "/East" {
		t.Errorf("$DC is expanded to %+v", routes)
	}
}

// What becomes of calls, as a configuration says it.
func TestRegistered(t *testing.T) {
	for tag, want := range map[string]config.Route{
		"urlprefix-a.com/b":                                {Hosts: []string{"a.com"}, PathPrefix: "/b"},
		"urlprefix-/":                                      {PathPrefix: "/"},
		"urlprefix-/b/c strip=/b":                          {PathPrefix: "/b/c", Rewrite: &config.Rewrite{Prefix: "/c"}},
		"urlprefix-/b strip=/b":                            {PathPrefix: "/b", Rewrite: &config.Rewrite{Prefix: "/"}},
		"urlprefix-/b/ strip=/":                            {PathPrefix: "/b"},
		"urlprefix-/ prepend=/b":                           {PathPrefix: "/", Rewrite: &config.Rewrite{Prefix: "/b"}},
		"urlprefix-/b host=dst":                            {PathPrefix: "/b", Rewrite: &config.Rewrite{EndpointHost: true}},
		"weir.route=/b/c exact strip=/b":                   {Path: "/b/c", Rewrite: &config.Rewrite{Path: "/c"}},
		"weir.route=/b exact host=a.b":                     {Path: "/b", Rewrite: &config.Rewrite{Host: "a.b"}},
		"urlprefix-/b redirect=301,http://a.b":             {PathPrefix: "/b", Redirect: &config.Redirect{Status: 301, Scheme: "http", Host: "a.b", Path: "/", DropQuery: true}},
		"urlprefix-/b redirect=301,http://a.b/c/":          {PathPrefix: "/b", Redirect: &config.Redirect{Status: 301, Scheme: "http", Host: "a.b", Path: "/c/", DropQuery: true}},
		"urlprefix-/b redirect=301,http://a.b$path":        {PathPrefix: "/b", Redirect: &config.Redirect{Status: 301, Scheme: "http", Host: "a.b"}},
		"urlprefix-/b redirect=301,http://a.b:8/c/$path":   {PathPrefix: "/b", Redirect: &config.Redirect{Status: 301, Scheme: "http", Host: "a.b", Port: 8, Prefix: "/c/b"}},
		"urlprefix-/b strip=/b redirect=301,http://a$path": {PathPrefix: "/b", Redirect: &config.Redirect{Status: 301, Scheme: "http", Host: "a", Prefix: "/"}},
		"weir.route=/b exact redirect=301,http://a/c$path": {Path: "/b", Redirect: &config.Redirect{Status: 301, Scheme: "http", Host: "a", Path: "/c/b"}},
	} {
		routes, unread := Read("svc", one(tag))
		all, refused := Registered(routes)
		checkRoutes(t, routes)
		if len(all) != 1 || len(unread)+len(refused) > 0 || !reflect.DeepEqual(all[0].Route, want) {
			t.Errorf("%s is %+v, %v, %v; want %+v", tag, all, unread, refused, want)
		}
	}
	all, refused := Registered([]Route{{Service: "svc", Tag: "t", Path: "/", Partial: true, Serving: 3, Weight: 0.5, Datacenters: []string{"dc1"}, Notes: []string{"note"}}})
	if one := all[0]; one.Tag != "t" || one.Serving != 3 || one.Weight != 0.5 || one.Origin.String() != `registry service svc, tag "t" in dc1` {
		t.Errorf("registered is %+v", one)
	}
	if len(refused) != 1 || refused[0].Reason != "note" {
		t.Errorf("refused %v", refused)
	}
}

func TestForwarded(t *testing.T) {
	for _, c := range []struct{ path, strip, prepend, want string }{
		{"/", "", "", "/"}, {"/a", "", "", "/a"}, {"/a", "/a", "", "/"}, {"/a/b/", "/a", "", "/b"}, {"/a/b", "/a/", "/x", "/x/b"},
		{"/", "/", "/x/", "/x"}, {"/a", "", "/x", "/x/a"}, {"/a", "/", "", "/a"},
	} {
		r := Route{Path: c.path, Strip: c.strip, Prepend: c.prepend}
		if got := r.Forwarded(); got != c.want {
			t.Errorf("%s without %q behind %q is forwarded as %s, want %s", c.path, c.strip, c.prepend, got, c.want)
		}
	}
}

// Whatever a tag says, what comes out is a route that can stand in a
// configuration, and reading it again comes to the same.
func FuzzRead(f *testing.F) {
	for _, tag := range []string{
		"urlprefix-i.com/static strip=/static proto=https tlsskipverify=true", "urlprefix-/path redirect=303,https://www.foo.com$path",
		"urlprefix-/a allow=ip:10.0.0.0/8,ip:fe80::/10 weight=0.5", "weir.route=*.example.com/a/b strip methods=GET,PUT exact",
		"weir.route=/a host=b.c prepend=/d deny=::1", "urlprefix-:80 proto=tcp",
		"urlprefix-a.b:80/ redirect=301,https://$host/c/$path", "urlprefix-$DC.b/a strip=/a redirect=302,http://a:1/b", "urlprefix-/a host=dst register=b",
	} {
		f.Add(tag)
	}
	f.Fuzz(func(t *testing.T, tag string) {
		metadata := map[string]string{"weir_route": strings.TrimPrefix(tag, ours)}
		routes, refused := Read("svc", []Instance{{Tags: []string{tag}, Metadata: metadata, Datacenter: "dc1"}})
		again, _ := Read("svc", []Instance{{Tags: []string{tag, tag}, Metadata: metadata, Datacenter: "dc1"}})
		if !reflect.DeepEqual(routes, again) {
			t.Fatalf("%+v, and again %+v", routes, again)
		}
		for _, r := range refused {
			if r.Reason == "" || len(r.What) > 1000 {
				t.Fatalf("refused %+v", r)
			}
		}
		if crc32.ChecksumIEEE([]byte(tag))%32 == 0 { // it takes a hundred times as long as reading
			checkRoutes(t, routes)
		}
		for _, r := range routes {
			if r.Host != "" && config.CheckHost(r.Host) != nil || config.CheckPathPrefix(r.Path) != nil || config.CheckPathPrefix(r.Forwarded()) != nil {
				t.Fatalf("cannot stand in a configuration: %+v", r)
			}
			if r.Strip != "" && !strings.HasPrefix(r.Path+"/", strings.TrimRight(r.Strip, "/")+"/") {
				t.Fatalf("strips what is not there: %+v", r)
			}
		}
	})
}

// checkRoutes tells whether weir's own check has nothing against what a configuration
// makes of routes.
func checkRoutes(t *testing.T, routes []Route) {
	t.Helper()
	cfg, err := config.Parse("weir.yaml", []byte(`{ listeners: [{ address: ":80" }], discovery: { consul: {} }, functions: { f: { endpoints: ["127.0.0.1:1"] } }, routes: [{ hosts: [own.example.com], function: f }] }`))
	if err != nil {
		t.Fatal(err)
	}
	all, _ := Registered(routes)
	joined, _ := cfg.WithRegistered(all)
	if _, err := config.Parse("joined.yaml", config.Shown{Config: joined}.YAML()); err != nil {
		t.Fatalf("%+v cannot stand in a configuration: %v", routes, err)
	}
}
