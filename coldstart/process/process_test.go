//go:build linux

package process

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

func TestSocketIsHandedOver(t *testing.T) {
	s := open(t)
	fn := played("hello", "activated", "fd")
	v, _ := s.watch(fn)
	v.until(0)
	s.up(fn, 1)
	ep := v.until(1).set[0]
	in := s.Instances("hello")[0]
	node, _ := os.Hostname()
	want := discovery.Endpoint{ID: in.ID, Addr: in.Addr, Node: node, Weight: 1, Slots: 7}
	if ep != want {
		t.Errorf("endpoint %+v, want %+v", ep, want)
	}
	if in.State != Listening || in.Ready.Before(in.Started) {
		t.Errorf("instance %+v", in)
	}
	if pid := get(t, ep.Addr, "/pid"); pid != strconv.Itoa(in.PID) {
		t.Errorf("pid %s, want %d", pid, in.PID)
	}
	if fd := get(t, ep.Addr, "/fd4"); strings.HasPrefix(fd, "pipe:") {
		t.Errorf("the handover is still open: %s", fd)
	}
	if args := get(t, ep.Addr, "/args"); args != strings.Join(fn.Process.Command, " ") {
		t.Errorf("arguments %q", args)
	}
}

func TestReadyWhenItAccepts(t *testing.T) {
	s := open(t)
	fn := played("slow", "activated", "fd", "BOOT=200ms")
	v, _ := s.watch(fn)
	s.up(fn, 1)
	report := v.until(1)
	ns, _ := strconv.ParseInt(get(t, report.set[0].Addr, "/since"), 10, 64)
	if since := time.Unix(0, ns); report.at.Before(since) {
		t.Errorf("reported %v before it accepted", since.Sub(report.at))
	}
}

func TestPortIsTold(t *testing.T) {
	s := open(t)
	fn := played("hello", "port", "port", "BOOT=50ms")
	v, _ := s.watch(fn)
	s.up(fn, 3)
	set := v.until(3).set
	addrs := make(map[string]bool)
	for _, ep := range set {
		if !ep.Unproven {
			t.Errorf("%+v is not unproven", ep)
		}
		addrs[ep.Addr] = true
		_, port, _ := strings.Cut(ep.Addr, ":")
		if args := get(t, ep.Addr, "/args"); !strings.HasSuffix(args, "--port="+port) {
			t.Errorf("arguments %q of %s", args, ep.Addr)
		}
	}
	if len(addrs) != 3 {
		t.Errorf("addresses %v", addrs)
	}
}

func TestEnvironmentIsTheirs(t *testing.T) {
	for _, kv := range []string{"LISTEN_PID=1", "LISTEN_FDS=7", "LISTEN_FDNAMES=weir", "LISTEN_PIDFDID=3",
		"NOTIFY_SOCKET=/run/systemd/notify", "PORT=80", "KEPT=yes", "LISTEN_ADDR=kept", "OVER=weir"} {
		k, v, _ := strings.Cut(kv, "=")
		t.Setenv(k, v)
	}
	s := open(t)
	for listen, role := range map[string]string{"fd": "activated", "port": "port"} {
		fn := played(role, role, listen, "OVER=function", "LISTEN_FDNAMES=mine")
		s.up(fn, 1)
		in := s.Instances(role)[0]
		env := strings.Split(get(t, in.Addr, "/env"), "\n")
		_, port, _ := strings.Cut(in.Addr, ":")
		want := []string{"KEPT=yes", "LISTEN_ADDR=kept", "LISTEN_FDNAMES=mine", "OVER=function", "PORT=" + port}
		if listen == "fd" {
			want = []string{"KEPT=yes", "LISTEN_ADDR=kept", "LISTEN_FDNAMES=activated", "LISTEN_FDS=1",
				"LISTEN_PID=" + strconv.Itoa(in.PID), "OVER=function"}
		}
		about := regexp.MustCompile("^(LISTEN_|NOTIFY_|PORT|KEPT|OVER)")
		env = slices.DeleteFunc(env, func(kv string) bool { return !about.MatchString(kv) })
		slices.Sort(env)
		if !slices.Equal(env, want) {
			t.Errorf("listen %s: environment %q, want %q", listen, env, want)
		}
	}
}

func TestCrashIsTold(t *testing.T) {
	for listen, role := range map[string]string{"fd": "activated", "port": "port"} {
		s := open(t)
		fn := played("hello", role, listen)
		v, _ := s.watch(fn)
		v.until(0)
		s.up(fn, 1)
		addr := v.until(1).set[0].Addr
		get(t, addr, "/pid")
		crash(addr)
		began := time.Now()
		if took := v.until(0).at.Sub(began); took > time.Second {
			t.Errorf("noticed after %v", took)
		}
		eventually(t, "failed", func() bool { return len(s.told()) == 4 })
		s.end()
		story := s.told()
		last := regexp.MustCompile(`^failed instance of "hello" exited with status 3 after \d+(\.\d+)?m?s: panic: out of luck$`)
		if !slices.Equal(story[:3], []string{"set 0", "set 1", "set 0"}) || !last.MatchString(story[3]) || len(story) != 4 {
			t.Errorf("listen %s: %q", listen, story)
		}
		if n, _ := s.Replicas(t.Context(), fn); n != 0 {
			t.Errorf("%d replicas", n)
		}
	}
}

func TestStartThatFails(t *testing.T) {
	s := open(t)
	fn := played("broken", "broken", "fd")
	v, _ := s.watch(fn)
	v.until(0)
	s.up(fn, 1)
	eventually(t, "failed", func() bool { return len(s.told()) > 1 })
	if got := s.told()[1]; !regexp.MustCompile(`^failed instance of "broken" exited with status 1 after \S+s: fatal: no database$`).MatchString(got) {
		t.Error(got)
	}
	if e := s.journal.find("fatal: no database"); e["stream"] != "stderr" || e["function"] != "broken" || e["pid"] == nil || e["instance"] == nil {
		t.Errorf("entry %v", e)
	}
	if e := s.journal.find("all is well"); e["stream"] != "stdout" {
		t.Errorf("entry %v", e)
	}
	if e := s.journal.find("instance exited"); e["status"] != 1.0 || e["lived_ms"] == nil {
		t.Errorf("entry %v", e)
	}
}

func TestWhatCannotBeRun(t *testing.T) {
	s := open(t)
	script := t.TempDir() + "/script"
	os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755)
	text := t.TempDir() + "/text"
	os.WriteFile(text, []byte("not a program"), 0o644)
	for _, listen := range []string{"fd", "port"} {
		for _, c := range []struct {
			command, dir string
			want         error
		}{
			{"no-such-program", "", exec.ErrNotFound},
			{"/no/such/program", "", fs.ErrNotExist},
			{"./no-such-program", "", fs.ErrNotExist},
			{text, "", fs.ErrPermission},
			{script, "", fs.ErrNotExist}, // only exec itself can tell
			{"true", "/no/such/folder", fs.ErrNotExist},
		} {
			fn := played("missing", "", listen)
			fn.Process = &config.Process{Command: []string{c.command}, Dir: c.dir, Listen: listen}
			err := s.ScaleUp(t.Context(), fn, 1)
			if !errors.Is(err, c.want) {
				t.Errorf("listen %s, %s: %v, want %v", listen, c.command, err, c.want)
			}
			eventually(t, "nothing left", func() bool { return len(s.Instances("missing")) == 0 })
		}
	}
	if story := s.told(); len(story) != 0 {
		t.Errorf("told %q as well", story)
	}
}

func TestHandover(t *testing.T) {
	for answer, want := range map[string]string{
		"":   "it was stopped on the way",
		"+":  "",
		"+2": "exec /bin/x: no such file or directory",
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		w.WriteString(answer)
		w.Close()
		c := &child{path: "/bin/x", handover: r}
		if err := c.handedOver(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", answer, err, want)
		}
	}
}

func TestRelativeCommandAndDir(t *testing.T) {
	s := open(t)
	dir := t.TempDir()
	self, _ := os.Executable()
	os.Symlink(self, dir+"/server")
	fn := played("hello", "activated", "fd")
	fn.Process.Command, fn.Process.Dir = []string{"./server"}, dir
	v, _ := s.watch(fn)
	s.up(fn, 1)
	if args := get(t, v.until(1).set[0].Addr, "/args"); args != "./server" {
		t.Errorf("arguments %q", args)
	}
}

func TestManyAskForOne(t *testing.T) {
	s := open(t)
	fn := played("hello", "activated", "fd")
	var callers sync.WaitGroup
	for range 100 {
		callers.Go(func() { s.up(fn, 1) })
	}
	callers.Wait()
	if n := len(s.Instances("hello")); n != 1 {
		t.Errorf("%d instances, want 1", n)
	}
	s.up(fn, 0)
	s.up(fn, 100)
	if n := len(s.Instances("hello")); n != 3 {
		t.Errorf("%d instances, want max_scale 3", n)
	}
}

func TestPortsThatNoConnectionTakes(t *testing.T) {
	for _, c := range []struct {
		dealt       string
		least, most int
	}{
		{"32768\t60999\n", 61000, 65535},
		{"32768 65000", 16384, 32767},
		{"1024\t65535", 0, 0},
		{"17000 65535", 0, 0},
		{"", 0, 0},
		{"32768", 0, 0},
		{"ten twenty", 0, 0},
	} {
		if least, most := outside(c.dealt); least != c.least || most != c.most {
			t.Errorf("%q: %d to %d, want %d to %d", c.dealt, least, most, c.least, c.most)
		}
	}
}
