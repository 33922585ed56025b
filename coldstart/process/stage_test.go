//go:build linux

package process

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

const patience = 20 * time.Second

// A stage is a platform that runs, with everything that it tells.
type stage struct {
	*Platform
	t       testing.TB
	journal *journal
	end     func() // stops Run and waits for it

	mu    sync.Mutex
	story []string // "set 1", "failed …", in order
}

func open(t testing.TB) *stage {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	j := &journal{}
	s := &stage{Platform: New(slog.New(slog.NewJSONHandler(j, nil))), t: t, journal: j}
	s.Failed(func(function string, _ time.Time, err error) { s.tell("failed " + err.Error()) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.end = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Errorf("Run does not end")
		}
	})
	t.Cleanup(func() {
		s.end()
		goleak.VerifyNone(t, leaks)
	})
	return s
}

func (s *stage) tell(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.story = append(s.story, line)
}

func (s *stage) told() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.story...)
}

func (s *stage) up(fn config.Function, n int) {
	s.t.Helper()
	if err := s.ScaleUp(s.t.Context(), fn, n); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) down(fn config.Function, n int) {
	s.t.Helper()
	if err := s.ScaleDown(s.t.Context(), fn, n); err != nil {
		s.t.Fatal(err)
	}
}

// A view is what one watch has been told.
type view struct {
	t    testing.TB
	sets chan seen
}

type seen struct {
	at  time.Time
	set []discovery.Endpoint
}

// watch watches fn until the test ends, or stop is called.
func (s *stage) watch(fn config.Function) (v *view, stop func()) {
	s.t.Helper()
	v = &view{t: s.t, sets: make(chan seen, 100)}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Watch(ctx, &fn, func(set []discovery.Endpoint) {
			s.tell(fmt.Sprintf("set %d", len(set)))
			v.sets <- seen{time.Now(), set}
		})
	}()
	stop = func() { cancel(); <-done }
	s.t.Cleanup(stop)
	return v, stop
}

// until returns the first report with n endpoints.
func (v *view) until(n int) seen {
	v.t.Helper()
	late := time.After(patience)
	for {
		select {
		case s := <-v.sets:
			if len(s.set) == n {
				return s
			}
		case <-late:
			v.t.Fatalf("no report of %d endpoints", n)
		}
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("never: %s", what)
		}
	}
}

// get calls an instance, which may still be on its way to listening.
func get(t testing.TB, addr, path string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	var body []byte
	eventually(t, "answer of "+addr+path, func() bool {
		resp, err := client.Get("http://" + addr + path)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err = io.ReadAll(resp.Body)
		return err == nil
	})
	return string(body)
}

func crash(addr string) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	if resp, err := client.Get("http://" + addr + "/crash"); err == nil {
		resp.Body.Close()
	}
}

// ended tells whether a process is gone, or at most waits for whoever has
// become its parent.
func ended(pid int) bool {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return true
	}
	s := state(pid)
	return s == "" || s == "Z"
}

// state is the kernel's letter for what a process does.
func state(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

// A journal keeps what is logged.
type journal struct {
	mu      sync.Mutex
	entries []map[string]any
	slow    time.Duration // each entry takes that long
}

func (j *journal) Write(line []byte) (int, error) {
	var e map[string]any
	if err := json.Unmarshal(line, &e); err != nil {
		panic(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
	time.Sleep(j.slow)
	return len(line), nil
}

// find returns the first entry whose message begins so, or nil.
func (j *journal) find(msg string) map[string]any {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.entries {
		if strings.HasPrefix(e["msg"].(string), msg) {
			return e
		}
	}
	return nil
}
