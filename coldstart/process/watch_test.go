//go:build linux

package process

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

func TestWatchOfSomebodyElses(t *testing.T) {
	p := New(nil)
	ctx, cancel := context.WithCancel(t.Context())
	reports := 0
	err := p.Watch(ctx, &config.Function{Name: "elsewhere"}, func(set []discovery.Endpoint) {
		if reports++; len(set) != 0 {
			t.Errorf("reported %v", set)
		}
		cancel()
	})
	if err != nil || reports != 1 {
		t.Errorf("%v after %d reports", err, reports)
	}
}

func TestWatchesComeAndGo(t *testing.T) {
	s := open(t)
	fn := played("hello", "activated", "fd")
	first, stop := s.watch(fn)
	first.until(0)
	s.up(fn, 1)
	id := first.until(1).set[0].ID
	late, _ := s.watch(fn)
	if set := (<-late.sets).set; len(set) != 1 || set[0].ID != id {
		t.Errorf("a late watch is told %v, want %s", set, id)
	}
	stop()
	s.down(fn, 0) // would wait for ever for a watch that has left
	late.until(0)
	if len(first.sets) != 0 {
		t.Error("told after it had left")
	}
}

func TestOutOfTheSetBeforeTheSignal(t *testing.T) {
	s := open(t)
	fn := played("hello", "activated", "fd")
	in := make(chan int, 1)
	checked := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan struct{})
	up := make(chan struct{})
	go func() {
		defer close(watched)
		was := 0
		s.Watch(ctx, &fn, func(set []discovery.Endpoint) {
			if len(set) == 1 {
				close(up)
			}
			if was == 1 && len(set) == 0 {
				// Nothing is sent before this returns.
				pid := <-in
				time.Sleep(20 * time.Millisecond)
				if ended(pid) {
					t.Error("signalled before the set was told")
				}
				close(checked)
			}
			was = len(set)
		})
	}()
	s.up(fn, 1)
	<-up
	in <- s.Instances("hello")[0].PID
	s.down(fn, 0)
	<-checked
	cancel()
	<-watched
}

func TestLinesAreCut(t *testing.T) {
	s := open(t)
	fn := played("long", "long", "fd")
	v, _ := s.watch(fn)
	s.up(fn, 1)
	v.until(1)
	eventually(t, "the short line", func() bool { return s.journal.find("short") != nil })
	long := s.journal.find("xxx")
	if n := len(long["msg"].(string)); n != lineBytes || long["cut"] != true {
		t.Errorf("%d bytes, cut %v", n, long["cut"])
	}
	if e := s.journal.find("short"); e["cut"] != nil {
		t.Errorf("entry %v", e)
	}
}

func TestHalfALineIsTold(t *testing.T) {
	s := open(t)
	s.up(played("partial", "partial", "port"), 1)
	eventually(t, "the end", func() bool { return s.journal.find("instance exited") != nil })
	if s.journal.find("half a line") == nil {
		t.Error("half a line is lost")
	}
}

// A function that writes faster than the log takes has to wait.
func TestSpamWaits(t *testing.T) {
	s := open(t)
	s.journal.mu.Lock()
	s.journal.slow = 10 * time.Millisecond
	s.journal.mu.Unlock()
	fn := played("spam", "spam", "port")
	s.up(fn, 1)
	pid := s.Instances("spam")[0].PID
	eventually(t, "lines", func() bool { return s.journal.find("spam") != nil })
	eventually(t, "the function waiting", func() bool { return state(pid) == "S" })
	s.down(fn, 0)
}

func TestGrandchildren(t *testing.T) {
	for _, leave := range []string{"", "yes"} {
		s := open(t)
		fn := played("parent", "parent", "fd", "LEAVE="+leave)
		v, _ := s.watch(fn)
		v.until(0)
		began := time.Now()
		s.up(fn, 1)
		if leave == "" {
			v.until(1)
			s.down(fn, 0)
		} else {
			eventually(t, "failed", func() bool { return len(s.told()) > 1 })
		}
		s.end() // although one of them holds the pipes
		if took := time.Since(began); took > patience/2 {
			t.Errorf("took %v", took)
		}
		var begot []int
		s.journal.mu.Lock()
		for _, e := range s.journal.entries {
			if pid, ok := strings.CutPrefix(e["msg"].(string), "begot "); ok {
				n, _ := strconv.Atoi(pid)
				begot = append(begot, n)
			}
		}
		s.journal.mu.Unlock()
		if len(begot) != 2 {
			t.Fatalf("begot %v", begot)
		}
		eventually(t, "end of the one in the group", func() bool { return ended(begot[0]) })
		if ended(begot[1]) {
			t.Error("the other one is gone too: this test tests nothing")
		}
		syscall.Kill(begot[1], syscall.SIGKILL)
	}
}

func TestEventsAreTold(t *testing.T) {
	s := open(t)
	fn := played("hello", "activated", "fd")
	v, _ := s.watch(fn)
	s.up(fn, 1)
	v.until(1)
	s.down(fn, 0)
	for _, want := range []struct{ msg, attr string }{
		{"instance spawned", "pid"}, {"instance listens", "took_ms"}, {"instance stopped", "lived_ms"},
	} {
		e := s.journal.find(want.msg)
		if e == nil || e[want.attr] == nil || e["function"] != "hello" || !regexp.MustCompile("^[a-z2-7]{8}$").MatchString(e["instance"].(string)) {
			t.Errorf("entry %v, want %+v", e, want)
		}
	}
}

// An instance that boots is looked at soon enough for nobody to feel it, and no
// more often than that.
func TestPollEvery(t *testing.T) {
	for elapsed, want := range map[time.Duration]time.Duration{
		0:                      250 * time.Microsecond,
		50 * time.Millisecond:  250 * time.Microsecond,
		100 * time.Millisecond: 500 * time.Microsecond,
		400 * time.Millisecond: time.Millisecond,
		time.Second:            2 * time.Millisecond,
		10 * time.Second:       4 * time.Millisecond,
		15 * time.Second:       30 * time.Millisecond,
		time.Hour:              100 * time.Millisecond,
	} {
		if got := pollEvery(elapsed); got != want {
			t.Errorf("after %v every %v, want %v", elapsed, got, want)
		}
	}
}
