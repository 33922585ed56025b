package docker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/coldstart/scalertest"
	"github.com/weir-gateway/weir/config"
)

// What only an engine can do, one story after the other on one engine.
func TestEngine(t *testing.T) {
	e := engineFor(t)
	for _, story := range []struct {
		name string
		tell func(*testing.T, *engine)
	}{
		{"what is run", whatIsRun},
		{"a command that is not in the image", noSuchCommand},
		{"out of memory", outOfMemory},
		{"published", published},
		{"a network of its own", ownNetwork},
		{"throttled", throttled},
		{"orphans", orphans},
		{"two gateways", twoGateways},
		{"somebody else", somebodyElse},
		{"ended while away", endedWhileAway},
		{"no engine", noEngine},
		{"another takes its place", succession},
		{"what cannot be stopped is let go of", letGo},
	} {
		t.Run(strings.ReplaceAll(story.name, " ", "_"), func(t *testing.T) { story.tell(t, e) })
	}
}

// stage opens a platform whose functions are put back at the end.
func (e *engine) stage(t *testing.T, fns ...config.Function) *scalertest.Stage {
	t.Helper()
	s := scalertest.Open(t, func(t testing.TB, log *slog.Logger) scalertest.Platform { return e.open(t, log, fns...) })
	t.Cleanup(func() {
		for _, fn := range fns {
			if err := s.ScaleDown(context.Background(), fn, 0); err != nil {
				t.Errorf("last down: %v", err)
			}
		}
		s.End()
	})
	return s
}

func whatIsRun(t *testing.T, e *engine) {
	fn := e.function("what", map[string]string{"MODE": "fast", "SAY": "good morning"})
	fn.Docker.Command = []string{"--quality", "80"}
	fn.Docker.Labels = map[string]string{"team": "images"}
	fn.Docker.Limits = config.InstanceLimits{Memory: 64 << 20, CPUs: 0.5}
	s := e.stage(t, fn)
	v, _ := s.See(fn)
	s.Up(fn, 1)
	ep := v.Until(1)[0]
	if !ep.Unproven || !strings.HasSuffix(ep.Addr, ":8080") {
		t.Errorf("endpoint %+v", ep)
	}
	if args := scalertest.Get(t, ep.Addr, "/args"); args != "/function --quality 80" {
		t.Errorf("arguments %q", args)
	}
	env := strings.Split(scalertest.Get(t, ep.Addr, "/env"), "\n")
	for _, want := range []string{"MODE=fast", "PORT=8080"} {
		if !slices.Contains(env, want) {
			t.Errorf("environment %q has no %s", env, want)
		}
	}
	seen := e.docker(t, "inspect", "--format", `{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.NanoCpus}} {{index .Config.Labels "team"}} `+
		`{{index .Config.Labels "weir.function"}} {{index .Config.Labels "weir.gateway"}} {{index .Config.Labels "weir.instance"}}`, ep.ID)
	if want := fmt.Sprintf("67108864 67108864 500000000 images what %s %s", e.gateway, ep.ID); seen != want {
		t.Errorf("the engine has %q, want %q", seen, want)
	}
	scalertest.Eventually(t, "what it says is logged", func() bool {
		return s.Log.Has("good morning", "function=what", "stream=stderr", "instance="+ep.ID)
	})
}

func noSuchCommand(t *testing.T, e *engine) {
	fn := e.function("nocommand", nil)
	s := e.stage(t, fn)
	v, _ := s.See(fn)
	for _, network := range []string{"weir-no-such-network"} {
		fn.Docker.Network = network
		if err := s.ScaleUp(t.Context(), fn, 1); !coldstart.IsTerminal(err) {
			t.Errorf("network %s: %v, want a terminal error", network, err)
		}
	}
	v.Until(0)
	if left := e.left(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func outOfMemory(t *testing.T, e *engine) {
	fn := e.function("hungry", nil)
	fn.Docker.Limits.Memory = 32 << 20
	s := e.stage(t, fn)
	v, _ := s.See(fn)
	s.Up(fn, 1)
	addr := v.Until(1)[0].Addr
	scalertest.Get(t, addr, "/id")
	scalertest.Try(addr, "/eat?mib=200")
	scalertest.Eventually(t, "told", func() bool { return len(s.Failures("hungry")) > 0 })
	if words := s.Failures("hungry")[0].Failed.Error(); !strings.Contains(words, "status 137") && !strings.Contains(words, "status 2") || !strings.Contains(words, "out of its memory") {
		t.Errorf("nobody can tell from this why: %s", words)
	}
	v.Until(0)
}

// The engine's proxy answers on a published port before the function does.
func published(t *testing.T, e *engine) {
	fn := e.function("published", map[string]string{"BOOT": "500ms"})
	fn.Docker.Publish = "127.0.0.1"
	s := e.stage(t, fn)
	v, _ := s.See(fn)
	s.Up(fn, 1)
	ep := v.Until(1)[0]
	_, at := v.Now()
	if ep.Unproven || !strings.HasPrefix(ep.Addr, "127.0.0.1:") {
		t.Errorf("endpoint %+v", ep)
	}
	if name := e.docker(t, "info", "--format", "{{.Name}}"); name == "" || ep.Node != name {
		t.Errorf("on node %q, want the engine's name %q", ep.Node, name)
	}
	var ns int64
	fmt.Sscan(scalertest.Get(t, ep.Addr, "/since"), &ns)
	since := time.Unix(0, ns)
	t.Logf("reported %v after it listened", at.Sub(since))
	if at.Before(since) {
		t.Errorf("reported %v before it listened", since.Sub(at))
	}
	s.Down(fn, 0)
	v.Until(0)
}

func ownNetwork(t *testing.T, e *engine) {
	name := e.gateway
	e.docker(t, "network", "create", name)
	t.Cleanup(func() { e.docker(t, "network", "rm", name) })
	fn := e.function("own", nil)
	fn.Docker.Network = name
	s := e.stage(t, fn)
	v, _ := s.See(fn)
	s.Up(fn, 1)
	ep := v.Until(1)[0]
	scalertest.Get(t, ep.Addr, "/id")
	if ip := e.docker(t, "inspect", "--format", `{{(index .NetworkSettings.Networks "`+name+`").IPAddress}}`, ep.ID); ip+":8080" != ep.Addr {
		t.Errorf("address %s, on the network it is %s", ep.Addr, ip)
	}
}

// Of what a former weir has left only that stays which would be started so now.
func orphans(t *testing.T, e *engine) {
	same, changed, removed := e.function("same", nil), e.function("changed", nil), e.function("removed", nil)
	paused := e.function("paused", nil)
	paused.ColdStart.IdleMode = "pause"
	first := scalertest.Open(t, func(t testing.TB, log *slog.Logger) scalertest.Platform { return e.open(t, log) })
	for _, fn := range []config.Function{same, changed, removed, paused} {
		first.Up(fn, 1)
	}
	first.Down(paused, 0)
	first.End()
	if n := len(e.left(t)); n != 4 {
		t.Fatalf("%d containers outlive weir, want 4", n)
	}
	changed.Docker.Env = map[string]string{"VERSION": "2"}
	second := e.stage(t, same, changed, paused)
	v, _ := second.See(same)
	w, _ := second.See(changed)
	v.Until(1)
	w.Until(0)
	scalertest.Eventually(t, "orphans are gone", func() bool { return len(e.left(t)) == 2 })
	x, _ := second.See(paused)
	x.Until(0)
	second.Up(paused, 1)
	scalertest.Get(t, x.Until(1)[0].Addr, "/id")
	if n := len(e.left(t)); n != 2 {
		t.Errorf("%d containers, want the same 2", n)
	}
	paused.ColdStart.IdleMode = "stop"
	second.Down(paused, 0)
}

// Two weirs on one engine do not see each other's containers.
func twoGateways(t *testing.T, e *engine) {
	fn := e.function("shared", nil)
	other := *e
	other.gateway += "-other"
	s := e.stage(t, fn)
	v, _ := s.See(fn)
	s.Up(fn, 1)
	v.Until(1)
	o := other.open(t, slog.New(slog.DiscardHandler)) // to which the function is an orphan's
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- o.Run(ctx) }()
	if n, err := o.Replicas(ctx, fn); n != 0 || err != nil {
		t.Errorf("the other one has %d: %v", n, err)
	}
	if err := o.ScaleDown(ctx, fn, 0); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	scalertest.Get(t, v.Until(1)[0].Addr, "/id")
}

// Somebody at the engine pauses, resumes and removes what is ours.
func somebodyElse(t *testing.T, e *engine) {
	fn := e.function("touched", nil)
	s := e.stage(t, fn)
	v, _ := s.See(fn)
	s.Up(fn, 1)
	ep := v.Until(1)[0]
	scalertest.Get(t, ep.Addr, "/id")
	e.docker(t, "pause", ep.ID)
	v.Until(0)
	e.docker(t, "unpause", ep.ID)
	v.Until(1)
	e.docker(t, "rm", "--force", ep.ID)
	v.Until(0)
	scalertest.Eventually(t, "told", func() bool { return len(s.Failures("touched")) == 1 })
	s.Up(fn, 1)
	v.Until(1)
}

// What happened while the engine could not be heard is found out afterwards.
func endedWhileAway(t *testing.T, e *engine) {
	exits, vanishes, stays := e.function("exits", nil), e.function("vanishes", nil), e.function("stays", nil)
	s := e.stage(t, exits, vanishes, stays)
	u, _ := s.See(exits)
	v, _ := s.See(vanishes)
	w, _ := s.See(stays)
	for _, fn := range []config.Function{exits, vanishes, stays} {
		s.Up(fn, 1)
	}
	addr, id := u.Until(1)[0].Addr, v.Until(1)[0].ID
	here := w.Until(1)[0]
	e.front.Take(true)
	scalertest.Crash(t, addr)
	e.docker(t, "rm", "--force", id)
	scalertest.Eventually(t, "the operator is told", func() bool { return s.Log.Has("the engine cannot be reached") })
	u.Until(1)
	v.Until(1)
	e.front.Take(false)
	u.Until(0)
	v.Until(0)
	scalertest.Eventually(t, "told", func() bool { return len(s.Failures("exits")) == 1 && len(s.Failures("vanishes")) == 1 })
	if words := s.Failures("exits")[0].Failed.Error(); !strings.Contains(words, "status 3") {
		t.Errorf("told: %s", words)
	}
	if now := w.Until(1)[0]; now != here {
		t.Errorf("%v was %v", now, here)
	}
}

// Without an engine a start fails for the moment, soon, and nothing is said
// about endpoints.
func noEngine(t *testing.T, e *engine) {
	fn := e.function("nowhere", nil)
	e.front.Take(true)
	defer e.front.Take(false)
	s := scalertest.Open(t, func(t testing.TB, log *slog.Logger) scalertest.Platform { return e.open(t, log, fn) })
	s.See(fn)
	err := s.ScaleUp(t.Context(), fn, 1)
	if err == nil || coldstart.IsTerminal(err) || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("up: %v", err)
	}
	if told := s.Told("nowhere"); len(told) > 0 {
		t.Errorf("told %v", told)
	}
}

func TestWhereAContainerIs(t *testing.T) {
	d := config.Docker{Port: 80}
	settings := &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{"n": {}, "nil": nil}}
	if addr := addressOf(&d, settings); addr != "" {
		t.Errorf("without an address it is at %q", addr)
	}
	d.Publish = "127.0.0.1"
	if addr := addressOf(&d, settings); addr != "" {
		t.Errorf("unpublished it is at %q", addr)
	}
	if addr := addressOf(nil, nil); addr != "" {
		t.Errorf("nothing is at %q", addr)
	}
}

// Lines come out whole, however they went in; long ones are cut.
func TestLines(t *testing.T) {
	text := "one\r\n\ntwo\n" + strings.Repeat("x", 3*lineBytes) + "\nlast"
	for _, step := range []int{1, 7, 4096, len(text)} {
		j := &scalertest.Journal{}
		w := &lines{l: &logs{}, log: slog.New(slog.NewTextHandler(j, nil))}
		for rest := text; rest != ""; {
			n := min(step, len(rest))
			w.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		w.end()
		if n := strings.Count(j.String(), "\n"); n != 4 || !j.Has("msg=one") || !j.Has("msg=two") || !j.Has("msg=last") || w.l.newest != "last" {
			t.Errorf("in steps of %d: %d lines, last %q", step, n, w.l.newest)
		}
		if n := strings.Count(j.String(), "x"); n != lineBytes {
			t.Errorf("in steps of %d: %d of the long line", step, n)
		}
	}
}

// What the engine is told when an instance is throttled and woken, with a limit and
// without; and a weir that comes back knows a throttled one from one that serves.
func throttled(t *testing.T, e *engine) {
	for _, c := range []struct {
		name            string
		cpus            float64
		throttled, back string
	}{
		{"free", 0, "1000 0", "-1 0"},
		{"limited", 0.5, "0 10000000", "0 500000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fn := e.function("slow-"+c.name, nil)
			fn.ColdStart.IdleMode, fn.Docker.Limits.CPUs = "throttle", c.cpus
			s := e.stage(t)
			v, stop := s.See(fn)
			s.Up(fn, 1)
			ep := v.Until(1)[0]
			id := scalertest.Get(t, ep.Addr, "/id")
			has := func(want string) {
				t.Helper()
				if got := e.docker(t, "inspect", "--format", "{{.HostConfig.CpuQuota}} {{.HostConfig.NanoCpus}}", ep.ID); got != want {
					t.Errorf("quota and CPUs are %s, want %s", got, want)
				}
			}
			s.Down(fn, 0)
			v.Until(0)
			has(c.throttled)
			s.Up(fn, 1)
			v.Until(1)
			has(c.back)
			s.Down(fn, 0)
			v.Until(0)
			stop()
			s.End()

			next := e.stage(t, fn)
			w, _ := next.See(fn)
			w.Until(0)
			if n, err := next.Replicas(t.Context(), fn); n != 0 || err != nil {
				t.Errorf("%d replicas, %v", n, err)
			}
			next.Up(fn, 1)
			if again := w.Until(1)[0]; again.ID != ep.ID || scalertest.Get(t, again.Addr, "/id") != id {
				t.Errorf("%s serves, %s was throttled", again.ID, ep.ID)
			}
			has(c.back)
			fn.ColdStart.IdleMode = "stop"
			next.Down(fn, 0)
		})
	}
}
