package http1

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// A burst leaves the process with the memory of all that was awake at its
// height: the stacks and buffers of ten thousand calls are 190 MiB. The runtime
// gives it back within minutes; a burst has it given back when it is over.
type burst struct {
	awake   atomic.Int64 // connections with a goroutine
	height  atomic.Int64 // the most there were since memory was given back
	pending atomic.Bool  // somebody is about to
}

const (
	// manyAwake is how far awake must have fallen, besides to half: less is not
	// worth a collection (20 KiB each are 20 MiB).
	manyAwake = 1024
	// burstOver is how long it must have stayed there.
	burstOver = 500 * time.Millisecond
)

func (b *burst) wake() {
	awake := b.awake.Add(1)
	for high := b.height.Load(); awake > high && !b.height.CompareAndSwap(high, awake); high = b.height.Load() {
	}
}

func (b *burst) sleep() {
	if b.fallen(b.awake.Add(-1)) && b.pending.CompareAndSwap(false, true) {
		time.AfterFunc(burstOver, b.giveBack)
	}
}

func (b *burst) fallen(awake int64) bool {
	high := b.height.Load()
	return high-awake >= manyAwake && awake <= high/2
}

func (b *burst) giveBack() {
	defer b.pending.Store(false)
	if awake := b.awake.Load(); b.fallen(awake) {
		b.height.Store(awake)
		runtime.GC() // a sync.Pool keeps what it has for one collection more
		debug.FreeOSMemory()
	}
}
