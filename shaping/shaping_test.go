package shaping

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/internal/moment"
)

// What slots are, without atomics.
func TestSlotsAsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Slots
		limit, window, used, shut := 0, 0, 0, false
		widen := func(n int) {
			if window > 0 {
				window += n
			}
			if window >= lastWindow {
				window = 0
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"limit": func(t *rapid.T) {
				n := rapid.IntRange(0, 4).Draw(t, "limit")
				s.SetLimit(n)
				limit = n
				if n > 0 {
					window = 0
				}
			},
			"take": func(t *rapid.T) {
				want := !shut && (limit+window == 0 || used < limit+window)
				if got := s.Take(); got != want {
					t.Fatalf("took %v, want %v", got, want)
				}
				if want {
					used++
				}
			},
			"give back": func(t *rapid.T) {
				if used > 0 {
					s.GiveBack()
					used--
				}
			},
			"close": func(t *rapid.T) {
				if got := s.Close(); got != (used == 0) {
					t.Fatalf("closed %v with %d taken", got, used)
				}
				shut = shut || used == 0
			},
			"open": func(*rapid.T) { s.Open(); shut = false },
			"slowly": func(*rapid.T) {
				s.StartSlowly()
				if limit == 0 && window == 0 {
					window = firstWindow
				}
			},
			"answered": func(t *rapid.T) {
				if got := s.Answered(time.Millisecond); got != (window > 0) {
					t.Fatalf("wider %v with a window of %d", got, window)
				}
				widen(1)
			},
			"time passes": func(t *rapid.T) {
				if got := s.Widen(); got != (window > 0) {
					t.Fatalf("wider %v with a window of %d", got, window)
				}
				widen(window)
			},
			"failed": func(*rapid.T) {
				s.Failed()
				if window > 0 {
					window = max(window/2, 1)
				}
			},
			"": func(t *rapid.T) {
				want := -1
				switch {
				case shut:
					want = 0
				case limit+window > 0:
					want = max(limit+window-used, 0)
				}
				if s.InFlight() != used || s.Free() != want {
					t.Fatalf("%d in flight and %d free, want %d and %d", s.InFlight(), s.Free(), used, want)
				}
			},
		})
	})
}

func TestSlotsTogether(t *testing.T) {
	var s Slots
	s.SetLimit(3)
	var inside, most atomic.Int64
	var takers, closer sync.WaitGroup
	over := make(chan struct{})
	for range 8 {
		takers.Go(func() {
			for taken := 0; taken < 500; runtime.Gosched() {
				if !s.Take() {
					continue
				}
				taken++
				if n := inside.Add(1); n > most.Load() {
					most.Store(n)
				}
				inside.Add(-1)
				s.GiveBack()
			}
		})
	}
	closer.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			if s.Close() {
				if inside.Load() != 0 {
					t.Error("closed under a call")
				}
				s.Open()
			}
		}
	})
	takers.Wait()
	close(over)
	closer.Wait()
	if most.Load() > 3 || s.InFlight() != 0 {
		t.Errorf("%d at once, %d left", most.Load(), s.InFlight())
	}
}

func TestGiveBackTwiceIsABug(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("nothing was said")
		}
	}()
	var s Slots
	s.Take()
	s.GiveBack()
	s.GiveBack()
}

func TestOutlier(t *testing.T) {
	var o Outlier
	now := moment.Of(time.Unix(1000, 0))
	if o.Ejected(now) {
		t.Error("a new endpoint is set aside")
	}
	for _, d := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		for range 100 { // calls that were on their way together
			o.Failed(now)
		}
		until := now.Add(d * time.Second)
		if o.Ejected(until) || !o.Ejected(until.Add(-time.Microsecond)) {
			t.Errorf("not set aside for %d s", d)
		}
		now = until
	}
	o.Failed(now)
	o.Fared()
	if o.Ejected(now) {
		t.Error("it answered, and is still set aside")
	}
}

func TestAllocs(t *testing.T) {
	var s Slots
	var g Gate
	var o Outlier
	now := moment.Now()
	if n := testing.AllocsPerRun(1000, func() {
		g.Enter(moment.Now())
		s.Take()
		o.Ejected(now)
		o.Fared()
		s.GiveBack()
		g.Leave(now)
	}); n > 0 {
		t.Errorf("allocates %.0f times", n)
	}
}
