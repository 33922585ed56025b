package shaping

import (
	"sync"
	"sync/atomic"
	"testing"
)

// However many come at once, no more of one key are inside than may be, each key has its own
// number, and nothing is left of those who have gone.
func TestCrowd(t *testing.T) {
	var c Crowd
	var inside, most [3]atomic.Int64
	var refused atomic.Int64
	var work sync.WaitGroup
	for i := range 12 {
		work.Go(func() {
			key := i % 3
			for range 1000 {
				h, err := c.Enter(numbered(uint64(key)), 2)
				if err != nil {
					refused.Add(1)
					continue
				}
				if n := inside[key].Add(1); n > most[key].Load() {
					most[key].Store(n)
				}
				inside[key].Add(-1)
				h.Leave()
			}
		})
	}
	work.Wait()
	for i := range most {
		if n := most[i].Load(); n > 2 || n < 1 {
			t.Errorf("key %d had %d inside", i, n)
		}
	}
	if int64(c.Refused()) != refused.Load() {
		t.Errorf("%d refused, it says %d", refused.Load(), c.Refused())
	}
	for i := range c.shards {
		for key, h := range c.shards[i].inside {
			if n := h.calls.Load(); n != 0 {
				t.Errorf("%d of %v are left", n, key)
			}
		}
	}
}

// Keys of which nobody is inside are forgotten, those of which somebody is are not.
func TestCrowdForgets(t *testing.T) {
	var c Crowd
	stays, err := c.Enter(numbered(0), 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(10_000) {
		h, err := c.Enter(numbered(1+i), 1)
		if err != nil {
			t.Fatal(err)
		}
		h.Leave()
	}
	keys := 0
	for i := range c.shards {
		keys += len(c.shards[i].inside)
	}
	if most := len(c.shards) * (leastSwept + 2); keys > most {
		t.Errorf("%d keys are kept, want at most %d", keys, most)
	}
	if _, err := c.Enter(numbered(0), 1); err != ErrCrowd {
		t.Errorf("who is inside is forgotten: %v", err)
	}
	stays.Leave()
	if _, err := c.Enter(numbered(0), 1); err != nil {
		t.Error(err)
	}
}

func TestCrowdTurnsAwayOnlyWhoIsOver(t *testing.T) {
	var c Crowd
	var h *Headcount
	for i, want := range []error{nil, nil, ErrCrowd, ErrCrowd} {
		in, err := c.Enter(1, 2)
		if err != want {
			t.Errorf("call %d: %v", i, err)
		}
		if err == nil {
			h = in
		}
	}
	if _, err := c.Enter(2, 2); err != nil {
		t.Errorf("of another key: %v", err)
	}
	h.Leave()
	if _, err := c.Enter(1, 2); err != nil {
		t.Errorf("when one has left: %v", err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		h, _ := c.Enter(3, 1)
		h.Leave()
	}); n > 0 {
		t.Errorf("allocates %.0f times", n)
	}
}
