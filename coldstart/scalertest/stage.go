package scalertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// Patience is how long the suite waits for what has to come.
const Patience = 20 * time.Second

// A Platform is a scaler that knows the addresses of what it raised.
type Platform interface {
	coldstart.Scaler
	coldstart.Reporter
	discovery.Provider
	// Run does the platform's work until ctx ends, and returns when it is over.
	Run(ctx context.Context) error
}

// A Stage is a platform that runs, with all that it tells.
type Stage struct {
	Platform
	T   testing.TB
	Log *Journal
	// End ends Run and waits for it. The end of the test does it too.
	End func()

	mu    sync.Mutex
	story []Said
}

// Said is one thing that a platform told.
type Said struct {
	At       time.Time
	Function string
	Set      []discovery.Endpoint // or
	Failed   error
	Started  time.Time // of the instance that failed
}

// Open opens a platform and runs it until the test ends.
func Open(t testing.TB, open func(testing.TB, *slog.Logger) Platform) *Stage {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { // after what open has prepared is gone too
		http.DefaultClient.CloseIdleConnections()
		goleak.VerifyNone(t, leaks)
	})
	j := &Journal{}
	s := &Stage{T: t, Log: j}
	s.Platform = open(t, slog.New(slog.NewTextHandler(j, nil)))
	s.Platform.Failed(func(function string, started time.Time, err error) {
		s.say(Said{Function: function, Failed: err, Started: started})
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.End = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(Patience):
			t.Errorf("Run does not end")
		}
	})
	t.Cleanup(func() {
		s.End()
		if t.Failed() {
			t.Logf("what %s logged:\n%s", s, j)
		}
	})
	return s
}

func (s *Stage) say(what Said) {
	what.At = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.story = append(s.story, what)
}

// Told returns all that was told of a function.
func (s *Stage) Told(function string) []Said {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.story), func(what Said) bool { return what.Function != function })
}

// Failures returns why instances of a function ended unasked.
func (s *Stage) Failures(function string) []Said {
	return slices.DeleteFunc(s.Told(function), func(what Said) bool { return what.Failed == nil })
}

// Up and Down ask for bounds that must be had.
func (s *Stage) Up(fn config.Function, n int) {
	s.T.Helper()
	if err := s.ScaleUp(s.T.Context(), fn, n); err != nil {
		s.T.Fatalf("up to %d: %v", n, err)
	}
}

// Down is the other one.
func (s *Stage) Down(fn config.Function, n int) {
	s.T.Helper()
	if err := s.ScaleDown(s.T.Context(), fn, n); err != nil {
		s.T.Fatalf("down to %d: %v", n, err)
	}
}

// See watches fn until the test ends, or stop is called.
func (s *Stage) See(fn config.Function) (v *View, stop func()) {
	s.T.Helper()
	v = &View{stage: s, bell: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := s.Watch(ctx, &fn, func(set []discovery.Endpoint) {
			s.say(Said{Function: fn.Name, Set: set})
			v.put(set)
		})
		if err != nil {
			s.T.Errorf("watch of %s: %v", fn.Name, err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	s.T.Cleanup(stop)
	return v, stop
}

// A View is what one watch has been told.
type View struct {
	stage  *Stage
	bell   chan struct{}
	mu     sync.Mutex
	set    []discovery.Endpoint
	at     time.Time
	spoken bool
}

func (v *View) put(set []discovery.Endpoint) {
	v.mu.Lock()
	v.set, v.at, v.spoken = set, time.Now(), true
	v.mu.Unlock()
	select {
	case v.bell <- struct{}{}:
	default:
	}
}

// Now is the newest set, and when it was told.
func (v *View) Now() ([]discovery.Endpoint, time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.set, v.at
}

// Until returns as soon as the newest set has n endpoints, with those.
func (v *View) Until(n int) []discovery.Endpoint {
	v.stage.T.Helper()
	late := time.After(Patience)
	for {
		v.mu.Lock()
		set, spoken := v.set, v.spoken
		v.mu.Unlock()
		if spoken && len(set) == n {
			v.sound(set)
			return set
		}
		select {
		case <-v.bell:
		case <-late:
			v.stage.T.Fatalf("the set has %d endpoints, want %d: %v", len(set), n, set)
		}
	}
}

// sound checks what must be true of every set.
func (v *View) sound(set []discovery.Endpoint) {
	v.stage.T.Helper()
	ids, addrs := map[string]bool{}, map[string]bool{}
	for _, ep := range set {
		if ep.ID == "" || ep.Addr == "" || ep.Weight < 1 {
			v.stage.T.Errorf("an endpoint without id, address or weight: %+v", ep)
		}
		if ids[ep.ID] || addrs[ep.Addr] {
			v.stage.T.Errorf("an endpoint twice: %v", set)
		}
		ids[ep.ID], addrs[ep.Addr] = true, true
	}
}

// Eventually waits for something to become true.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(Patience); !ok(); time.Sleep(time.Millisecond) { //nolint:forbidigo // a test
		if time.Now().After(late) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Get calls an instance, which may still be on its way to listening.
func Get(t testing.TB, addr, path string) string {
	t.Helper()
	body := ""
	Eventually(t, "answer of "+addr+path, func() bool {
		body = try(addr, path)
		return body != ""
	})
	return body
}

// Crash ends an instance from inside.
func Crash(t testing.TB, addr string) {
	t.Helper()
	Get(t, addr, "/id")
	Try(addr, "/crash")
}

// A Journal keeps what is logged.
type Journal struct {
	mu  sync.Mutex
	log bytes.Buffer
}

// Write appends to it.
func (j *Journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.Write(line)
}

// String is all of it.
func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.String()
}

// Has tells whether there is a line with all of these words.
func (j *Journal) Has(words ...string) bool {
	for line := range strings.Lines(j.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return true
		}
	}
	return false
}

func ids(set []discovery.Endpoint) []string {
	var all []string
	for _, ep := range set {
		all = append(all, ep.ID)
	}
	slices.Sort(all)
	return all
}

func describe(story []Said) string {
	var b strings.Builder
	for _, what := range story {
		if what.Failed != nil {
			fmt.Fprintf(&b, "failed: %v\n", what.Failed)
		} else {
			fmt.Fprintf(&b, "set of %d\n", len(what.Set))
		}
	}
	return b.String()
}

// Try calls an instance that may not answer.
func Try(addr, path string) { try(addr, path) }

// try is Try, with what it answers; empty if it does not.
func try(addr, path string) string {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: Patience}
	resp, err := client.Get("http://" + addr + path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}
