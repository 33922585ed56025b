//go:build linux

package process

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart/scalertest"
	"github.com/weir-gateway/weir/config"
)

func TestScaler(t *testing.T) {
	for _, listen := range []string{"fd", "port"} {
		t.Run(listen, func(t *testing.T) { scalertest.Run(t, trial(t, listen)) })
	}
}

func BenchmarkEvents(b *testing.B) {
	for _, listen := range []string{"fd", "port"} {
		b.Run(listen, func(b *testing.B) { scalertest.Bench(b, trial(b, listen)) })
	}
}

// trial is the scaler as it is put to the test.
func trial(t testing.TB, listen string) scalertest.Subject {
	reserves := []string{"pause"}
	if err := new(limiter).ready(); err != nil {
		t.Logf("SKIPPED: nobody has checked idle_mode throttle: %v", err)
	} else {
		reserves = append(reserves, "throttle")
	}
	return scalertest.Subject{
		Open: func(_ testing.TB, log *slog.Logger) scalertest.Platform { return New(log) },
		Function: func(name string, env map[string]string) config.Function {
			return plain(name, listen, env)
		},
		Missing: func(name string) config.Function {
			fn := plain(name, listen, nil)
			fn.Process.Command = []string{"./no-such-program"}
			return fn
		},
		Reserves: reserves,
		Left:     func(t testing.TB) []string { return children(t, "/scaler") },
	}
}

// plain is a function that plays what the suite wants.
func plain(name, listen string, env map[string]string) config.Function {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	vars := map[string]string{scalertest.Marked: "yes"}
	for k, v := range env {
		vars[k] = v
	}
	return config.Function{
		Name:      name,
		ColdStart: config.ColdStart{MaxScale: 3},
		Process: &config.Process{
			Command: []string{self, "/scaler"}, Env: vars, Listen: listen, StopTimeout: 10 * time.Second,
		},
	}
}

// children are the processes that weir, this one, has begotten with an argument.
func children(t testing.TB, arg string) (pids []string) {
	t.Helper()
	all, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		args, _ := os.ReadFile("/proc/" + p.Name() + "/cmdline")
		stat, _ := os.ReadFile("/proc/" + p.Name() + "/stat")
		_, rest, _ := strings.Cut(string(stat), ") ")
		f := strings.Fields(rest)
		if strings.HasSuffix(string(args), "\x00"+arg+"\x00") && len(f) > 1 && f[1] == strconv.Itoa(os.Getpid()) {
			pids = append(pids, p.Name())
		}
	}
	return pids
}

func TestPausedIsStopped(t *testing.T) {
	s := open(t)
	fn := played("hello", "activated", "fd")
	fn.ColdStart.IdleMode = "pause"
	v, _ := s.watch(fn)
	s.up(fn, 1)
	in := s.Instances("hello")[0]
	get(t, v.until(1).set[0].Addr, "/pid")
	s.down(fn, 0)
	v.until(0)
	eventually(t, "stopped by the kernel", func() bool { return state(in.PID) == "T" })
	s.up(fn, 1)
	if pid := get(t, v.until(1).set[0].Addr, "/pid"); pid != strconv.Itoa(in.PID) {
		t.Errorf("pid %s, want %d", pid, in.PID)
	}
	s.down(fn, 0)
	s.end() // and what is paused when weir ends, ends in peace
	if e := s.journal.find("instance stopped"); e["signal"] != "SIGTERM" {
		t.Errorf("entry %v", e)
	}
}

func BenchmarkResume(b *testing.B) {
	s := open(b)
	fn := played("hello", "activated", "fd")
	fn.ColdStart.IdleMode = "pause"
	v, _ := s.watch(fn)
	s.up(fn, 1)
	addr := v.until(1).set[0].Addr
	get(b, addr, "/pid")
	for b.Loop() {
		b.StopTimer()
		s.down(fn, 0)
		v.until(0)
		pid := s.Instances("hello")[0].PID
		eventually(b, "stopped", func() bool { return state(pid) == "T" })
		b.StartTimer()
		if err := s.ScaleUp(context.Background(), fn, 1); err != nil {
			b.Fatal(err)
		}
		v.until(1)
		get(b, addr, "/pid")
	}
}

func TestDiesWhilePaused(t *testing.T) {
	s := open(t)
	fn := played("hello", "activated", "fd")
	fn.ColdStart.IdleMode = "pause"
	v, _ := s.watch(fn)
	s.up(fn, 1)
	in := s.Instances("hello")[0]
	get(t, v.until(1).set[0].Addr, "/pid")
	s.down(fn, 0)
	p, _ := os.FindProcess(in.PID)
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	eventually(t, "gone", func() bool { return len(s.Instances("hello")) == 0 })
	s.up(fn, 1)
	if next := v.until(1).set[0]; next.ID == in.ID {
		t.Errorf("%s is back from the dead", in.ID)
	}
}
