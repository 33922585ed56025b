package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// headroom is how far the heap may grow over what lives before it is collected,
// once as much lives. The runtime's way, up to twice what lives, would be the
// double of every big table, and a warm call allocates nothing.
const headroom = 128 << 20

const (
	// leastRoom is how far it may grow at least. A weir with a hundred functions lives
	// in 4 MiB: with as much again, 100 changes a second, 50 to 160 KB each, had it
	// collected five times a second, and half of what a change cost was that
	// (2026-11-26).
	leastRoom = 24 << 20

	// leastLive is taken to live before a first collection has told.
	leastLive = 4 << 20

	// memoryEvery is how often manageMemory looks.
	memoryEvery = 30 * time.Second

	// worthwhile is how much more than it should be the heap has to be for a
	// collection at once. The runtime would get there too, in some minutes.
	worthwhile = 64 << 20
)

// manageMemory keeps the heap near what lives in it, until ctx ends: to read a file
// takes several times what stays of it. Whoever sets GOGC decides alone how far it
// grows between two collections.
func manageMemory(ctx context.Context) error {
	_, own := os.LookupEnv("GOGC")
	percent, goal := 100, uint64(0)
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	for {
		if held, _ := readHeap(); held > goal+worthwhile {
			debug.FreeOSMemory()
		}
		_, live := readHeap()
		if next := percentFor(live); !own && next != percent {
			debug.SetGCPercent(next)
			percent = next
		}
		goal = live + live/100*uint64(percent)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// percentFor is GOGC for a heap of which so much lives, in steps of five, so that
// it seldom changes.
func percentFor(live uint64) int {
	live = max(live, leastLive)
	room := max(min(live, headroom), leastRoom)
	return int(max(25, room*100/live/5*5))
}

// readHeap tells how much memory the heap takes, and how much of it the last
// collection found alive.
func readHeap() (held, live uint64) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
	}
	metrics.Read(samples)
	for _, s := range samples[1:] {
		held += s.Value.Uint64()
	}
	return held, samples[0].Value.Uint64()
}
