package docker

import (
	"crypto/rand"
	"log/slog"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart/scalertest"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/testkit"
)

// An engine is the real one, behind a front that a test can take away.
type engine struct {
	gateway string
	socket  string
	command string
	image   string
	front   *testkit.Front
}

func engineFor(t testing.TB) *engine {
	t.Helper()
	socket, command := testkit.Docker(t)
	e := &engine{gateway: "test-" + strings.ToLower(rand.Text()[:10]), socket: socket, command: command}
	e.image = testkit.Image(t, "../scalertest/function")
	e.front = testkit.NewFront(t, "unix", socket)
	t.Cleanup(func() { // whatever went wrong
		if ids := e.left(t); len(ids) > 0 {
			t.Errorf("left on the engine: %v", ids)
			e.docker(t, append([]string{"rm", "--force"}, ids...)...)
		}
	})
	return e
}

func (e *engine) docker(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(e.command, args...).CombinedOutput()
	if err != nil {
		t.Errorf("docker %s: %v %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (e *engine) left(t testing.TB) []string {
	t.Helper()
	return strings.Fields(e.docker(t, "ps", "--all", "--quiet", "--filter", "label="+labelGateway+"="+e.gateway))
}

// ended is when the engine noticed that a container had.
func (e *engine) ended(t testing.TB, name string) time.Time {
	t.Helper()
	said := e.docker(t, "events", "--since", "10m", "--until", time.Now().Format(time.RFC3339Nano),
		"--filter", "event=die", "--filter", "label="+labelInstance+"="+name, "--format", "{{.TimeNano}}")
	ns, err := strconv.ParseInt(said, 10, 64)
	if err != nil {
		t.Errorf("the engine says of the end of %s: %q", name, said)
	}
	return time.Unix(0, ns)
}

func (e *engine) scaler() config.Scaler {
	return config.Scaler{Type: "docker", Host: "unix://" + e.front.Addr(), Gateway: e.gateway}
}

// function is one with an image that plays what the suite wants.
func (e *engine) function(name string, env map[string]string) config.Function {
	return config.Function{
		Name:      name,
		ColdStart: config.ColdStart{Scaler: "docker", MaxScale: 3, IdleMode: "stop"},
		Docker:    &config.Docker{Image: e.image, Port: 8080, Env: env, StopTimeout: 5 * time.Second},
	}
}

// open makes a Platform whose configuration has these functions.
func (e *engine) open(t testing.TB, log *slog.Logger, fns ...config.Function) *Platform {
	t.Helper()
	configured := map[string]*config.Function{}
	for _, fn := range fns {
		configured[fn.Name] = &fn
	}
	p, err := New("docker", e.scaler(), configured, log)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestScaler(t *testing.T) { scalertest.Run(t, trial(t)) }

func BenchmarkEvents(b *testing.B) { scalertest.Bench(b, trial(b)) }

// trial is the scaler as it is put to the test.
func trial(t testing.TB) scalertest.Subject {
	e := engineFor(t)
	return scalertest.Subject{
		Open: func(t testing.TB, log *slog.Logger) scalertest.Platform {
			return e.open(t, log, e.function("restart", nil)) // the one that is found again
		},
		Function: e.function,
		Missing: func(name string) config.Function {
			fn := e.function(name, nil)
			fn.Docker.Image = "weir-test/no-such-image:1"
			return fn
		},
		Left:     e.left,
		Ended:    e.ended,
		Outlives: true,
		Reserves: []string{"pause", "throttle"},
		Away: func(testing.TB) func() {
			e.front.Take(true)
			return func() { e.front.Take(false) }
		},
	}
}
