package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/config"
)

const (
	// ourLeaf is where weir itself goes. Below a cgroup whose controllers are
	// on there may be no process beside the leaves ("no internal processes").
	// With systemd 254 or newer, DelegateSubgroup=weir-gateway puts it there.
	ourLeaf = "weir-gateway"

	instancePrefix = "weir-instance-"

	cpuPeriod = 100000 // µs; the kernel's default
)

// A limiter makes a cgroup for each instance that has limits, or will be throttled,
// below weir's own, and nothing if none has.
type limiter struct {
	once sync.Once
	base string // where those of instances go
	err  error  // or why they cannot
}

// A cgroup holds one instance, and all that it begets.
type cgroup struct {
	dir    *os.File
	limits config.InstanceLimits
}

// ready prepares to set limits, at the first call, or says why that is
// impossible here.
func (l *limiter) ready() error {
	l.once.Do(func() {
		own, err := ownCgroup()
		if err == nil {
			l.base, err = delegate(own)
		}
		if err != nil {
			l.err = fmt.Errorf("cannot set limits of memory and CPU: %w; "+
				"run weir with cgroup v2 as root or with systemd's Delegate=yes, or take the limits away", err)
			return
		}
		old, _ := filepath.Glob(filepath.Join(l.base, instancePrefix+"*"))
		for _, dir := range old { // of a weir that was killed
			_ = unix.Rmdir(dir)
		}
	})
	return l.err
}

// ownCgroup finds the folder of the cgroup that weir runs in.
func ownCgroup() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	member, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	return cgroupFolder(string(mounts), string(member))
}

// cgroupFolder reads proc(5)'s mountinfo and cgroup.
func cgroupFolder(mounts, member string) (string, error) {
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		dash := slices.Index(f, "-")
		if dash < 5 || dash+1 >= len(f) || f[dash+1] != "cgroup2" {
			continue
		}
		for own := range strings.Lines(member) {
			if path, v2 := strings.CutPrefix(strings.TrimSpace(own), "0::"); v2 {
				path = strings.TrimPrefix(path, strings.TrimSuffix(f[3], "/")) // what of it is mounted
				return filepath.Join(f[4], path), nil
			}
		}
	}
	return "", errors.New("cgroup v2 is not mounted here")
}

// delegate has the kernel offer memory and cpu below a cgroup that weir runs
// in, and returns the one that instances go into.
func delegate(own string) (string, error) {
	base := own
	if filepath.Base(own) == ourLeaf {
		base = filepath.Dir(own)
	}
	offered, err := os.ReadFile(filepath.Join(base, "cgroup.controllers"))
	if err != nil {
		return "", err
	}
	for _, want := range []string{"memory", "cpu"} {
		if !slices.Contains(strings.Fields(string(offered)), want) {
			return "", fmt.Errorf("%s has no controller %q", base, want)
		}
	}
	on := func() error { return put(base, "cgroup.subtree_control", "+memory +cpu") }
	err = on()
	if errors.Is(err, unix.EBUSY) {
		leaf := filepath.Join(base, ourLeaf)
		if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		if err := put(leaf, "cgroup.procs", "0"); err != nil {
			return "", err
		}
		err = on()
	}
	return base, err
}

// open makes the cgroup of an instance; nil if it has no limits, and is not to be
// throttled or cannot be: that was said when it was configured.
func (l *limiter) open(id string, limits config.InstanceLimits, throttle bool) (*cgroup, error) {
	limited := limits != (config.InstanceLimits{})
	if !limited && !throttle {
		return nil, nil
	}
	c, err := l.make(id, limits)
	if !limited {
		err = nil
	}
	return c, err
}

func (l *limiter) make(id string, limits config.InstanceLimits) (*cgroup, error) {
	if err := l.ready(); err != nil {
		return nil, err
	}
	path := filepath.Join(l.base, instancePrefix+id)
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, err
	}
	err := limit(path, limits)
	if err == nil {
		var dir *os.File
		if dir, err = os.Open(path); err == nil {
			return &cgroup{dir: dir, limits: limits}, nil
		}
	}
	_ = unix.Rmdir(path)
	return nil, err
}

func limit(path string, limits config.InstanceLimits) error {
	if m := limits.Memory; m > 0 {
		if err := put(path, "memory.max", fmt.Sprint(int64(m))); err != nil {
			return err
		}
		// Without these a large instance would thrash instead of ending, or
		// lose one process of several. Kernels without swap have no file.
		_ = put(path, "memory.swap.max", "0")
		_ = put(path, "memory.oom.group", "1")
	}
	if limits.CPUs > 0 {
		return put(path, "cpu.max", processor(limits))
	}
	return nil
}

// leastQuota of a period is the least that the kernel takes, 1 %: enough for what
// beats once a second, not for work.
const leastQuota = cpuPeriod / 100

// processor is cpu.max under limits.
func processor(limits config.InstanceLimits) string {
	if limits.CPUs == 0 {
		return fmt.Sprintf("max %d", cpuPeriod)
	}
	return fmt.Sprintf("%d %d", max(int(limits.CPUs*cpuPeriod), leastQuota), cpuPeriod)
}

// throttle leaves an instance next to nothing of the processor, or gives it back
// what it had.
func (c *cgroup) throttle(on bool) error {
	quota := processor(c.limits)
	if on {
		quota = fmt.Sprintf("%d %d", leastQuota, cpuPeriod)
	}
	return put(c.dir.Name(), "cpu.max", quota)
}

// fd is for the clone into the cgroup; -1 is none.
func (c *cgroup) fd() int {
	if c == nil {
		return -1
	}
	return int(c.dir.Fd())
}

// close ends whatever is in the cgroup still, removes it, and says which limit
// the instance ran into, if it did.
func (c *cgroup) close() (reason string) {
	if c == nil {
		return ""
	}
	path := c.dir.Name()
	c.dir.Close()
	events, _ := os.ReadFile(filepath.Join(path, "memory.events"))
	for line := range strings.Lines(string(events)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok && strings.TrimSpace(n) != "0" {
			reason = fmt.Sprintf("used more than its %v of memory", c.limits.Memory)
		}
	}
	_ = put(path, "cgroup.kill", "1")
	for range 100 { // the kernel lets go of a process a moment after its end
		if err := unix.Rmdir(path); !errors.Is(err, unix.EBUSY) {
			break
		}
		nap(time.Millisecond)
	}
	return reason
}

// put writes a file of the kernel's, which takes it at once or refuses it.
func put(dir, name, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(value)
	return err
}

// into says that a process begins in a cgroup.
func into(attr *syscall.SysProcAttr, fd int) {
	attr.UseCgroupFD, attr.CgroupFD = fd >= 0, max(fd, 0)
}
