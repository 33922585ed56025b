package shaping

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
)

// A circuit is a Breaker with what it has told.
type circuit struct {
	Breaker
	t    *testing.T
	told []int
}

func newCircuit(t *testing.T, rules config.CircuitBreaker) *circuit {
	c := &circuit{t: t}
	c.Tell(func(to int, _ string) { c.told = append(c.told, to) })
	c.Configure(&rules)
	return c
}

// try makes n tries that come out so.
func (c *circuit) try(n int, how Outcome) {
	c.t.Helper()
	for range n {
		trial, err := c.Enter()
		if err != nil {
			c.t.Fatalf("turned away in state %d", c.State())
		}
		c.Ended(trial, how, moment.Now())
	}
}

func (c *circuit) is(want int) {
	c.t.Helper()
	if c.State() != want {
		c.t.Errorf("state %d, want %d", c.State(), want)
	}
}

func (c *circuit) turnsAway() {
	c.t.Helper()
	if _, err := c.Enter(); !errors.Is(err, ErrOpen) {
		c.t.Errorf("let in with %v in state %d", err, c.State())
	}
}

var strict = config.CircuitBreaker{ConsecutiveFailures: 5, MinRequests: 20, OpenFor: 10 * time.Second, HalfOpenRequests: 3}

func TestBreakerOpensAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(t, strict)
		c.try(4, Bad)
		c.try(1, SaysNothing)
		c.try(1, Good)
		c.try(4, Bad)
		c.is(Closed)
		late, _ := c.Enter() // on its way when it opens
		c.try(1, Bad)
		c.is(Open)
		c.turnsAway()
		if left := c.Left(moment.Now()); left != 10*time.Second {
			t.Errorf("%v left", left)
		}
		c.Ended(late, Good, moment.Now())
		c.is(Open)
		time.Sleep(10*time.Second + 1)

		c.try(5, SaysNothing) // tries it out, and the client leaves
		c.is(HalfOpen)
		var trials []Trial
		for range 3 {
			trial, err := c.Enter()
			if err != nil {
				t.Fatal(err)
			}
			trials = append(trials, trial)
		}
		c.turnsAway()
		c.Ended(trials[0], Good, moment.Now())
		c.Ended(trials[1], Bad, moment.Now())
		c.is(Open)
		c.Ended(trials[2], Good, moment.Now())
		c.is(Open)
		time.Sleep(10*time.Second + 1)

		c.try(3, Good)
		c.is(Closed)
		c.try(4, Bad) // it counts anew
		c.is(Closed)
		if want := []int{Open, HalfOpen, Open, HalfOpen, Closed}; !slices.Equal(c.told, want) || c.Trips() != 2 {
			t.Errorf("told %v, want %v; %d trips", c.told, want, c.Trips())
		}
	})
}

func TestBreakerByRatio(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules := config.CircuitBreaker{FailureRatio: 0.5, MinRequests: 20, OpenFor: time.Second, HalfOpenRequests: 1}
		c := newCircuit(t, rules)
		c.try(19, Bad) // too few to tell
		c.is(Closed)
		time.Sleep(11 * time.Second) // they are forgotten
		c.try(15, Good)
		c.try(14, Bad)
		c.is(Closed)
		c.try(1, Bad)
		c.is(Open)
	})
}

func TestBreakerWithOtherRules(t *testing.T) {
	c := newCircuit(t, strict)
	c.try(5, Bad)
	c.is(Open)
	same := strict
	c.Configure(&same) // nothing has changed
	c.is(Open)
	other := strict
	other.ConsecutiveFailures = 2
	c.Configure(&other)
	c.is(Closed)
	c.try(2, Bad)
	c.is(Open)
	c.Configure(nil)
	c.is(Closed)
	c.try(100, Bad)
	c.is(Closed)
}

func TestBreakerTogether(t *testing.T) {
	rules := strict
	rules.OpenFor = time.Millisecond
	var b Breaker
	b.Configure(&rules)
	var work sync.WaitGroup
	for n := range 8 {
		work.Go(func() {
			for i := range 2000 {
				if trial, err := b.Enter(); err == nil {
					b.Ended(trial, Outcome((i+n)%3), moment.Now())
				}
			}
		})
	}
	work.Wait()
	began := moment.Now()
	for b.State() != Closed { // whatever has happened, it finds back
		if trial, err := b.Enter(); err == nil {
			b.Ended(trial, Good, moment.Now())
		}
		if moment.Now().Sub(began) > 20*time.Second {
			t.Fatalf("stuck in state %d", b.State())
		}
	}
}

func TestBreakerAllocs(t *testing.T) {
	var b Breaker
	rules := strict
	rules.FailureRatio = 0.5
	b.Configure(&rules)
	now := moment.Now()
	if n := testing.AllocsPerRun(1000, func() {
		trial, _ := b.Enter()
		b.Ended(trial, Good, now)
	}); n > 0 {
		t.Errorf("allocates %.0f times", n)
	}
}

func BenchmarkBreaker(b *testing.B) {
	now := moment.Now()
	both := strict
	both.FailureRatio = 0.5
	for name, rules := range map[string]*config.CircuitBreaker{"off": nil, "in a row": &strict, "ratio too": &both} {
		b.Run(name, func(b *testing.B) {
			var breaker Breaker
			breaker.Configure(rules)
			b.ReportAllocs()
			for b.Loop() {
				trial, _ := breaker.Enter()
				breaker.Ended(trial, Good, now)
			}
		})
	}
}

func TestOutlierByRules(t *testing.T) {
	var o Outlier
	rules := &config.OutlierDetection{Consecutive5xx: 3, BaseEjectionTime: 30 * time.Second, MaxEjectionTime: 100 * time.Second, MaxEjectionPercent: 50}
	now := moment.Of(time.Unix(1000, 0))
	fails := func(n int) (tooMany bool) {
		for range n {
			tooMany = o.Answered(false, rules, now)
		}
		return tooMany
	}
	if fails(2) || o.Answered(true, rules, now) || fails(2) {
		t.Error("two in a row are too many")
	}
	if !fails(1) {
		t.Error("three in a row are not")
	}
	for _, want := range []time.Duration{30, 60, 90, 100, 100} {
		if d := o.Eject(rules, now); d != want*time.Second {
			t.Errorf("aside for %v, want %v s", d, want)
		}
		if o.Answered(false, rules, now) || !o.Ejected(now) {
			t.Error("it is not aside")
		}
		now = now.Add(want * time.Second)
		if o.Ejected(now) {
			t.Error("it is aside for longer")
		}
	}
	now = now.Add(4 * 30 * time.Second) // four are forgiven, of five
	if d := o.Eject(rules, now); d != 60*time.Second {
		t.Errorf("after a while: %v", d)
	}
}
