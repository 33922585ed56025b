package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A program is a server under test: a process and those that it has started.
type program struct {
	name string
	cmd  *exec.Cmd
	said said
	done chan struct{} // closed when it has ended
}

// said keeps the last of what a program wrote.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text.Len() > 64<<10 {
		s.text.Reset()
	}
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimSpace(s.text.String())
}

// startProgram starts a server and waits until it listens. It ends with us.
func startProgram(ctx context.Context, name, listens string, env []string, command ...string) (*program, error) {
	p := &program{name: name, cmd: exec.Command(command[0], command[1:]...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(20 * time.Second); ; {
		if c, err := net.Dial("tcp", listens); err == nil {
			_ = c.Close()
			return p, nil
		}
		select {
		case <-ctx.Done():
			p.stop()
			return nil, ctx.Err()
		case <-p.done:
			return nil, fmt.Errorf("%s ended at once: %s", name, p.said.String())
		case <-tick.C:
		}
		if time.Now().After(late) {
			p.stop()
			return nil, fmt.Errorf("%s does not listen at %s: %s", name, listens, p.said.String())
		}
	}
}

// stop ends it and what it has started.
func (p *program) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	patience := time.NewTimer(3 * time.Second)
	defer patience.Stop()
	select {
	case <-p.done:
	case <-patience.C:
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // its own group: whoever is left
	<-p.done
}

// family is the process and its children, of all generations.
func (p *program) family() []int {
	pids := []int{p.cmd.Process.Pid}
	for i := 0; i < len(pids); i++ {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i]))
		for _, task := range tasks {
			text, _ := os.ReadFile(task)
			for _, field := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(field); err == nil {
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids
}

// cpu is the processor time that it has used (proc(5), /proc/pid/schedstat:
// nanoseconds, where stat has hundredths of a second).
func (p *program) cpu() (all time.Duration, err error) {
	for _, pid := range p.family() {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if err != nil {
				continue // a thread that has ended
			}
			ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", task, err)
			}
			all += time.Duration(ns)
		}
	}
	select {
	case <-p.done:
		return 0, fmt.Errorf("%s has ended: %s", p.name, p.said.String())
	default:
	}
	if all == 0 {
		return 0, errors.New("its processor time cannot be read")
	}
	return all, nil
}

// memory is what it occupies, pages shared among it counted once (Pss).
func (p *program) memory() (bytes int64) {
	for _, pid := range p.family() {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				bytes += kb << 10
			}
		}
	}
	return bytes
}

// freePort is an address on loopback that nobody listens at.
func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}
