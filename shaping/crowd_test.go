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
				if c.Enter(numbered(uint64(key)), 2) != nil {
					refused.Add(1)
					continue
				}
				if n := inside[key].Add(1); n > most[key].Load() {
					most[key].Store(n)
				}
				inside[key].Add(-1)
				c.Leave(numbered(uint64(key)))
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
		if n := len(c.shards[i].inside); n > 0 {
			t.Errorf("%d keys are left", n)
		}
	}
}

func TestCrowdTurnsAwayOnlyWhoIsOver(t *testing.T) {
	var c Crowd
	for i, want := range []error{nil, nil, ErrCrowd, ErrCrowd} {
		if err := c.Enter(1, 2); err != want {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if err := c.Enter(2, 2); err != nil {
		t.Errorf("of another key: %v", err)
	}
	c.Leave(1)
	if err := c.Enter(1, 2); err != nil {
		t.Errorf("when one has left: %v", err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		_ = c.Enter(3, 1)
		c.Leave(3)
	}); n > 0 {
		t.Errorf("allocates %.0f times", n)
	}
}
