package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// quick builds a function that starts as fast as a program can.
func quick(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "quick")
	build := exec.Command("go", "build", "-o", file, "./testdata/quick")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}

// starts are those of a function that somebody or something wanted.
func (w *running) starts(function, trigger string) int {
	w.t.Helper()
	return int(w.metric("weir_coldstarts_total", fmt.Sprintf("function=%q", function), fmt.Sprintf("trigger=%q", trigger)))
}

// Who calls every 600 ms finds the function up once weir has noticed, though it
// is put back 50 ms after each call. Buckets are 10 ms here. What is called right
// after another is started with it from the 21st time on, however irregular
// that other is. Whom nobody can predict costs no more than two instances all the
// time, which is the budget.
func TestWhoIsExpected(t *testing.T) {
	const period, learning, after = 600 * time.Millisecond, 11, 9
	file := filepath.Join(t.TempDir(), "weir.yaml")
	function := fmt.Sprintf(`
    cold_start: { scaler: process, idle_after: 50ms, min_up: 0s, grace: 1ms, predict: histogram, predict_range: 2400ms }
    process: { command: [%q], listen: fd }`, quick(t))
	irregular := strings.Replace(function, "2400ms", "240ms", 1) // all their gaps are beyond
	write(t, file, `listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
cold_start: { max_prewarmed: 2 }
functions:
  regular:`+function+`
  moody:`+function+`
  leader:`+irregular+`
  follower:`+irregular+`
routes:
  - { path_prefix: /leader, function: leader }
  - { path_prefix: /follower, function: follower }
  - { path_prefix: /regular, function: regular }
  - { path_prefix: /moody, function: moody }
`)
	w := startRun(t, file)
	began := time.Now()
	call := func(path string) {
		if res, body, err := get(w.url + path); err != nil || res.StatusCode != 200 {
			t.Errorf("%s: %v %v %s", path, err, res, body)
		}
	}
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for mood := rand.New(rand.NewPCG(1, 1)); ; {
			select {
			case <-done:
				return
			case <-time.After(time.Duration(mood.Int64N(int64(2 * time.Second)))):
				call("/moody")
			}
		}
	})
	work.Go(func() {
		spell := rand.New(rand.NewPCG(2, 2))
		for range 27 {
			time.Sleep(250*time.Millisecond + time.Duration(spell.Int64N(int64(250*time.Millisecond))))
			call("/leader")
			call("/follower")
		}
	})
	tick := time.NewTicker(period)
	defer tick.Stop()
	for range learning {
		call("/regular")
		<-tick.C
	}
	learned := w.starts("regular", "demand")
	for range after {
		call("/regular")
		<-tick.C
	}
	close(done)
	work.Wait()
	cold, ahead := w.starts("regular", "demand")-learned, w.starts("regular", "predict")
	used := w.metric("weir_prewarm_total", `function="regular"`, `used="true"`)
	t.Logf("%d calls: %d were cold while learning, %d of %d after that; %d starts ahead, %v of them used", learning+after, learned, cold, after, ahead, used)
	if learned < learning-2 { // else the test shows nothing: the function was up anyway
		t.Errorf("while learning, only %d of %d calls were cold", learned, learning)
	}
	if cold > after/2 {
		t.Errorf("%d of %d calls were cold although they were to be expected", cold, after)
	}
	followed, alone := w.starts("follower", "chain"), w.starts("follower", "demand")
	t.Logf("the follower was started %d times by its own call, %d times by the leader's", alone, followed)
	if alone < 10 || followed == 0 { // it may still have been up now and then
		t.Error("want 20 to learn from, and some after that")
	}
	if wasted := w.metric("weir_prewarm_wasted_seconds_total"); wasted > 2*time.Since(began).Seconds() {
		t.Errorf("for nobody, instances stood %v s within %v", wasted, time.Since(began))
	}
}

// What a function calls is started with it: two that take 2 s each are there
// after 2 s, and not after 4.
func TestAChainStartsSideBySide(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yaml")
	slow := fmt.Sprintf(`
    process: { command: [%q, __function, slow], listen: fd }`, program(t))
	write(t, file, `listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
functions:
  first:
    cold_start: { scaler: process, chain: [second] }`+slow+`
  second:
    cold_start: { scaler: process }`+slow+`
routes:
  - { path_prefix: /first, function: first }
  - { path_prefix: /second, function: second }
`)
	w := startRun(t, file)
	began := time.Now()
	w.hello("/first")
	alone := time.Since(began)
	w.hello("/second")
	both := time.Since(began)
	t.Logf("the first answered after %v, the second after %v", alone, both)
	if both >= 4*time.Second {
		t.Errorf("two starts of 2 s took %v, one after the other", both)
	}
	eventually(t, "the starts are counted", func() bool { return w.starts("second", "chain")+w.starts("second", "demand") > 0 })
	if w.starts("second", "chain") != 1 || w.starts("second", "demand") != 0 || w.starts("first", "demand") != 1 {
		t.Errorf("the second was started %d times by the chain and %d by a call", w.starts("second", "chain"), w.starts("second", "demand"))
	}
}

// A window that is open when weir starts is one, and the API says when the next
// opens. When it is taken out of the file, idle_after holds.
func TestAWindowIsOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yaml")
	document := func(windows string) string {
		return fmt.Sprintf(`listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
functions:
  f:
    cold_start: { scaler: process, max_scale: 2, idle_after: 100ms, %s }
    process: { command: [%q, __function, hello], listen: fd }
routes: [{ function: f }]
`, windows, program(t))
	}
	write(t, file, document(`schedule: [{ cron: "* * * * *", duration: 1h, timezone: Asia/Kolkata, instances: 2 }]`))
	w := startRun(t, file)
	eventually(t, "two instances run, uncalled", func() bool { return len(w.family()) == 2 })
	var seen struct {
		State    string
		Expected *struct {
			At   time.Time
			Kind string
		}
	}
	eventually(t, "the function is warm", func() bool {
		_, body, err := get(w.admin + "/api/v1/functions/f")
		return err == nil && json.Unmarshal([]byte(body), &seen) == nil && seen.State == "warm"
	})
	if e := seen.Expected; e == nil || e.Kind != "schedule" || time.Until(e.At) > time.Minute || time.Until(e.At) < -time.Second {
		t.Errorf("expected: %+v", e)
	}
	if n := w.starts("f", "schedule"); n != 1 {
		t.Errorf("%d starts by the window", n)
	}
	write(t, file, document(`schedule: []`))
	w.signal(syscall.SIGHUP)
	eventually(t, "nothing runs", func() bool { return len(w.family()) == 0 })
}
