package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// whoServes is the environment's variable that makes the test binary a function which
// answers with its process id, after the milliseconds in the field X-Work.
const whoServes = "WEIR_TEST_WHO"

// whoBoots is how long it takes until it listens.
const whoBoots = "WEIR_TEST_WHO_BOOTS"

func serveWho() {
	boot, _ := time.ParseDuration(os.Getenv(whoBoots))
	time.Sleep(boot)
	ln, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		panic(err)
	}
	panic(http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		millis, _ := strconv.Atoi(r.Header.Get("X-Work"))
		time.Sleep(time.Duration(millis) * time.Millisecond)
		fmt.Fprint(w, os.Getpid())
	})))
}

// startHolders starts n routers that know each other and hold a function together, a
// route's prefix taken off.
func startHolders(t *testing.T, n int) (all []router) {
	t.Helper()
	var addresses []string
	for range n {
		ln, err := net.Listen("tcp", "127.84.11.1:0") // where nobody else takes ports
		if err != nil {
			t.Fatal(err)
		}
		_ = ln.Close()
		addresses = append(addresses, ln.Addr().String())
	}
	for _, address := range addresses {
		r := router{file: filepath.Join(t.TempDir(), "weir.yaml"), address: address}
		write(t, r.file, fmt.Sprintf(`listeners: [{ address: %q, trusted_proxies: [127.0.0.0/8] }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
peers: { addresses: ["%s"] }
functions:
  f:
    cold_start: { scaler: process, placement: one_router, concurrency: 4, idle_after: 1m }
    process: { command: [%q], env: { %s: "yes" }, listen: fd }
    retries: { attempts: 2 }
routes: [{ path_prefix: /f, function: f, rewrite: { strip_prefix: true } }]
`, address, strings.Join(addresses, `", "`), os.Args[0], whoServes))
		all = append(all, r)
	}
	for i := range all {
		all[i].running = startRun(t, all[i].file)
	}
	return all
}

// who calls a router, and returns the process that has answered.
func (r router) who(t *testing.T, work time.Duration) string {
	t.Helper()
	ask, err := http.NewRequest(http.MethodGet, r.url+"/f/x", http.NoBody)
	if err != nil {
		t.Error(err)
		return ""
	}
	ask.Header.Set("X-Work", strconv.Itoa(int(work.Milliseconds())))
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(ask)
	if err != nil {
		t.Errorf("%s: %v", r.address, err)
		return ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%s: %d %s %v", r.address, res.StatusCode, body, err)
	}
	return string(body)
}

// startsOf is how many instances the routers have started.
func startsOf(all ...router) (n int) {
	for _, r := range all {
		n += int(r.metric("weir_coldstarts_total"))
	}
	return n
}

// A function that is called now and then through three routers has one instance; when
// its holder is killed another router holds it, and no call fails. Calls beyond what one
// instance takes have instances of their own where they are.
func TestOneRouterHolds(t *testing.T) {
	all := startHolders(t, 3)
	first := all[0].who(t, 0)
	for i := range 12 {
		if now := all[i%3].who(t, 0); now != first {
			t.Errorf("call %d had process %s, the first one %s", i, now, first)
		}
	}
	eventually(t, "the start is counted", func() bool { return startsOf(all...) > 0 })
	if n := startsOf(all...); n != 1 {
		t.Errorf("%d starts for one function", n)
	}
	holder := -1
	for i, r := range all {
		if r.metric("weir_coldstarts_total") == 1 {
			holder = i
		}
	}
	if holder < 0 {
		t.Fatal("nobody holds the function")
	}
	out, in := 0.0, all[holder].metric("weir_handed_total", `direction="in"`)
	var others []router
	for i, r := range all {
		if i != holder {
			others = append(others, r)
			out += r.metric("weir_handed_total", `direction="out"`)
		}
	}
	if in != out || in < 8 {
		t.Errorf("%v calls were handed over, and %v received", out, in)
	}

	// As many as one instance takes are handed over, the others have their own.
	var work sync.WaitGroup
	var mu sync.Mutex
	answered := map[string]int{}
	for range 12 {
		work.Go(func() {
			pid := others[0].who(t, 300*time.Millisecond)
			mu.Lock()
			answered[pid]++
			mu.Unlock()
		})
	}
	work.Wait()
	if len(answered) != 2 || answered[first] != 4 {
		t.Errorf("12 calls at once were answered by %v, at most 4 should be from %s", answered, first)
	}
	if now := others[0].who(t, 0); now == first {
		t.Error("a call left the router that has an instance")
	}

	// The holder is killed: the next one holds the function.
	all[holder].signal(syscall.SIGKILL)
	for i := range 8 {
		_ = others[i%2].who(t, 0)
	}
	if n := startsOf(others...); n > 2 {
		t.Errorf("%d starts after the holder was killed", n)
	}
}
