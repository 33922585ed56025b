package http1_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inAProcessOfItsOwn runs the test again in another process, because it does to
// it what no other test should have to bear. In the parent it returns true, when
// the child has passed.
func inAProcessOfItsOwn(t *testing.T, prefix ...string) (done bool) {
	t.Helper()
	const child = "WEIR_TEST_CHILD"
	if os.Getenv(child) == t.Name() {
		return false
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	args := append(prefix, self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=50s")
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), child+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("it did not run:\n%s", out)
	}
	return true
}

// A hoard holds descriptors that others would like to have.
type hoard []int

// takeAll leaves none to the process, which may have 512.
func (h *hoard) takeAll(t *testing.T) {
	limit := unix.Rlimit{Cur: 512, Max: 512}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// A connection that has just left may give its own back a moment later.
	for none := 0; none < 10; {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			none++
			time.Sleep(5 * time.Millisecond)
			continue
		}
		*h, none = append(*h, fd), 0
	}
}

func (h *hoard) give(n int) {
	for _, fd := range (*h)[len(*h)-n:] {
		_ = unix.Close(fd)
	}
	*h = (*h)[:len(*h)-n]
}

// comeAndGo returns when the server is known to accept, and nobody is there.
func (g *gateway) comeAndGo() {
	c := g.dial()
	eventually(g.t, "it is in", func() bool { return g.server.Open() == 1 })
	_ = c.Close()
	eventually(g.t, "it has left", func() bool { return g.server.Open() == 0 })
}

// With every descriptor of the process in use, the connections that have rested
// the longest are closed to take others in.
func TestDescriptorsAreWonFromThoseAtRest(t *testing.T) {
	if inAProcessOfItsOwn(t) {
		return
	}
	g := start(t, backend(t, hello), parts{})
	const n = 40
	resting := make([]*client, n)
	for i := range resting {
		resting[i] = g.dial()
		resting[i].send(get)
		resting[i].want("GET", 200)
	}
	atRest(t)
	var all hoard
	all.takeAll(t)
	all.give(1) // for the client's side
	c := g.dial()
	c.send(get)
	c.want("GET", 200)
	evicted := g.server.Evicted()["descriptors"]
	if evicted == 0 || evicted == n {
		t.Errorf("%d of %d connections were closed to win a descriptor", evicted, n)
	}
	closed := map[*client]bool{}
	eventually(t, "as many are closed as are counted", func() bool {
		for _, r := range resting {
			_ = r.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := r.br.ReadByte(); err == io.EOF {
				closed[r] = true
			}
		}
		return len(closed) == evicted
	})
}

// When there is none to win, who comes is turned away at once; and when
// descriptors are back, all is as before.
func TestDescriptorsRunOut(t *testing.T) {
	if inAProcessOfItsOwn(t) {
		return
	}
	g := start(t, backend(t, hello), parts{})
	g.comeAndGo()
	var all hoard
	all.takeAll(t)
	all.give(1) // for the client's side, again and again
	const n = 20
	for range n {
		g.wantTurnedAway("127.0.0.1")
	}
	if r := g.server.Refused()["descriptors"]; r != n {
		t.Errorf("%d refused, want %d", r, n)
	}
	all.give(len(all))
	for range n {
		c := g.dial()
		c.send(get)
		c.want("GET", 200)
	}
	if r := g.server.Refused()["descriptors"]; r != n {
		t.Errorf("%d refused, though descriptors are back", r)
	}
}

// The last descriptor was given up while nobody rested yet. Who comes later has
// the place of one who does by then.
func TestDescriptorsAreWonLater(t *testing.T) {
	if inAProcessOfItsOwn(t) {
		return
	}
	g := start(t, backend(t, hello), parts{})
	g.comeAndGo()
	var all hoard
	all.takeAll(t)
	all.give(2)
	first := g.dial() // both sides of it: now there is none, and the reserve is given up
	eventually(t, "it is in", func() bool { return g.server.Open() == 1 })
	atRest(t)
	all.give(1)
	second := g.dial()
	first.wantClosed()
	all.give(len(all))
	second.send(get)
	second.want("GET", 200)
	if e, r := g.server.Evicted()["descriptors"], g.server.Refused()["descriptors"]; e != 1 || r != 0 {
		t.Errorf("%d closed, %d refused; want 1 and 0", e, r)
	}
}

// Nothing in weir raises the limit of descriptors, because Go does; and what it
// starts as processes has the limit that it would have had without.
func TestDescriptorLimitIsRaised(t *testing.T) {
	if inAProcessOfItsOwn(t, "sh", "-c", `ulimit -S -n 100; exec "$0" "$@"`) {
		return
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max <= 101 {
		t.Skipf("the hard limit is %d", limit.Max)
	}
	if limit.Cur < limit.Max-1 {
		t.Errorf("the limit is %d of %d", limit.Cur, limit.Max)
	}
	out, err := exec.Command("sh", "-c", "ulimit -S -n").Output()
	if n, _ := strconv.Atoi(strings.TrimSpace(string(out))); err != nil || n != 100 {
		t.Errorf("a process has %q, %v; want 100", out, err)
	}
}
