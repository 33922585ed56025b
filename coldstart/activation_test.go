package coldstart

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

// A platform that does what the test says.
type platform struct {
	mu       sync.Mutex
	up       []int // every n asked for
	again    []int // and every one that was asked for before
	down     []int
	modes    []string // idle_mode of each
	upErr    error
	againErr error
	downErr  error
	slow     time.Duration // how long a ScaleDown takes
	slowUp   time.Duration // and a ScaleUp
	tell     func(string, time.Time, error)
	gone     func() // called when a ScaleDown to nothing is done
}

func (p *platform) String() string { return "platform" }

func (p *platform) ScaleUp(ctx context.Context, _ config.Function, n int) error {
	time.Sleep(p.slowUp)
	p.mu.Lock()
	defer p.mu.Unlock()
	if Repeated(ctx) {
		p.again = append(p.again, n)
		return p.againErr
	}
	p.up = append(p.up, n)
	return p.upErr
}

func (p *platform) ScaleDown(_ context.Context, fn config.Function, n int) error {
	time.Sleep(p.slow)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down, p.modes = append(p.down, n), append(p.modes, fn.ColdStart.IdleMode)
	if n == 0 && p.downErr == nil && p.gone != nil {
		p.gone()
	}
	return p.downErr
}

func (p *platform) Replicas(context.Context, config.Function) (int, error) { return 0, nil }

func (p *platform) Failed(tell func(string, time.Time, error)) { p.tell = tell }

func (p *platform) upFails(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upErr = err
}

func (p *platform) asked() (up, down int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.up), len(p.down)
}

// A subject whose calls the test counts.
type subject struct {
	mu        sync.Mutex
	calls     int
	last      time.Time
	withdrawn bool
	addrs     []string
	refusing  int
}

func (s *subject) InUse() (int, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls, s.last
}

func (s *subject) Withdraw() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.withdrawn = s.calls == 0
	return s.withdrawn
}

func (s *subject) Restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.withdrawn = false
}

func (s *subject) Place() Place { return Place{} }

func (s *subject) Refusing() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusing
}

func (s *subject) Addresses() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addrs
}

func (s *subject) isWithdrawn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.withdrawn
}

func (s *subject) enter(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls += n
	if n < 0 {
		s.last = time.Now()
	}
}

// A stage is one function in the care of a running Activator.
type stage struct {
	*platform
	subject *subject
	hold    *Hold
	act     *Activation
}

// stages runs a test with one function that is not started yet.
func stages(t *testing.T, change func(*config.ColdStart), test func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fn := config.Function{Name: "f", ColdStart: config.ColdStart{
			Scaler: "p", MaxScale: 1, IdleAfter: time.Minute, StartTimeout: 10 * time.Second,
		}}
		if change != nil {
			change(&fn.ColdStart)
		}
		s := &stage{platform: &platform{}, subject: &subject{}}
		a := NewActivator(map[string]Scaler{"p": s.platform}, nil, slog.New(slog.DiscardHandler))
		s.hold = NewHold(1000, NewPool(1000), func() { s.act.Need() })
		var err error
		if s.act, err = a.Adopt(fn, s.hold, s.subject); err != nil {
			t.Fatal(err)
		}
		s.act.Begin()
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { _ = a.Run(ctx) })
		synctest.Wait()
		test(t, s)
		s.hold.Close(ErrGone)
		cancel()
		work.Wait()
	})
}

// want checks what was asked of the platform and where the activation is.
func (s *stage) want(t *testing.T, state string, up, down int) {
	t.Helper()
	synctest.Wait()
	if got := s.act.Status().State; got != state {
		t.Errorf("state %s, want %s", got, state)
	}
	if u, d := s.asked(); u != up || d != down {
		t.Errorf("asked %d times up and %d down, want %d and %d", u, d, up, down)
	}
}

// callers puts n calls in line; each returns its error through the channel.
func (s *stage) callers(t *testing.T, n int) <-chan error {
	ended := make(chan error, n)
	for range n {
		w, p := &Waiter{}, newParker()
		if err := s.hold.Join(w, p, Claim{Now: time.Now()}); err != nil {
			ended <- err
			continue
		}
		go func() {
			defer w.Leave()
			w.Turn()
			ended <- w.Wait(time.Now().Add(time.Hour))
		}()
	}
	synctest.Wait()
	return ended
}

func TestManyCallsOneStart(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		ended := s.callers(t, 500)
		s.want(t, "starting", 1, 0)
		time.Sleep(2 * time.Second)
		s.hold.Wake(500)
		s.act.Serving(1, 0, time.Now())
		for range 500 {
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
		s.want(t, "warm", 1, 0)
		if eta := s.act.Status().ETA; eta != 2*time.Second {
			t.Errorf("eta %v", eta)
		}
	})
}

func TestCrashOfAnEarlierInstanceIsNotTheStarts(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		old := time.Now()
		time.Sleep(time.Second)
		s.callers(t, 1)
		s.tell("f", old, errors.New("an old one"))
		s.want(t, "starting", 1, 0)
	})
}

func TestCrashWhileCallsWait(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.callers(t, 1)
		s.act.Serving(1, 0, time.Now())
		s.want(t, "warm", 1, 0)
		s.act.Serving(0, 0, time.Now()) // somebody is still in line
		s.want(t, "starting", 2, 0)
	})
}

func TestSizedByTheLine(t *testing.T) {
	stages(t, func(c *config.ColdStart) { c.Concurrency, c.MaxScale = 10, 5 }, func(t *testing.T, s *stage) {
		s.callers(t, 1)
		s.want(t, "starting", 1, 0)
		s.callers(t, 34)
		time.Sleep(sizeEvery)
		synctest.Wait()
		s.callers(t, 100)
		time.Sleep(sizeEvery)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		// Whoever doubles the line is looked at while it still grows, so that some
		// are asked for one by one. Requests are under way side by side and reach
		// the platform in any order: each says at least how many.
		up := slices.Sorted(slices.Values(s.up))
		if up[0] != 1 || !slices.Contains(up, 4) || up[len(up)-1] != 5 || len(slices.Compact(up)) != len(s.up) {
			t.Errorf("asked for %v, want 1, 4, 5, and what is between, each once", s.up)
		}
	})
}

// warm brings a function to warm with nobody in line.
func (s *stage) warm(t *testing.T) {
	t.Helper()
	ended := s.callers(t, 1)
	s.hold.Wake(1)
	<-ended
	s.act.Serving(1, 0, time.Now())
	s.want(t, "warm", 1, 0)
}

func TestIdleIsCountedFromTheLastByte(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.warm(t)
		time.Sleep(50 * time.Second)
		s.subject.enter(1)
		time.Sleep(3 * time.Minute) // a long call
		s.want(t, "warm", 1, 0)
		s.subject.enter(-1)
		time.Sleep(59 * time.Second)
		s.want(t, "warm", 1, 0)
		time.Sleep(time.Second)
		s.want(t, "cold", 1, 1)
	})
}

func TestCallDuringTheStopStartsAgain(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.slow = 5 * time.Second
		s.warm(t)
		time.Sleep(time.Minute + time.Second)
		s.want(t, "draining", 1, 0)
		s.callers(t, 1)
		s.want(t, "starting", 2, 0)
		time.Sleep(9 * time.Second) // the old stop ends meanwhile, and the platform is told again
		if up, down := s.asked(); up != 3 || down != 1 {
			t.Errorf("asked %d up, %d down", up, down)
		}
	})
}

func TestStopThatFailsIsTakenBack(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.downErr = errors.New("no")
		s.warm(t)
		time.Sleep(time.Minute)
		s.want(t, "warm", 1, 1)
		if s.subject.isWithdrawn() {
			t.Error("the endpoints are still withdrawn")
		}
		time.Sleep(time.Minute)
		s.want(t, "warm", 1, 2)
	})
}

func TestMinScale(t *testing.T) {
	stages(t, func(c *config.ColdStart) { c.MinScale = 1 }, func(t *testing.T, s *stage) {
		s.want(t, "starting", 1, 0)
		s.act.Serving(1, 0, time.Now())
		time.Sleep(time.Hour)
		s.want(t, "warm", 1, 0)
		s.act.Serving(0, 0, time.Now())
		s.want(t, "starting", 2, 0)
	})
}

func TestMinUp(t *testing.T) {
	stages(t, func(c *config.ColdStart) { c.IdleAfter, c.MinUp = time.Second, 30*time.Second }, func(t *testing.T, s *stage) {
		s.warm(t)
		time.Sleep(29 * time.Second)
		s.want(t, "warm", 1, 0)
		time.Sleep(time.Second)
		s.want(t, "cold", 1, 1)
	})
}

func TestLeave(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.warm(t)
		s.subject.enter(1)
		s.act.Leave()
		time.Sleep(time.Second)
		s.want(t, "warm", 1, 0) // not under a call
		s.subject.enter(-1)
		time.Sleep(time.Second)
		s.want(t, "cold", 1, 1)
		time.Sleep(time.Minute) // nobody says any more that nothing of it runs
		s.want(t, "cold", 1, 1)
	})
}

func TestChangeOfTheProgram(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.warm(t)
		s.act.Change(s.act.fn, false)
		time.Sleep(time.Second)
		s.want(t, "warm", 1, 0)
		s.act.Change(s.act.fn, true)
		time.Sleep(time.Second)
		s.want(t, "cold", 1, 1)
	})
}
