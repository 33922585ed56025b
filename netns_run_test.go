package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/bench"
	"github.com/weir-gateway/weir/internal/testkit"
)

// Two regions that are networks of their own: a network namespace each, with a
// cable to weir's, so that packets can be lost as they are between real ones.

var liveRate = flag.Int("live.rate", 0, "how many calls a second TestRegionsInNamespaces makes; 0: as many as four clients can")

// ledgerFile is the environment's variable that makes the test binary a function that
// writes there, one line each, which POST has reached it.
const ledgerFile = "WEIR_TEST_LEDGER"

// serveLedger is the life of such a function. It listens on the socket that it got.
func serveLedger() {
	ledger, err := os.OpenFile(os.Getenv(ledgerFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	ln, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		panic(err)
	}
	panic(http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			fmt.Fprintln(ledger, r.Header.Get("X-Post")) // before the body: to have begun counts
			_, _ = io.Copy(io.Discard, r.Body)
		}
		_, _ = io.WriteString(w, "ok\n")
	})))
}

// A province is a region in a network namespace.
type province struct {
	t         *testing.T
	name      string
	netns     string
	here, ip  string // weir's end of the cable, and the region's
	ledger    string
	addresses []string
	servers   []*exec.Cmd
}

// ip runs the program of that name.
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// newProvince makes the nth region: its namespace, its cable and two processes. The
// addresses are of 198.18.0.0/15, which is for measurements (RFC 2544).
func newProvince(t *testing.T, n int, name, ledger string) *province {
	t.Helper()
	net := 4 * (os.Getpid()%16_000*2 + n)
	at := func(host int) string { return fmt.Sprintf("198.%d.%d.%d", 18+net>>16, net>>8&255, net&255+host) }
	r := &province{t: t, name: name, netns: fmt.Sprintf("weir-%s-%d", name, os.Getpid()), here: at(1), ip: at(2), ledger: ledger}
	if err := ip("netns", "add", r.netns); err != nil {
		testkit.Without(t, "network namespaces cannot be made (%v)", err)
	}
	cable := fmt.Sprintf("wr%d.%d", n, os.Getpid())
	t.Cleanup(func() {
		_ = ip("link", "del", cable) // the namespace would take it with it, but later
		if err := ip("netns", "del", r.netns); err != nil {
			t.Error(err)
		}
	})
	r.must("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", r.netns)
	r.must("addr", "add", r.here+"/30", "dev", cable)
	r.must("link", "set", cable, "up")
	r.must("-n", r.netns, "addr", "add", r.ip+"/30", "dev", "eth0")
	r.must("-n", r.netns, "link", "set", "eth0", "up")
	r.delay(time.Duration(1+4*n) * time.Millisecond)
	for range 2 {
		r.addresses, r.servers = append(r.addresses, ""), append(r.servers, nil)
		r.serve(len(r.servers)-1, r.ip+":0")
	}
	t.Cleanup(r.kill)
	return r
}

func (r *province) must(args ...string) {
	r.t.Helper()
	if err := ip(args...); err != nil {
		r.t.Fatal(err)
	}
}

// delay makes the cable long, if the kernel can.
func (r *province) delay(d time.Duration) {
	tc, err := exec.LookPath("tc")
	if err != nil {
		return
	}
	if out, err := exec.Command(tc, "-n", r.netns, "qdisc", "add", "dev", "eth0", "root", "netem", "delay", d.String()).CombinedOutput(); err != nil {
		r.t.Logf("%s is near: this kernel cannot delay packets (%v: %s)", r.name, err, bytes.TrimSpace(out))
	}
}

// serve starts the ith process in the namespace, with a socket of it.
func (r *province) serve(i int, at string) {
	r.t.Helper()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread goes with the goroutine
		failed <- func() error {
			space, err := os.Open("/run/netns/" + r.netns)
			if err != nil {
				return err
			}
			defer space.Close()
			if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter %s: %w", r.netns, err)
			}
			ln, err := net.Listen("tcp", at)
			if err != nil {
				return err
			}
			defer ln.Close()
			socket, err := ln.(*net.TCPListener).File()
			if err != nil {
				return err
			}
			defer socket.Close()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), ledgerFile+"="+r.ledger)
			cmd.ExtraFiles, cmd.Stderr = []*os.File{socket}, os.Stderr
			r.addresses[i], r.servers[i] = ln.Addr().String(), cmd
			return cmd.Start()
		}()
	}()
	if err := <-failed; err != nil {
		r.t.Fatal(err)
	}
}

func (r *province) kill() {
	for _, server := range r.servers {
		_ = server.Process.Kill()
		_ = server.Wait()
	}
}

// comeBack starts what was killed, where it was.
func (r *province) comeBack() {
	for i, address := range r.addresses {
		r.serve(i, address)
	}
}

// deafen has what the region sends vanish, and nothing else: calls reach it, and
// nobody hears of it.
func (r *province) deafen() { r.must("-n", r.netns, "route", "add", "blackhole", r.here+"/32") }

func (r *province) undeafen() { r.must("-n", r.netns, "route", "del", "blackhole", r.here+"/32") }

// cut pulls the cable, and plug puts it in again.
func (r *province) cut()  { r.must("-n", r.netns, "link", "set", "eth0", "down") }
func (r *province) plug() { r.must("-n", r.netns, "link", "set", "eth0", "up") }

func (r *province) endpoints() string {
	return fmt.Sprintf(`{ address: %q, region: %s }, { address: %q, region: %s }`, r.addresses[0], r.name, r.addresses[1], r.name)
}

// A mail is POSTs, one after the other on each of a few connections, each with a number
// of its own. Some may fail where a region does; none may be done twice.
type mail struct {
	stop   chan struct{}
	work   sync.WaitGroup
	number atomic.Int64
	good   atomic.Int64
}

func mailTo(url string) *mail {
	m := &mail{stop: make(chan struct{})}
	for range 4 {
		m.work.Go(func() {
			client := http.Client{Transport: &http.Transport{}, Timeout: patience}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-m.stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(strings.Repeat("x", 2000)))
				if err != nil {
					panic(err)
				}
				r.Header.Set("X-Post", fmt.Sprint(m.number.Add(1)))
				res, err := client.Do(r)
				if err != nil {
					continue
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode == 200 {
					m.good.Add(1)
				}
			}
		})
	}
	return m
}

// end stops it and holds the ledger against what was answered.
func (m *mail) end(t *testing.T, ledger string) {
	t.Helper()
	close(m.stop)
	m.work.Wait()
	file, err := os.Open(ledger)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reached := map[string]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if reached[lines.Text()]++; reached[lines.Text()] == 2 {
			t.Errorf("POST %s has reached functions twice", lines.Text())
		}
	}
	sent, good := m.number.Load(), m.good.Load()
	if good < sent/2 || int64(len(reached)) < good {
		t.Errorf("of %d POSTs %d were answered and %d have reached a function", sent, good, len(reached))
	}
	t.Logf("of %d POSTs %d were answered, and none has reached a function twice", sent, good)
}

// A traffic is GETs at a steady rate, of which none may fail.
type traffic struct {
	stop   context.CancelFunc
	result *bench.Report
	err    error
	over   chan struct{}
	load   *load // instead, if there is no rate
}

func trafficOn(t *testing.T, url string) *traffic {
	if *liveRate == 0 {
		return &traffic{load: loadOn(url)}
	}
	ctx, stop := context.WithCancel(t.Context())
	f := &traffic{stop: stop, over: make(chan struct{})}
	go func() {
		defer close(f.over)
		rate := float64(*liveRate)
		f.result, f.err = bench.Run(ctx, bench.Load{URL: url, Steps: []bench.Step{{From: rate, To: rate, For: time.Hour}},
			Connections: max(256, *liveRate), Duration: time.Hour, Timeout: patience}, nil)
	}()
	return f
}

func (f *traffic) end(t *testing.T) {
	t.Helper()
	if f.load != nil {
		f.load.end(t)
		return
	}
	f.stop()
	<-f.over
	if f.err != nil {
		t.Fatal(f.err)
	}
	if r := f.result; r.Failed > 0 || r.Calls == 0 {
		t.Errorf("%d of %d calls failed: %v, %v", r.Failed, r.Calls, r.Outcomes, r.Statuses)
	} else {
		t.Logf("%d calls, %.0f a second, none failed; from when they were due p50 %v, p99 %v, the longest %v", r.Calls, r.Rate, r.Corrected.P50, r.Corrected.P99, r.Corrected.Max)
	}
}

// Regions are drained, killed, heard no more and cut off, and come back, under load.
func TestRegionsInNamespaces(t *testing.T) {
	testkit.Program(t, "ip", "iproute2")
	if os.Geteuid() != 0 {
		testkit.Without(t, "only root makes network namespaces")
	}
	ledger := filepath.Join(t.TempDir(), "ledger")
	us, eu := newProvince(t, 0, "us-east", ledger), newProvince(t, 1, "eu-west", ledger)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, `listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
regions: { us-east: { weight: 80 }, eu-west: { weight: 20 } }
failover: { failback_delay: 500ms, slow_start: { window: 1s } }
functions:
  f:
    endpoints: [`+us.endpoints()+", "+eu.endpoints()+`]
    timeouts: { connect: 500ms, per_try: 1s }
    health_check: { path: /, interval: 200ms, timeout: 500ms, unhealthy_threshold: 1, healthy_threshold: 2 }
    retries: { attempts: 2, retry_on: [connect_failure, reset, 504], backoff: { base: 1ms, max: 5ms } }
routes: [{ path_prefix: /, function: f }]
`)
	w := startRun(t, file)
	both := func() float64 { _, all := w.answered(""); return all }
	more := func(n float64) {
		t.Helper()
		for till := both() + n; both() < till; { // each thousand within its own patience
			from := both()
			eventually(t, "more calls", func() bool { return both() >= min(from+1000, till) })
		}
	}
	calls, posts := trafficOn(t, w.url+"/"), mailTo(w.url+"/")
	w.share("us-east", 0.8)
	more(100)

	fromUS, from := w.answered("us-east")
	more(20_000)
	its, all := w.answered("us-east")
	if got := (its - fromUS) / (all - from); math.Abs(got-0.8) > 0.012 {
		t.Errorf("us-east has had %.4f of the calls, want 0.8", got)
	} else {
		t.Logf("of %.0f calls us-east has had %.2f %%", all-from, 100*got)
	}

	w.says("drained", "drain", "us-east")
	drained := w.had("us-east")
	more(2000)
	if n := w.had("us-east") - drained; n > max(8, float64(*liveRate)/10) { // those that were under way
		t.Errorf("%v calls went to us-east after it was drained", n)
	}
	w.says("us-east", "undrain", "us-east")
	w.share("us-east", 0.8)

	for _, story := range []struct {
		what           string
		breaks, mended func()
	}{
		{"killed", us.kill, us.comeBack},
		{"not heard any more", us.deafen, us.undeafen},
		{"cut off", us.cut, us.plug},
	} {
		began := time.Now()
		story.breaks()
		w.share("eu-west", 1)
		t.Logf("us-east %s: eu-west has all after %v", story.what, time.Since(began).Round(time.Millisecond))
		more(1000)
		story.mended()
		w.share("us-east", 0.8)
		more(1000)
	}
	calls.end(t)
	posts.end(t, ledger)
	tries, every := w.metric("weir_upstream_attempts_total", `function="f"`), w.metric("weir_http_requests_total", `function="f"`) // no call is under way
	if tries > 1.2*every {
		t.Errorf("%v tries for %v calls", tries, every)
	}
	t.Logf("%.0f calls, %.4f tries for each", every, tries/every)
}
