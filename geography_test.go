package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/internal/testkit"
)

// Calls go to the region that is nearest to the client by a database, by that which
// takes its place, and by the last good one while a broken one is there.
func TestNearestRegionByADatabase(t *testing.T) {
	east, _ := serveHello(t)
	west, _ := serveHello(t)
	dir := t.TempDir()
	database := filepath.Join(dir, "city.mmdb")
	replace := func(content []byte) {
		t.Helper()
		next := filepath.Join(dir, "next")
		if err := os.WriteFile(next, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, database); err != nil {
			t.Fatal(err)
		}
	}
	nextTo := func(latitude, longitude float64) []byte {
		return testkit.Places(t, map[string][2]float64{"127.0.0.0/8": {latitude, longitude}})
	}
	replace(nextTo(48.86, 2.35))
	file := filepath.Join(dir, "weir.yaml")
	write(t, file, fmt.Sprintf(`listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
regions: { us-east: { location: [39.04, -77.49] }, eu-west: { location: [53.35, -6.26] } }
geography: { database: city.mmdb }
functions:
  f:
    endpoints: [{ address: %q, region: us-east }, { address: %q, region: eu-west }]
    load_balancing: { regions: nearest }
routes: [{ function: f }]
`, west, east))
	w := startRun(t, file)
	served := func(region string) float64 {
		return w.metric("weir_upstream_attempts_total", `region="`+region+`"`)
	}
	goTo := func(region, other string) bool {
		here, there := served(region), served(other)
		for range 5 {
			if res, _ := w.get("/"); res.StatusCode != 200 {
				t.Errorf("%d", res.StatusCode)
			}
		}
		// A try is counted once its answer is on its way: the last one may not be yet.
		eventually(t, "five tries are counted", func() bool { return served(region)+served(other) == here+there+5 })
		return served(region) == here+5
	}
	if !goTo("eu-west", "us-east") {
		t.Errorf("a client in Paris: us-east had %v calls, eu-west %v", served("us-east"), served("eu-west"))
	}
	w.says("eu-west  100.00 %", "explain", "--function", "f", "--client", "48.86,2.35")
	w.says("us-east  100.00 %", "explain", "--function", "f", "--client", "40.7,-74", "--health", "us-east=1/1,eu-west=1/1")
	w.says("eu-west  50.00 %", "explain", "--function", "f")
	if _, stderr, code := w.weir("explain", "--function", "f", "--client", "Paris"); code != 2 || !strings.Contains(stderr, `"Paris" is no place`) {
		t.Errorf("exit code %d, %s", code, stderr)
	}

	replace(nextTo(40.7, -74))
	eventually(t, "the new database holds", func() bool { return goTo("us-east", "eu-west") })
	replace([]byte("not a database"))
	eventually(t, "the mistake is counted", func() bool { return w.metric("weir_config_last_reload_successful") == 0 })
	if !goTo("us-east", "eu-west") {
		t.Error("a broken database is not the last word")
	}
	replace(nextTo(48.86, 2.35))
	eventually(t, "that is mended", func() bool { return goTo("eu-west", "us-east") })
}
