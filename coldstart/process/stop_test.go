//go:build linux

package process

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestNewestAreStopped(t *testing.T) {
	s := open(t)
	fn := played("hello", "activated", "fd")
	v, _ := s.watch(fn)
	s.up(fn, 1)
	oldest := v.until(1).set[0].ID
	s.up(fn, 3)
	v.until(3)
	pids := s.Instances("hello")[1:]
	s.down(fn, 1)
	for _, in := range pids {
		if !ended(in.PID) {
			t.Errorf("%d is still there", in.PID)
		}
	}
	if set := v.until(1).set; set[0].ID != oldest {
		t.Errorf("left is %s, want the oldest, %s", set[0].ID, oldest)
	}
	s.down(fn, -1)
	if all := s.Instances("hello"); len(all) != 0 {
		t.Errorf("left are %v", all)
	}
	for _, line := range s.told() {
		if strings.HasPrefix(line, "failed") {
			t.Errorf("asked for, and told: %s", line)
		}
	}
	if e := s.journal.find("instance stopped"); e["signal"] != "SIGTERM" {
		t.Errorf("entry %v", e)
	}
}

func TestStubbornIsKilled(t *testing.T) {
	s := open(t)
	fn := played("hello", "stubborn", "fd")
	fn.Process.StopTimeout = 100 * time.Millisecond
	v, _ := s.watch(fn)
	s.up(fn, 1)
	v.until(1)
	began := time.Now()
	s.down(fn, 0)
	if took := time.Since(began); took < fn.Process.StopTimeout {
		t.Errorf("killed after %v", took)
	}
	if e := s.journal.find("instance stopped"); e["signal"] != "SIGKILL" {
		t.Errorf("entry %v", e)
	}
}

func TestUpWhileOneIsDying(t *testing.T) {
	s := open(t)
	fn := played("hello", "stubborn", "fd")
	fn.Process.StopTimeout = 300 * time.Millisecond
	v, _ := s.watch(fn)
	s.up(fn, 1)
	dying := v.until(1).set[0].ID
	down := make(chan error, 1)
	go func() { down <- s.ScaleDown(t.Context(), fn, 0) }()
	v.until(0)
	s.up(fn, 1)
	if all := s.Instances("hello"); len(all) != 2 || all[0].State != Stopping || all[1].ID == dying {
		t.Errorf("instances %+v", all)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	if fresh := v.until(1).set[0].ID; fresh == dying {
		t.Errorf("%s is back", fresh)
	}
	fn.Process.StopTimeout = 0
}

func TestStopWhileItBoots(t *testing.T) {
	s := open(t)
	fn := played("hello", "activated", "fd", "BOOT=1m")
	s.up(fn, 2)
	s.down(fn, 0)
	go s.ScaleUp(t.Context(), fn, 2) // and even while it is forked
	eventually(t, "starting", func() bool { return len(s.Instances("hello")) > 0 })
	s.down(fn, 0)
	s.end()
	for _, line := range s.told() {
		t.Errorf("told %q", line)
	}
}

func TestEndOfRunIsTheEndOfAll(t *testing.T) {
	s := open(t)
	var pids []int
	for listen, role := range map[string]string{"fd": "activated", "port": "port"} {
		fn := played(role, role, listen)
		s.up(fn, 2)
		for _, in := range s.Instances(role) {
			pids = append(pids, in.PID)
		}
	}
	s.end()
	for _, pid := range pids {
		if syscall.Kill(pid, 0) != syscall.ESRCH {
			t.Errorf("%d is still there", pid)
		}
	}
	if err := s.ScaleUp(t.Context(), played("late", "port", "port"), 1); err != ErrEnded {
		t.Errorf("up after the end: %v", err)
	}
}

func TestUpBeforeRunWaits(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := New(nil).ScaleUp(ctx, played("early", "port", "port"), 1); err != context.DeadlineExceeded {
		t.Error(err)
	}
}

func TestNothingSurvivesAKill(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "ROLE=weir")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for r := bufio.NewScanner(out); r.Scan() && r.Text() != "up"; {
		pid, _ := strconv.Atoi(r.Text())
		pids = append(pids, pid)
	}
	if len(pids) != 10 || slices.ContainsFunc(pids, ended) {
		t.Fatalf("pids %v", pids)
	}
	cmd.Process.Kill()
	cmd.Wait()
	for _, pid := range pids {
		eventually(t, fmt.Sprintf("end of %d", pid), func() bool { return ended(pid) })
	}
}

func TestNothingLeaks(t *testing.T) {
	s := open(t)
	count := func() int {
		fds, _ := os.ReadDir("/proc/self/fd")
		return len(fds)
	}
	before := 0
	for i := range 21 {
		for listen, role := range map[string]string{"fd": "activated", "port": "port"} {
			fn := played(role, role, listen)
			s.up(fn, 2)
			s.down(fn, 0)
		}
		missing := played("missing", "", []string{"fd", "port"}[i%2])
		missing.Process.Command[0] = "no-such-program"
		s.ScaleUp(t.Context(), missing, 1)
		eventually(t, "nothing left", func() bool { return len(s.Instances("missing")) == 0 })
		if i == 0 {
			before = count() // the poller's own are open now
		}
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
	eventually(t, "no function remembered", func() bool { // the last to hold on to one lets go after its caller has gone on
		s.Platform.mu.Lock()
		defer s.Platform.mu.Unlock()
		return len(s.functions) == 0
	})
}
