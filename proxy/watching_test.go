package proxy

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// A scene is a platform, a provider and an endpoint of one function, in time that
// the test makes pass.
type scene struct {
	table.Transport
	mu      sync.Mutex // guards listens
	listens bool
	report  func([]discovery.Endpoint)
}

func (*scene) String() string { return "scene" }

func (*scene) ScaleUp(context.Context, config.Function, int) error    { return nil }
func (*scene) ScaleDown(context.Context, config.Function, int) error  { return nil }
func (*scene) Replicas(context.Context, config.Function) (int, error) { return 0, nil }

func (s *scene) Watch(ctx context.Context, _ *config.Function, report func([]discovery.Endpoint)) error {
	s.report = report
	report(nil)
	<-ctx.Done()
	return nil
}

func (*scene) Configure(*table.Settings) {}
func (*scene) CloseIdle()                {}
func (*scene) Unregister()               {}

func (s *scene) Probe(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.listens {
		return message.ErrConnect
	}
	return nil
}

// A viewer is the browser's side of a stream of events, and notes when each came.
type viewer struct {
	client
	woken chan struct{}
	told  []string
	at    []time.Time
}

func (v *viewer) Write(p []byte) error {
	v.told, v.at = append(v.told, string(p)), append(v.at, time.Now())
	return nil
}
func (v *viewer) Flush() error { return nil }

func (v *viewer) Wait(until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-v.woken:
		return nil
	case <-timer.C:
		return os.ErrDeadlineExceeded
	}
}

func (v *viewer) Wake() {
	select {
	case v.woken <- struct{}{}:
	default:
	}
}

// play runs a test with a Keeper and an Activator at work, and somebody who
// watches function f.
func play(t *testing.T, test func(t *testing.T, s *scene, v *viewer, over <-chan struct{})) {
	synctest.Test(t, func(t *testing.T) {
		cfg, err := config.Parse("test.yaml", []byte("listeners: [{ address: '127.0.0.1:1' }]\n"+
			"functions: { f: { cold_start: { scaler: process, start_timeout: 1h }, process: { command: [none] }, while_cold: { waiting_page: {} } } }\n"+
			"routes: [{ path_prefix: /, function: f }]\n"))
		if err != nil {
			t.Fatal(err)
		}
		s, log := &scene{}, slog.New(slog.DiscardHandler)
		activator := coldstart.NewActivator(map[string]coldstart.Scaler{"process": s}, nil, log)
		keeper := table.NewKeeper(cfg, table.Parts{Provider: s, Activator: activator, Log: log,
			NewTransport: func(string) table.Transport { return s }, NewMeter: func(string) table.Meter { return s }})
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { _ = keeper.Run(ctx) })
		work.Go(func() { _ = activator.Run(ctx) })
		<-keeper.Ready()

		v := &viewer{woken: make(chan struct{}, 1)}
		c := &Call{table: keeper.Table(), fn: keeper.Table().Unrouted}
		c.Down = v
		c.Start(time.Now())
		over := make(chan struct{})
		work.Go(func() {
			defer close(over)
			if err := (watching{&Proxy{keeper: keeper}, keeper.Table().Functions["f"]}).give(c); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		test(t, s, v, over)
		cancel()
		work.Wait()
	})
}

// The page is told that the function is up in the moment in which it is, whatever
// the moment (C23): if it looked every so often, time would have passed.
func TestReadyIsToldAtOnce(t *testing.T) {
	for _, boot := range []time.Duration{time.Millisecond, 333 * time.Millisecond, 1500 * time.Millisecond, 14*time.Second + 1, 7 * time.Minute} {
		play(t, func(t *testing.T, s *scene, v *viewer, over <-chan struct{}) {
			time.Sleep(boot)
			up := time.Now()
			s.report([]discovery.Endpoint{{ID: "i", Addr: "a", Weight: 1}})
			<-over
			last := len(v.told) - 1
			if !strings.HasPrefix(v.told[last], "event: ready\n") {
				t.Fatalf("told %q", v.told)
			}
			if late := v.at[last].Sub(up); late != 0 {
				t.Errorf("booted for %v: told %v after it was up", boot, late)
			}
		})
	}
}

// An instance that only the Keeper's probes find to be up: they are what may make
// the page late, by 100 ms at most.
func TestReadyIsToldSoonAfterItListens(t *testing.T) {
	for _, boot := range []time.Duration{time.Millisecond, 333 * time.Millisecond, 5 * time.Second, 9999 * time.Millisecond, time.Minute} {
		play(t, func(t *testing.T, s *scene, v *viewer, over <-chan struct{}) {
			s.report([]discovery.Endpoint{{ID: "i", Addr: "a", Weight: 1, Unproven: true}})
			time.Sleep(boot)
			up := time.Now()
			s.mu.Lock()
			s.listens = true
			s.mu.Unlock()
			<-over
			most := 8 * time.Millisecond
			if boot >= 10*time.Second {
				most = 100 * time.Millisecond
			}
			if late := v.at[len(v.at)-1].Sub(up); late > most {
				t.Errorf("booted for %v: told %v after it listened, want %v at most", boot, late, most)
			}
		})
	}
}

// So is a phase: the page says that it boots when the platform has taken note.
func TestPhasesAreToldAtOnce(t *testing.T) {
	play(t, func(t *testing.T, s *scene, v *viewer, over <-chan struct{}) {
		told := slices.IndexFunc(v.told, func(event string) bool { return strings.Contains(event, `"phase":"boot"`) })
		if told < 0 || v.at[told] != v.at[0] {
			t.Errorf("told %q at %v", v.told, v.at)
		}
		s.report([]discovery.Endpoint{{ID: "i", Addr: "a", Weight: 1}})
		<-over
	})
}
