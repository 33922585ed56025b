package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/testkit"
)

// Tags that are garbage, huge, said twice or contradict each other, at a real agent
// and ten times a second: each costs itself, the one good tag of the same instance
// is obeyed, and no call fails.
func TestGarbageInTags(t *testing.T) {
	agent := testkit.StartConsul(t, "dc1", "")
	bad := []string{
		"urlprefix-", "weir.route=", "urlprefix-no-slash", "urlprefix-/{brace}", "urlprefix-bad host/", "urlprefix-/../x",
		"urlprefix-/a unknown=1", "urlprefix-/b weight=many", "urlprefix-/c strip=/d", "urlprefix-/%zz", "weir.route=/e priority=urgent",
		"urlprefix-/" + strings.Repeat("x", 10_000), "urlprefix-\u0000\ufffd/", "urlprefix-$HOME.com/", "urlprefix-:1 proto=tcp",
		"urlprefix-/twice strip=/twice", // after urlprefix-/twice
	}
	port := echoing(t, "f")
	service := func(tags ...string) testkit.ConsulService {
		return testkit.ConsulService{ID: "f-1", Name: "f", Address: "127.0.0.1", Port: port, Tags: tags}
	}
	good := []string{"urlprefix-/good", "urlprefix-/good", "urlprefix-/twice"}
	agent.Register(service(good...))
	config := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, config, fmt.Sprintf(`listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
discovery: { consul: { address: %q, tag_routes: true, empty_after: 2s } }
`, agent.Address))
	w := startRun(t, config)
	eventually(t, "the good one is obeyed", func() bool { return w.ask("any", "/good/x") == "f /good/x" })
	calls := loadOn(w.url + "/good")
	for range 20 {
		agent.Register(service(append(good, bad...)...))
		time.Sleep(50 * time.Millisecond)
		agent.Register(service(good...))
		time.Sleep(50 * time.Millisecond)
	}
	agent.Register(service(append(good, bad...)...))
	eventually(t, "the bad ones are told", func() bool { return strings.Count(w.refused(), `"what": "service f, tag `) == len(bad) })
	if got := w.ask("any", "/twice/x"); got != "f /twice/x" {
		t.Errorf("what is contradicted is answered by %q", got)
	}
	agent.Register(service(good...))
	eventually(t, "nothing is refused", func() bool { return !strings.Contains(w.refused(), "service f") })
	calls.more(t, 100)
	calls.end(t)
}
