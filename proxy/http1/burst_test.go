package http1

import (
	"testing"
	"testing/synctest"
	"time"
)

// A burst that is over has its memory given back, once; what goes on does not.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b burst
		step := func(wake, sleep int, want int64) {
			t.Helper()
			for range wake {
				b.wake()
			}
			for range sleep {
				b.sleep()
			}
			time.Sleep(2 * burstOver)
			if got := b.height.Load(); got != want {
				t.Fatalf("after %d more and %d less the height is %d, want %d", wake, sleep, got, want)
			}
		}
		step(5000, 0, 5000)
		step(0, 2000, 5000)    // 3000 of 5000 are awake still
		step(1500, 1500, 5000) // they take turns
		step(0, 600, 2400)     // half are asleep
		step(0, 2300, 100)
		step(900, 1000, 1000) // a small one
		step(5000, 5000, 0)
		for range 2000 { // one that is back before anything was done
			b.wake()
		}
		for range 2000 {
			b.sleep()
		}
		step(2000, 0, 2000)
	})
}
