package config

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Those who declare the same route may want its calls otherwise, but not others'
// calls: how they go on is each one's own.
func TestSharesWithTheirOwnRewrite(t *testing.T) {
	cfg, err := Parse("weir.yaml", []byte("listeners: [{ address: \":8080\" }]\ndiscovery: { consul: {} }\n"))
	if err != nil {
		t.Fatal(err)
	}
	strips := &Rewrite{Prefix: "/"}
	got, refused := cfg.WithRegistered([]Registered{
		{What: "one", Service: "one", Route: Route{PathPrefix: "/a", Rewrite: strips}},
		{What: "two", Service: "two", Route: Route{PathPrefix: "/a"}},
		{What: "closed", Service: "closed", Route: Route{PathPrefix: "/a", Access: Access{Deny: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}},
		{What: "alike", Service: "one", Route: Route{PathPrefix: "/b", Rewrite: strips}},
		{What: "alike too", Service: "two", Route: Route{PathPrefix: "/b", Rewrite: &Rewrite{Prefix: "/"}}},
	})
	if len(refused) != 1 || refused[0].What != "closed" {
		t.Errorf("refused is %v", refused)
	}
	own := func(route, share int) string {
		rewrite, ok := got.Routes[route].Split[share].OwnRewrite()
		return fmt.Sprint(ok, rewrite)
	}
	if one, two := own(0, 0), own(0, 1); one != fmt.Sprint(true, strips) || two != fmt.Sprint(true, &Rewrite{}) || got.Routes[0].Rewrite != nil {
		t.Errorf("of one route the first has %s, the second %s", one, two)
	}
	if one, two := own(1, 0), own(1, 1); one != "false <nil>" || two != one || !reflect.DeepEqual(got.Routes[1].Rewrite, strips) {
		t.Errorf("of those alike the first has %s, the second %s", one, two)
	}
}

// What services declare comes beneath what stands in the configuration, and
// with its defaults; one that cannot be had costs itself.
func TestWithRegistered(t *testing.T) {
	const doc = `listeners: [{ address: ":8080" }]
discovery: { consul: {} }
defaults: { timeouts: { request: 3s } }
functions:
  own: { endpoints: ["127.0.0.1:9001"] }
  known: { service: known, timeouts: { request: 7s } }
routes: [{ path_prefix: /own, function: own }, { hosts: [a.com], function: own }]
`
	cfg, err := Parse("weir.yaml", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	before, _ := Parse("weir.yaml", []byte(doc))
	got, refused := cfg.WithRegistered([]Registered{
		{What: "new", Service: "New", Route: Route{PathPrefix: "/new", Hosts: []string{"b.com"}}},
		{What: "secure", Service: "secure", HTTPS: true, Insecure: true, Route: Route{PathPrefix: "/secure", Priority: "high"}},
		{What: "known", Service: "known", Route: Route{PathPrefix: "/known"}},
		{What: "taken by the configuration", Service: "new", Route: Route{PathPrefix: "/own/"}},
		{What: "taken by the configuration at a host", Service: "new", Route: Route{PathPrefix: "/", Hosts: []string{"a.com"}}},
		{What: "taken otherwise by another service", Service: "later", Route: Route{PathPrefix: "/secure"}},
		{What: "shared", Service: "later", Route: Route{PathPrefix: "/known"}, Serving: 2},
		{What: "to nobody", Service: "no function", Route: Route{PathPrefix: "/old", Redirect: &Redirect{Status: 301, Path: "/new"}}},
		{What: "another function", Service: "own", Route: Route{PathPrefix: "/x"}},
		{What: "a name in other letters", Service: "NEW", Route: Route{PathPrefix: "/y"}},
		{What: "no name", Service: "a b", Route: Route{PathPrefix: "/z"}},
		{What: "of two minds", Service: "secure", Route: Route{PathPrefix: "/plain"}},
	})
	if !reflect.DeepEqual(cfg, before) {
		t.Error("the configuration itself has changed")
	}
	var routes, reasons []string
	for _, r := range got.Routes {
		routes = append(routes, strings.Join(r.Hosts, ",")+r.PathPrefix+" "+r.Target()+" "+r.Priority)
	}
	for _, r := range refused {
		reasons = append(reasons, r.What+": "+r.Reason)
	}
	if want := []string{"/own own normal", "a.com/ own normal", "b.com/new new normal", "/secure secure high", "/known known=0 later=2 ", "/old redirect 301 /new normal"}; !slices.Equal(routes, want) {
		t.Errorf("routes are %q, want %q", routes, want)
	}
	want := []string{
		"taken by the configuration: its calls are those of a route of the configuration already",
		"taken by the configuration at a host: its calls are those of a route of the configuration already",
		"taken otherwise by another service: its calls are those of secure already, which says otherwise what becomes of them",
		"another function: there is a function own already, and it is not that service",
		"a name in other letters: there is a function new already, and it is not that service",
		`no name: service "a b" cannot be the name of a function: up to 63 letters, digits, dots, dashes and underscores`,
		"of two minds: another route of service secure, or the configuration, says of its instances that they speak http otherwise",
	}
	if !slices.Equal(reasons, want) {
		t.Errorf("refused:\n%s\nwant\n%s", strings.Join(reasons, "\n"), strings.Join(want, "\n"))
	}
	for name, request := range map[string]string{"new": "3s", "secure": "3s", "known": "7s", "own": "3s"} {
		if fn := got.Functions[name]; fn.Name != name || fn.Timeouts.Request.String() != request || fn.ColdStart.MaxScale < 1 {
			t.Errorf("function %s is %+v", name, fn)
		}
	}
	if fn := got.Functions["secure"]; fn.ServiceScheme != "https" || !fn.TLS.InsecureSkipVerify || got.Functions["new"].TLS.InsecureSkipVerify {
		t.Errorf("secure is %+v", fn)
	}
}

// Who asks for a share has it for each instance that serves, the others have what is
// left.
func TestShares(t *testing.T) {
	one := func(weight float64, serving int) member {
		return member{"", Registered{Weight: weight, Serving: serving}}
	}
	for _, c := range []struct {
		members []member
		want    []int
	}{
		{[]member{one(0, 3), one(0, 1)}, []int{3, 1}},
		{[]member{one(0, 3), one(0, 0)}, []int{3, 0}},
		{[]member{one(0, 0), one(0, 0)}, []int{1, 1}},
		{[]member{one(0.05, 1), one(0, 1)}, []int{500, 9500}},
		{[]member{one(0.05, 2), one(0, 3), one(0, 1)}, []int{1000, 6750, 2250}},
		{[]member{one(0.2, 1), one(0.3, 1)}, []int{4000, 6000}}, // all ask for one: scaled up
		{[]member{one(3, 1), one(1, 1)}, []int{3, 1}},           // and down
		{[]member{one(1, 1), one(0, 5)}, []int{1, 0}},
		{[]member{one(0.05, 0), one(0, 1)}, []int{0, 1}},
		{[]member{one(1e-9, 1), one(0, 1)}, []int{1, 9999}},
		{[]member{one(0, 200_000), one(0, 1), one(0, 100_000)}, []int{6666, 1, 3333}},
	} {
		if got := sharesOf(c.members); !slices.Equal(got, c.want) {
			t.Errorf("%+v share as %d, want %d", c.members, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var members []member
		for range rapid.IntRange(2, mostShares).Draw(t, "members") {
			weight := 0.0
			if rapid.Bool().Draw(t, "fixed") {
				weight = rapid.Float64Range(0.0001, 2).Draw(t, "weight")
			}
			members = append(members, one(weight, rapid.IntRange(0, 300).Draw(t, "serving")))
		}
		parts, sum := portions(members)
		weights := sharesOf(members)
		all := 0
		for _, w := range weights {
			all += w
		}
		if all < 1 || all > mostWeight {
			t.Fatalf("%v are %d in all", weights, all)
		}
		for i, w := range weights {
			if share := parts[i] / sum; (w > 0) != (share > 0) || math.Abs(float64(w)/float64(all)-share) > (mostShares+1)/float64(mostWeight) {
				t.Fatalf("%d of %v is not %.5f", w, weights, share)
			}
		}
	})
}

// Instances of one service that say different things of the same calls are told
// apart by their tags, with the settings of their service.
func TestRegisteredApart(t *testing.T) {
	cfg, err := Parse("weir.yaml", []byte(`listeners: [{ address: ":8080" }]
discovery: { consul: {} }
functions:
  known: { service: known, service_tags: [v1], timeouts: { request: 7s } }
  raised: { service: raised, cold_start: { scaler: process }, process: { command: [true], listen: fd } }
routes: [{ path_prefix: /, function: known }]
`))
	if err != nil {
		t.Fatal(err)
	}
	place := func(s string) Origin { return Origin{Layer: "registry", Place: s} }
	all := []Registered{
		{Service: "known", Tag: "a", Serving: 3, Route: Route{PathPrefix: "/a"}, Origin: place("one")},
		{Service: "known", Tag: "b", Serving: 1, Weight: 0.1, Route: Route{PathPrefix: "/a"}, Origin: place("two")},
		{Service: "known", Serving: 4, Route: Route{PathPrefix: "/b"}, Origin: place("three")},
		{Service: "raised", Tag: "c", Serving: 1, Route: Route{PathPrefix: "/c"}, Origin: place("four")},
		{Service: "raised", Tag: "d", Serving: 1, Route: Route{PathPrefix: "/c"}, Origin: place("five")},
		{Service: strings.Repeat("x", 60), Tag: "e", Route: Route{PathPrefix: "/e"}},
	}
	for i := range mostShares {
		all = append(all, Registered{Service: fmt.Sprint("many", i), Serving: 1, Route: Route{PathPrefix: "/many"}})
	}
	got, refused := cfg.WithRegistered(append(all, Registered{What: "one more", Service: "more", Route: Route{PathPrefix: "/many"}}))
	a, b := partOf("known", "a"), partOf("known", "b")
	var routes []string
	for i, r := range got.Routes[1:4] {
		routes = append(routes, r.PathPrefix+" "+r.Target()+" from "+got.Origin(routePath(i+1)).String())
	}
	want := []string{"/a " + a + "=9000 " + b + "=1000 from registry one; two", "/b known from registry three", "/c raised from registry four"}
	if !slices.Equal(routes, want) {
		t.Errorf("routes are %q, want %q", routes, want)
	}
	if fn := got.Functions[b]; fn.Name != b || fn.Timeouts.Request != 7*time.Second || !slices.Equal(fn.ServiceTags, []string{"v1", "b"}) || fn.Service != "known" {
		t.Errorf("%s is %+v", b, fn)
	}
	if !got.FromRegistry(b) || got.FromRegistry("known") || cfg.FromRegistry(b) {
		t.Error("it is not told who declares a function")
	}
	var reasons []string
	for _, r := range refused {
		reasons = append(reasons, r.Reason)
	}
	wrong := []string{
		"its calls are those of  already", "the name of service " + strings.Repeat("x", 60) + " is too long to tell its instances apart by their tags: 54 letters at most",
		"its calls are those of 16 others already, and a route has no more",
	}
	if !slices.Equal(reasons, wrong) {
		t.Errorf("refused %q, want %q", reasons, wrong)
	}

	same, _ := cfg.WithRegistered(all)
	if again, _ := cfg.WithRegistered(slices.Clone(all)); !same.SameRegistered(again) {
		t.Error("the same is taken for something else")
	}
	all[0].Serving = 30 // the share of the other is fixed
	if again, _ := cfg.WithRegistered(all); !same.SameRegistered(again) {
		t.Error("what changes no share is taken for a change")
	}
	all[1].Serving = 2
	again, _ := cfg.WithRegistered(all)
	if same.SameRegistered(again) || same.SameRegistered(cfg) || cfg.SameRegistered(same) {
		t.Error("a change is taken for the same")
	}
	delete(same.Functions, "known")
	if bridge := again.Bridge(same); len(bridge.Functions) != len(again.Functions) || !reflect.DeepEqual(bridge.Routes, same.Routes) || bridge.Origin("functions."+b).Place != "two" {
		t.Errorf("the bridge is %+v", bridge)
	}
}

// What it costs that one of a thousand services that declare a route has changed.
func BenchmarkWithRegistered(b *testing.B) {
	cfg, err := Parse("weir.yaml", []byte(`{ listeners: [{ address: ":80" }], discovery: { consul: {} }, functions: { f: { endpoints: ["127.0.0.1:1"] } }, routes: [{ path: /own, function: f }] }`))
	if err != nil {
		b.Fatal(err)
	}
	var all []Registered
	for n := range 1000 {
		all = append(all, Registered{
			Service: fmt.Sprint("s", n), Serving: 3, Origin: Origin{Layer: "registry", Place: fmt.Sprint("service s", n)},
			Route: Route{PathPrefix: fmt.Sprint("/s", n), Rewrite: &Rewrite{Prefix: "/"}},
		})
	}
	last, _ := cfg.WithRegistered(all)
	b.ReportAllocs()
	for b.Loop() {
		next, _ := cfg.WithRegistered(all)
		if !last.SameRegistered(next) {
			b.Fatal("the same is taken for something else")
		}
	}
}
