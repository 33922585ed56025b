//go:build linux

package process

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/coldstart/scalertest"
	"github.com/weir-gateway/weir/config"
)

func TestCgroupIsFound(t *testing.T) {
	const v2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
	const v1 = "31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	for _, c := range []struct{ mounts, member, want string }{
		{v2, "0::/system.slice/weir.service\n", "/sys/fs/cgroup/system.slice/weir.service"},
		{v1 + v2, "4:memory:/x\n0::/\n", "/sys/fs/cgroup"},
		{"30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/docker/abc\n", "/sys/fs/cgroup"},
		{v1, "4:memory:/x\n", ""},
		{"", "", ""},
		{"broken - line\n- cgroup2\n", "0::/\n", ""},
	} {
		got, err := cgroupFolder(c.mounts, c.member)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q, %q: %q, %v; want %q", c.mounts, c.member, got, err, c.want)
		}
	}
}

// A folder of the kernel's has its files already; one in a test is given them.
func folder(t *testing.T, files ...string) string {
	dir := t.TempDir()
	for _, name := range files {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func said(dir, name string) string {
	text, _ := os.ReadFile(filepath.Join(dir, name))
	return string(text)
}

func TestLimitsAreWritten(t *testing.T) {
	dir := folder(t, "memory.max", "memory.oom.group", "memory.swap.max", "cpu.max")
	if err := limit(dir, config.InstanceLimits{Memory: 256 << 20, CPUs: 0.5}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"memory.max": "268435456", "memory.oom.group": "1", "memory.swap.max": "0", "cpu.max": "50000 100000",
	} {
		if got := said(dir, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if err := limit(folder(t, "memory.max"), config.InstanceLimits{Memory: 1 << 20}); err != nil {
		t.Errorf("a kernel without swap: %v", err)
	}
	if err := limit(folder(t), config.InstanceLimits{CPUs: 1}); err == nil {
		t.Error("a limit that was not set is not said")
	}
}

func TestDelegation(t *testing.T) {
	dir := folder(t, "cgroup.controllers", "cgroup.subtree_control")
	if _, err := delegate(dir); err == nil || !strings.Contains(err.Error(), `no controller "memory"`) {
		t.Errorf("without controllers: %v", err)
	}
	os.WriteFile(filepath.Join(dir, "cgroup.controllers"), []byte("cpuset cpu io memory pids\n"), 0o600)
	leaf := filepath.Join(dir, ourLeaf)
	os.Mkdir(leaf, 0o700)
	for _, own := range []string{dir, leaf} {
		base, err := delegate(own)
		if base != dir || err != nil || said(dir, "cgroup.subtree_control") != "+memory +cpu" {
			t.Errorf("%s: %q, %v", own, base, err)
		}
	}
}

// What cannot be limited is not started, and the operator hears of it before
// the first caller does.
func TestLimitsThatCannotBeSet(t *testing.T) {
	s := open(t)
	s.limiter.once.Do(func() { s.limiter.err = errors.New("no cgroups here") })
	fn := plain("limited", "port", nil)
	fn.Process.Limits.Memory = 64 << 20
	v, _ := s.watch(fn)
	v.until(0)
	if e := s.journal.find("the function will not start"); e["error"] != "no cgroups here" || e["function"] != "limited" {
		t.Errorf("entry %v", e)
	}
	err := s.ScaleUp(t.Context(), fn, 1)
	if !coldstart.IsTerminal(err) || !strings.Contains(err.Error(), "no cgroups here") {
		t.Errorf("up: %v", err)
	}
	fn.Process.Limits.Memory = 0
	s.up(fn, 1)
}

// With a real kernel: the limits hold, what runs into one is told so, and no
// folder is left.
func TestLimitsHold(t *testing.T) {
	s := open(t)
	if err := s.limiter.ready(); err != nil {
		t.Skipf("SKIPPED: nobody has checked limits: %v", err)
	}
	for _, listen := range []string{"fd", "port"} {
		fn := plain("limited"+listen, listen, nil)
		fn.Process.Limits = config.InstanceLimits{Memory: 64 << 20, CPUs: 0.5}
		v, _ := s.watch(fn)
		s.up(fn, 1)
		addr := v.until(1).set[0].Addr
		in := s.Instances(fn.Name)[0]
		dir := filepath.Join(s.limiter.base, instancePrefix+in.ID)
		if pids := strings.Fields(said(dir, "cgroup.procs")); len(pids) != 1 || pids[0] != strconv.Itoa(in.PID) {
			t.Errorf("in %s are %v, want %d", dir, pids, in.PID)
		}
		if m, c := said(dir, "memory.max"), said(dir, "cpu.max"); m != "67108864\n" || c != "50000 100000\n" {
			t.Errorf("memory.max %q, cpu.max %q", m, c)
		}
		if ate := get(t, addr, "/eat?mib=16"); ate != "16777216" {
			t.Errorf("16 MiB within the limit: %s", ate)
		}
		go scalertest.Try(addr, "/eat?mib=200")
		v.until(0)
		eventually(t, "told", func() bool {
			story := s.told()
			return strings.Contains(story[len(story)-1], "was killed: it used more than its 64MiB of memory after")
		})
		eventually(t, "no folder", func() bool { _, err := os.Stat(dir); return os.IsNotExist(err) })
	}
}

func TestThrottling(t *testing.T) {
	for _, c := range []struct {
		limits config.InstanceLimits
		back   string
	}{
		{config.InstanceLimits{}, "max 100000"},
		{config.InstanceLimits{CPUs: 1.5}, "150000 100000"},
		{config.InstanceLimits{CPUs: 0.001, Memory: 1 << 20}, "1000 100000"},
	} {
		path := folder(t, "cpu.max")
		dir, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		g := &cgroup{dir: dir, limits: c.limits}
		for _, step := range []struct {
			on   bool
			want string
		}{{true, "1000 100000"}, {false, c.back}} {
			os.WriteFile(filepath.Join(path, "cpu.max"), nil, 0o600) // the kernel takes each as a whole
			if err := g.throttle(step.on); err != nil || said(path, "cpu.max") != step.want {
				t.Errorf("%+v: throttled %v is %q, %v; want %q", c.limits, step.on, said(path, "cpu.max"), err, step.want)
			}
		}
	}
}

// Where there is no cgroup v2 the operator hears of it at once; the function starts,
// and what is idle is stopped.
func TestNothingToThrottleWith(t *testing.T) {
	s := open(t)
	s.limiter.once.Do(func() { s.limiter.err = errors.New("no cgroups here") })
	fn := plain("slowed", "fd", nil)
	fn.ColdStart.IdleMode = "throttle"
	v, _ := s.watch(fn)
	v.until(0)
	if e := s.journal.find("idle instances will be stopped, not throttled"); e["error"] != "no cgroups here" || e["function"] != "slowed" {
		t.Errorf("entry %v", e)
	}
	s.up(fn, 1)
	first := v.until(1).set[0].ID
	s.down(fn, 0)
	v.until(0)
	if left := s.Instances("slowed"); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
	s.up(fn, 1)
	if v.until(1).set[0].ID == first {
		t.Errorf("%s is back", first)
	}
}

// A cgroup that is only a folder, so that what is written can be seen without the
// kernel: an instance is throttled when it is out of the set, has its processor back
// before it is in it again, and when it is to end.
func TestThrottledAndBack(t *testing.T) {
	s := open(t)
	fn := plain("slowed", "fd", nil)
	fn.ColdStart.IdleMode = "throttle"
	v, _ := s.watch(fn)
	path := folder(t, "cpu.max")
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s.up(fn, 1)
	ep := v.until(1).set[0]
	s.mu.Lock()
	in := s.functions["slowed"].instances[0]
	if in.limits == nil { // as on a machine without cgroup v2
		in.limits = &cgroup{dir: dir}
	}
	path = in.limits.dir.Name()
	s.mu.Unlock()
	cpu := func(want string) {
		t.Helper()
		if got := strings.TrimSpace(said(path, "cpu.max")); got != want {
			t.Errorf("cpu.max is %q, want %q", got, want)
		}
		os.WriteFile(filepath.Join(path, "cpu.max"), nil, 0o600)
	}
	s.down(fn, 0)
	v.until(0)
	cpu("1000 100000")
	if s.journal.find("instance throttled") == nil {
		t.Error("nobody is told")
	}
	s.up(fn, 1)
	if again := v.until(1).set[0].ID; again != ep.ID {
		t.Errorf("%s serves, %s was throttled", again, ep.ID)
	}
	cpu("max 100000")
	s.down(fn, 0)
	v.until(0)
	cpu("1000 100000")
	fn.ColdStart.IdleMode = "stop"
	s.down(fn, 0)
	cpu("max 100000")
	if left := s.Instances("slowed"); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}
