package table

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/weir-gateway/weir/config"
)

// A router with another function leads where one leads that is made for it, and the
// one before goes on leading where it did.
func TestWithOthers(t *testing.T) {
	for seed := range uint64(50) {
		routes := randomRoutes(rand.New(rand.NewPCG(seed, 1)))
		r, before := routesTo(routes...)
		now := maps.Clone(before)
		name := fmt.Sprint(seed % uint64(len(routes)))
		now[name] = &Function{Function: config.Function{Name: name}}
		next, ok := r.withOthers(before, now, []string{name})
		if !ok {
			t.Fatal("it has to be built")
		}
		fresh, _ := buildRouter(&config.Config{Routes: routes}, now)
		for i, to := range fresh.routes {
			got := next.routes[i]
			if got.Index != to.Index || got.Function != now[to.Name] || got.conditions != r.routes[i].conditions {
				t.Errorf("place %d leads to %s of route %d, want %s of %d", i, got.Name, got.Index, to.Name, to.Index)
			}
			if r.routes[i].Function != before[to.Name] {
				t.Errorf("place %d leads elsewhere in the table before", i)
			}
		}
	}
}

// Where a function is in more than a route that leads to it, the router is built.
func TestWithOthersSpread(t *testing.T) {
	page := &config.WhileCold{WaitingPage: &config.WaitingPage{}}
	functions := map[string]*Function{}
	for _, name := range []string{"plain", "split", "mirror", "page", "new"} {
		functions[name] = &Function{Function: config.Function{Name: name}}
	}
	r, refused := buildRouter(&config.Config{Routes: []config.Route{
		{PathPrefix: "/a", Function: "plain", Mirror: &config.Mirror{Function: "mirror", Percent: 1}},
		{PathPrefix: "/b", Split: []config.Share{{Function: "split", Weight: 1}, {Function: "plain", Weight: 0}}},
		{PathPrefix: "/c", Function: "page", WhileCold: page},
		{PathPrefix: "/d", Function: "new"},
	}}, functions)
	if len(refused) > 0 {
		t.Fatal(refused)
	}
	for name, want := range map[string]bool{"plain": false, "split": false, "mirror": false, "page": false, "new": true} {
		now := maps.Clone(functions)
		now[name] = &Function{Function: config.Function{Name: name}}
		if _, ok := r.withOthers(functions, now, []string{name}); ok != want {
			t.Errorf("%s: without being built: %t, want %t", name, ok, want)
		}
	}
	if _, ok := r.withOthers(functions, map[string]*Function{}, []string{"new"}); ok {
		t.Error("a function that left is led to")
	}
}
