package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// coldRegion is the configuration of a function that is raised here as a process, which takes
// a while, and besides is served by another weir in the region away.
const coldRegion = `region: home
listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
regions: { home: { weight: 80 }, away: { weight: 20 } }
failover: { slow_start: { window: 2s } }
functions:
  f:
    endpoints: [{ address: %q, region: away }]
    cold_start: { scaler: process, prefer_warm_region: true, idle_after: 1m }
    process: { command: [%q], env: { %s: "yes", %s: 3s }, listen: fd }
routes: [{ path_prefix: /, function: f }]
`

// C35 with real processes in two places: while nobody is up at home, calls go at once to
// the weir in front of the other region, which starts nobody for them but has its own;
// one instance is started here meanwhile, and then has its share back.
func TestColdRegionOfProcesses(t *testing.T) {
	dir := t.TempDir()
	away := filepath.Join(dir, "away.yaml")
	write(t, away, fmt.Sprintf(`region: away
listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
functions:
  f:
    cold_start: { scaler: process, min_scale: 1 }
    process: { command: [%q], env: { %s: "yes" }, listen: fd }
routes: [{ path_prefix: /, function: f }]
`, os.Args[0], whoServes))
	there := startRun(t, away)
	eventually(t, "one is up there", func() bool { return there.metric("weir_endpoints", `state="healthy"`) == 1 })
	_, theirs, err := get(there.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(dir, "home.yaml")
	write(t, home, fmt.Sprintf(coldRegion, there.url[len("http://"):], os.Args[0], whoServes, whoBoots))
	here := startRun(t, home)

	calls, overflowed := 0, 0
	answered := map[string]int{}
	call := func() (who string) {
		t.Helper()
		res, body, err := get(here.url + "/")
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("call %d: %v %v %s", calls, err, res, body)
		}
		calls++
		if res.Header.Get("X-Weir-Cold") == "overflow" {
			overflowed++
		}
		answered[body]++
		return body
	}
	for here.metric("weir_endpoints", `region="home"`, `state="healthy"`) == 0 { // which takes 3 s
		if who := call(); who != theirs && here.metric("weir_endpoints", `region="home"`, `state="healthy"`) == 0 {
			t.Fatalf("call %d was answered by %s, and nobody is up here", calls, who)
		}
	}
	if calls < 50 || overflowed < calls/2 || overflowed == calls { // of a fifth of them away is the place anyway
		t.Errorf("%d calls came while nobody was up here, %d of them are said to have gone elsewhere", calls, overflowed)
	}
	if n := here.metric("weir_overflow_total"); int(n) != overflowed {
		t.Errorf("weir_overflow_total is %v, %d calls say overflow", n, overflowed)
	}
	eventually(t, "home has its share back", func() bool { return here.metric("weir_region_share", `region="home"`) == 0.8 })
	clear(answered)
	for range 1000 {
		call()
	}
	if n := answered[theirs]; n < 140 || n > 260 {
		t.Errorf("%d of 1000 calls go away, want 200", n)
	}
	for w, name := range map[*running]string{here: "here", there: "there"} {
		if n := w.metric("weir_coldstarts_total"); n != 1 {
			t.Errorf("%v starts %s", n, name)
		}
	}
	if n := here.metric("weir_hold_seconds_count"); n != 0 {
		t.Errorf("%v calls were held", n)
	}
}
