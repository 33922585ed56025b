package consul

import (
	"testing"
	"time"
)

// Queries rest the longer the more changes, and soon as before when it is quiet
// again.
func TestPace(t *testing.T) {
	var p pace
	now := time.Now()
	changes := func(n int, apart time.Duration) (rest time.Duration) {
		for range n {
			now = now.Add(apart)
			rest = p.rest(now)
		}
		return rest
	}
	for _, c := range []struct {
		n     int
		apart time.Duration
		want  time.Duration
	}{
		{1, time.Hour, restLeast},
		{50, 100 * time.Millisecond, 11 * restForChange}, // the one that begins a second counts too
		{2000, time.Millisecond, restMost},
		{2, 10 * time.Second, restLeast},
	} {
		if got := changes(c.n, c.apart); got > c.want || got < c.want*8/10 {
			t.Errorf("after %d changes %v apart queries rest %v, want %v", c.n, c.apart, got, c.want)
		}
	}
}
