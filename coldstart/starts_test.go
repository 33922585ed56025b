package coldstart

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

// A crowd is many functions in the care of one Activator.
type crowd struct {
	*platform
	activator *Activator
	stages    []*stage
}

// crowds runs a test with n functions, of which limit may be starting at once.
func crowds(t *testing.T, n, limit int, test func(t *testing.T, c *crowd)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{platform: &platform{}}
		c.activator = NewActivator(map[string]Scaler{"p": c.platform}, nil, slog.New(slog.DiscardHandler))
		c.activator.SetMaxStarting(limit)
		pool := NewPool(1000)
		for i := range n {
			s := &stage{platform: c.platform, subject: &subject{}}
			s.hold = NewHold(1000, pool, func() { s.act.Need() })
			fn := config.Function{Name: fmt.Sprint(i), ColdStart: config.ColdStart{
				Scaler: "p", MaxScale: 10, Concurrency: 1, IdleAfter: time.Minute, StartTimeout: 10 * time.Second,
			}}
			var err error
			if s.act, err = c.activator.Adopt(fn, s.hold, s.subject); err != nil {
				t.Fatal(err)
			}
			s.act.Begin()
			c.stages = append(c.stages, s)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { _ = c.activator.Run(ctx) })
		synctest.Wait()
		test(t, c)
		for _, s := range c.stages {
			s.hold.Close(ErrGone)
		}
		cancel()
		work.Wait()
	})
}

// phases lists the functions that are in a phase.
func (c *crowd) in(phase string) (names []int) {
	synctest.Wait()
	for i, s := range c.stages {
		if s.act.Status().Phase == phase {
			names = append(names, i)
		}
	}
	return names
}

func (c *crowd) want(t *testing.T, phase string, want ...int) {
	t.Helper()
	if got := c.in(phase); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s are %v, want %v", phase, got, want)
	}
}

func TestOnlySoManyStartAtOnce(t *testing.T) {
	crowds(t, 5, 2, func(t *testing.T, c *crowd) {
		for _, s := range c.stages {
			s.callers(t, 1)
		}
		c.want(t, "boot", 0, 1)
		c.want(t, "queued", 2, 3, 4)
		time.Sleep(time.Second)
		c.stages[1].act.Serving(1, 1, time.Now())
		c.want(t, "boot", 0, 2)
		time.Sleep(9 * time.Second) // the first runs out of time; its second failure is far
		c.want(t, "boot", 2, 3)
		time.Sleep(9 * time.Second) // who waited for its turn has all its time
		c.want(t, "boot", 3, 4)
		time.Sleep(10 * time.Second)
		c.want(t, "boot")
		c.want(t, "queued")
		c.want(t, "warm", 1)
	})
}

func TestInstancesCountNotFunctions(t *testing.T) {
	crowds(t, 2, 4, func(t *testing.T, c *crowd) {
		c.stages[0].callers(t, 1)
		synctest.Wait()
		c.stages[0].callers(t, 9)
		time.Sleep(sizeEvery)
		synctest.Wait()
		c.stages[1].callers(t, 1)
		c.want(t, "queued", 1)
		if n := slices.Max(c.up); n != 4 { // those in between may be heard after it
			t.Errorf("asked for %d, want as many as may start", n)
		}
		c.stages[0].act.Serving(1, 1, time.Now())
		synctest.Wait() // one more of the first, which stood in line before
		c.stages[0].act.Serving(3, 1, time.Now())
		c.want(t, "boot", 1)
	})
}

func TestDemandGoesFirst(t *testing.T) {
	crowds(t, 10, 8, func(t *testing.T, c *crowd) {
		until := time.Now().Add(time.Hour)
		for i := range 6 {
			c.activator.Prewarm(fmt.Sprint(i), "predict", until)
		}
		c.activator.Prewarm("nobody", "predict", until)
		c.want(t, "boot", 0, 1, 2, 3)
		c.want(t, "queued", 4, 5)
		for i := 6; i < 10; i++ {
			c.stages[i].callers(t, 1)
		}
		c.want(t, "boot", 0, 1, 2, 3, 6, 7, 8, 9)
		c.stages[5].callers(t, 1) // somebody comes for one that waits
		c.stages[0].act.Serving(1, 0, time.Now())
		c.want(t, "boot", 1, 2, 3, 5, 6, 7, 8, 9)
		c.want(t, "queued", 4)
	})
}

func TestLimitThatIsLifted(t *testing.T) {
	crowds(t, 3, 1, func(t *testing.T, c *crowd) {
		for _, s := range c.stages {
			s.callers(t, 1)
		}
		c.want(t, "boot", 0)
		c.activator.SetMaxStarting(0)
		c.want(t, "boot", 0, 1, 2)
	})
}

// Whatever happens to the starts, nothing is counted for ever.
func TestEveryStartIsCountedDown(t *testing.T) {
	crowds(t, 4, 2, func(t *testing.T, c *crowd) {
		for _, s := range c.stages {
			s.callers(t, 1)
		}
		synctest.Wait()
		c.tell("0", time.Now(), ErrGone)
		c.stages[1].act.Leave()
		c.want(t, "boot", 2, 3)
		c.stages[2].act.Serving(1, 1, time.Now())
		synctest.Wait()
		c.stages[2].act.Serving(0, 1, time.Now()) // lost, with a line
		synctest.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		done := make(chan int)
		c.activator.post(func() { done <- c.activator.starts.under[demanded] + c.activator.starts.under[ahead] })
		if n := <-done; n != 0 {
			t.Errorf("%d are said to be under way", n)
		}
	})
}

func TestPrewarmedAndNotCalled(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.act.activator.Prewarm("f", "schedule", time.Now().Add(10*time.Second))
		s.want(t, "starting", 1, 0)
		if got := s.act.Status().Trigger; got != "schedule" {
			t.Errorf("trigger %s", got)
		}
		s.act.Serving(1, 0, time.Now())
		time.Sleep(9 * time.Second)
		s.want(t, "warm", 1, 0)
		time.Sleep(time.Second)
		s.want(t, "cold", 1, 1) // not after idle_after, which is a minute
	})
}

func TestPrewarmedAndCalled(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.act.activator.Prewarm("f", "schedule", time.Now().Add(2*time.Minute))
		synctest.Wait()
		s.act.Serving(1, 0, time.Now())
		time.Sleep(time.Second)
		s.subject.enter(1)
		s.subject.enter(-1)
		time.Sleep(59 * time.Second)
		s.want(t, "warm", 1, 0)
		time.Sleep(1500 * time.Millisecond)
		s.want(t, "cold", 1, 1) // who was expected has been here: idle_after holds
	})
}

func TestPrewarmKeepsUpWhatRuns(t *testing.T) {
	stages(t, nil, func(t *testing.T, s *stage) {
		s.warm(t)
		s.act.activator.Prewarm("f", "predict", time.Now().Add(10*time.Minute))
		time.Sleep(9 * time.Minute)
		s.want(t, "warm", 1, 0)
		time.Sleep(time.Minute)
		s.want(t, "cold", 1, 1)
	})
}
