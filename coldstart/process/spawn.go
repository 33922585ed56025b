package process

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
)

// A child is what we hold of a process while it runs.
type child struct {
	pid            int
	path           string // of its program
	stdout, stderr *lines

	// With listen: fd only.
	socket   int      // our copy of its listening socket, until it accepts; -1 is none
	first    net.Conn // waits in the queue of that socket
	handover *os.File // where the trampoline says how it went
}

// A birth is what the forking thread needs to know.
type birth struct {
	path  string
	argv  []string
	env   []string
	dir   string
	files []int // what the child has as 0, 1, 2, …

	cgroup int // descriptor of its folder; -1 is that of weir
}

// fds are descriptors to be closed together.
type fds []int

func (s *fds) add(fd int) { *s = append(*s, fd) }

func (s fds) close() {
	for _, fd := range s {
		syscall.Close(fd)
	}
}

// spawn starts the process of an instance. After an error there is none, and
// nothing to give back.
func (p *Platform) spawn(in *instance) (_ *child, err error) {
	c := &child{socket: -1}
	var ours, theirs fds // theirs in the order of their numbers over there
	defer func() {
		theirs.close()
		if err == nil {
			return
		}
		err = classed(fmt.Errorf("function %q: %w", in.fn.Name, err), p.limiter.err)
		ours.close()
		in.limits.close()
		if c.first != nil {
			c.first.Close()
		}
	}()
	b, err := newBirth(in.fn.Process)
	if err != nil {
		return nil, err
	}
	c.path = b.path
	if in.limits, err = p.limiter.open(in.id, in.fn.Process.Limits, in.fn.ColdStart.IdleMode == "throttle"); err != nil {
		return nil, err
	}
	b.cgroup = in.limits.fd()
	stdin, err := openNull()
	if err != nil {
		return nil, err
	}
	theirs.add(stdin)
	stdout, err := pipe(&ours, &theirs)
	if err != nil {
		return nil, err
	}
	stderr, err := pipe(&ours, &theirs)
	if err != nil {
		return nil, err
	}
	handover := -1
	if in.fn.Process.Listen == "fd" {
		handover, err = p.giveSocket(in, b, c, &ours, &theirs)
	} else {
		err = p.givePort(in, b)
	}
	if err != nil {
		return nil, err
	}
	b.files = theirs
	if c.socket >= 0 {
		b.files = slices.Insert(slices.Clone(theirs), 3, c.socket) // the first number after the usual three
	}

	p.onForker(func() {
		p.forking(in)
		if c.pid, err = b.fork(); err == nil {
			p.forked(in, c.pid)
		}
	})
	if err != nil {
		return nil, &os.PathError{Op: "exec", Path: c.path, Err: err}
	}
	log := in.log.With("pid", c.pid)
	c.stdout = newLines(os.NewFile(uintptr(stdout), "stdout"), log, "stdout")
	c.stderr = newLines(os.NewFile(uintptr(stderr), "stderr"), log, "stderr")
	if handover >= 0 {
		c.handover = os.NewFile(uintptr(handover), "handover")
	}
	return c, nil
}

// classed marks an error that asking again will not mend: there is no such
// program, it may not be run, or no limits can be set here.
func classed(err, noLimits error) error {
	for _, hopeless := range []error{fs.ErrNotExist, fs.ErrPermission, exec.ErrNotFound, syscall.ENOEXEC, errNoCommand, noLimits} {
		if hopeless != nil && errors.Is(err, hopeless) {
			return coldstart.Terminal(err)
		}
	}
	return err
}

var errNoCommand = errors.New("no command")

// newBirth finds the program. Here and not in the child, so that a missing one
// is told as such; a missing folder would look the same.
func newBirth(proc *config.Process) (*birth, error) {
	if len(proc.Command) == 0 {
		return nil, errNoCommand
	}
	if proc.Dir != "" {
		if _, err := os.Stat(proc.Dir); err != nil {
			return nil, err
		}
	}
	name := proc.Command[0]
	if strings.Contains(name, "/") && !filepath.IsAbs(name) {
		name = filepath.Join(proc.Dir, name) // the configuration says: its folder; it made both absolute
		if !strings.Contains(name, "/") {
			name = "./" + name
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	return &birth{path: path, argv: slices.Clone(proc.Command), dir: proc.Dir}, nil
}

// giveSocket opens the socket of an instance, as its 3, and what the
// trampoline answers on, as its 4.
func (p *Platform) giveSocket(in *instance, b *birth, c *child, ours, theirs *fds) (handover int, err error) {
	socket, addr, err := p.claimPort(in, 0, 0)
	if err != nil {
		return -1, err
	}
	ours.add(socket)
	c.socket = socket
	if c.first, err = knock(c.socket, addr); err != nil {
		return -1, err
	}
	if handover, err = pipe(ours, theirs); err != nil {
		return -1, err
	}
	b.trampoline()
	b.env = environ(os.Environ(), in.fn.Process.Env,
		"LISTEN_FDS=1", "LISTEN_FDNAMES="+strings.ReplaceAll(in.fn.Name, ":", "_"), "LISTEN_PID=")
	return handover, nil
}

// givePort chooses a port that nobody listens on and that no other instance
// was given. Until the instance takes it somebody else could; the kernel makes
// that unlikely: such ports are odd, the local ports of connections even.
func (p *Platform) givePort(in *instance, b *birth) error {
	least, most := quietPorts()
	l, addr, err := p.claimPort(in, least, most)
	if err != nil {
		return err
	}
	syscall.Close(l)
	_, port, _ := net.SplitHostPort(addr)
	for i := range b.argv[1:] {
		b.argv[1+i] = strings.ReplaceAll(b.argv[1+i], "{{port}}", port)
	}
	b.env = environ(os.Environ(), in.fn.Process.Env, "PORT="+port)
	return nil
}

func (p *Platform) forking(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in.started = time.Now()
	in.raised = in.started
}

func (p *Platform) forked(in *instance, pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in.pid = pid
}

// claimPort opens a socket on a loopback port that no instance was given, not even
// one that has not taken it yet: one from least to most, if it can be had.
func (p *Platform) claimPort(in *instance, least, most int) (socket int, addr string, err error) {
	var refused fds // held meanwhile, or the kernel might offer them again
	defer func() { refused.close() }()
	for try := 0; ; try++ {
		port := 0 // the kernel's choice
		if most > 0 && try < 100 {
			port = least + rand.IntN(most-least+1)
		}
		switch socket, addr, err = listen(port); {
		case err != nil && port > 0:
			continue // somebody has it
		case err != nil:
			return -1, "", err
		case p.claim(in, addr):
			return socket, addr, nil
		}
		refused.add(socket)
	}
}

// quietPorts are those that the kernel gives to no outgoing connection. A program
// takes its port some milliseconds after weir has let go of it; of the others a
// connection may have it by then, and the program ends: three starts of 10,000, beside
// the conformance suites of three scalers (2026-11-26). 0 is that there are too few.
func quietPorts() (least, most int) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0, 0
	}
	return outside(string(text))
}

// outside is where there is room beside the range that the kernel deals out: above
// it, or else below, away from where services are registered.
func outside(dealt string) (least, most int) {
	const enough, registered, last = 1000, 16384, 65535
	var from, to int
	switch n, _ := fmt.Sscan(dealt, &from, &to); {
	case n != 2:
	case last-to >= enough:
		return to + 1, last
	case from-registered >= enough:
		return registered, from - 1
	}
	return 0, 0
}

func (p *Platform) claim(in *instance, addr string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.functions {
		for _, other := range f.instances {
			if other.addr == addr {
				return false
			}
		}
	}
	in.addr = addr
	return true
}

// environ is weir's own environment without what was said to weir alone (by
// its own supervisor, or about its own port), then the function's, then what
// we have to say. The last one wins; no name comes twice.
func environ(own []string, function map[string]string, ours ...string) []string {
	skip := map[string]bool{
		"LISTEN_PID": true, "LISTEN_FDS": true, "LISTEN_FDNAMES": true, "LISTEN_PIDFDID": true,
		"NOTIFY_SOCKET": true, "WATCHDOG_PID": true, "WATCHDOG_USEC": true, "PORT": true,
	}
	said := make(map[string]bool)
	for _, kv := range ours {
		name, _, _ := strings.Cut(kv, "=")
		said[name] = true
	}
	var env []string
	for _, kv := range own {
		name, _, _ := strings.Cut(kv, "=")
		if _, set := function[name]; !set && !skip[name] && !said[name] {
			env = append(env, kv)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(function)) {
		if !said[name] {
			env = append(env, name+"="+function[name])
		}
	}
	return append(env, ours...)
}

func (c *child) closeSocket() {
	if c.socket >= 0 {
		syscall.Close(c.socket)
		c.socket = -1
	}
}

// awaitOutput waits until all output is read, but no longer than d.
func (c *child) awaitOutput(d time.Duration) {
	late := time.After(d)
	for _, l := range []*lines{c.stdout, c.stderr} {
		select {
		case <-l.done:
		case <-late:
			return
		}
	}
}
