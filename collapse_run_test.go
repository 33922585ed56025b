package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Hundreds of clients ask for the same of a function that is down, and then of one that
// takes long: one start, one call each time, and each client has its own answer, line
// and count. A change of the configuration ends it while it runs.
func TestCollapsedInTheProgram(t *testing.T) {
	const n = 400
	var asked atomic.Int64
	goOn := make(chan bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-goOn
		fmt.Fprintf(w, "%s %s", r.URL.Path, strings.Repeat("x", 10_000))
	}))
	defer server.Close()
	dir := t.TempDir()
	file, log, boots := filepath.Join(dir, "weir.yaml"), filepath.Join(dir, "access.log"), filepath.Join(dir, "boots")
	doc := func(collapse string) string {
		return fmt.Sprintf(`listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: %q } }
functions:
  slow: { %s endpoints: [%q] }
  cold: { collapse: { ignore: [x-client] }, cold_start: { scaler: process, idle_after: 1h }, process: { command: [sh, -c, "while [ ! -e %s ]; do sleep 0.02; done; exec %s"], listen: fd } }
routes: [{ path_prefix: /slow, function: slow }, { path_prefix: /cold, function: cold }]
`, log, collapse, server.Listener.Addr(), boots, quick(t))
	}
	write(t, file, doc("collapse: { ignore: [x-client] },"))
	w := startRun(t, file)
	bodies := func(path string, waits func()) (all map[string]int) {
		t.Helper()
		all = map[string]int{}
		var mu sync.Mutex
		var work sync.WaitGroup
		client := http.Client{Transport: &http.Transport{}, Timeout: patience}
		defer client.CloseIdleConnections()
		for i := range n {
			work.Go(func() {
				r, _ := http.NewRequest(http.MethodGet, w.url+path, nil)
				r.Header.Set("X-Client", fmt.Sprint(i))
				res, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				mu.Lock()
				defer mu.Unlock()
				all[fmt.Sprint(res.StatusCode, " ", string(body), err)]++
			})
		}
		waits()
		work.Wait()
		return all
	}
	follow := func(function string) {
		eventually(t, "all but one follow", func() bool {
			return w.metric("weir_collapse_followers", fmt.Sprintf("function=%q", function)) == n-1
		})
	}
	all := bodies("/cold", func() {
		follow("cold")
		if held := w.metric("weir_held", `function="cold"`); held != 1 {
			t.Errorf("%v calls are held", held)
		}
		write(t, boots, "")
	})
	if at := w.metrics(); len(all) != 1 || w.sum(at, "weir_coldstarts_total", `function="cold"`) != 1 ||
		w.sum(at, "weir_collapsed_total", `function="cold"`, `result="shared"`) != n-1 || w.sum(at, "weir_upstream_attempts_total", `function="cold"`) != 1 {
		t.Errorf("%d different answers; %v starts, %v shared", len(all), w.sum(at, "weir_coldstarts_total"), w.sum(at, "weir_collapsed_total"))
	}
	all = bodies("/slow", func() {
		follow("slow")
		close(goOn)
	})
	if len(all) != 1 || asked.Load() != 1 || w.metric("weir_collapsed_total", `function="slow"`, `result="shared"`) != n-1 {
		t.Errorf("%d different answers, the endpoint was asked %d times, %v shared", len(all), asked.Load(), w.metric("weir_collapsed_total", `function="slow"`))
	}
	if at := w.metrics(); w.sum(at, "weir_http_requests_total", `function="slow"`) != n || w.sum(at, "weir_upstream_attempts_total", `function="slow"`) != 1 ||
		w.sum(at, "weir_collapse_followers") != 0 || w.sum(at, "weir_collapse_bytes") != 0 {
		t.Error("it is not counted so")
	}
	eventually(t, "the log has a line of each", func() bool {
		lines, _ := os.ReadFile(log)
		return strings.Count(string(lines), `"path":"/slow"`) == n && strings.Count(string(lines), `"function":"slow"`) == n &&
			strings.Count(string(lines), `"collapsed":"shared","collapsed_with":"`) >= n-1 && strings.Contains(string(lines), fmt.Sprintf(`"followers":%d`, n-1))
	})
	write(t, file, doc(""))
	w.says("configuration", "config", "reload")
	before := asked.Load()
	if bodies("/slow", func() {}); asked.Load() != before+n {
		t.Errorf("without collapse %d calls are %d", n, asked.Load()-before)
	}
}
