package consul

import (
	"testing"
	"time"
)

// Who serves goes on doing so when a registry that has lost everything knows it
// anew, with no check that has passed.
func TestGuardKeepsThoseThatServe(t *testing.T) {
	at := func(id, addr string, unproven bool) instance {
		return instance{Endpoint: Endpoint{ID: id, Addr: addr, Weight: 1, Unproven: unproven}}
	}
	standing := []instance{at("a", "127.0.0.1:1", false), at("b", "127.0.0.1:2", false), at("c", "127.0.0.1:3", true)}
	named := []instance{at("a", "127.0.0.1:1", true), at("b", "127.0.0.1:9", true), at("c", "127.0.0.1:3", true)}
	for _, doubt := range []bool{true, false} {
		g := guard{after: time.Minute}
		set, _ := g.pass(standing, named, nil, doubt, time.Unix(1000, 0))
		if len(set) != 3 || set[0].Unproven || !set[1].Unproven || !set[2].Unproven {
			t.Errorf("doubt %v: %+v", doubt, set)
		}
	}
	if !named[0].Unproven {
		t.Error("the answer was changed")
	}
}
