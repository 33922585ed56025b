package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestPercentFor(t *testing.T) {
	for live, want := range map[uint64]int{0: 600, 8 << 20: 300, 24 << 20: 100, 30 << 20: 100, headroom: 100, 200 << 20: 60, 256 << 20: 50, 1 << 30: 25, 1 << 40: 25} {
		if got := percentFor(live); got != want {
			t.Errorf("of %d MiB: %d, want %d", live>>20, got, want)
		}
	}
}

// What was needed once is given back, and what lives keeps its headroom.
func TestManageMemory(t *testing.T) {
	t.Setenv("GOGC", "") // which puts it back
	_ = os.Unsetenv("GOGC")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	lives, waste := make([]byte, 200<<20), make([]byte, 300<<20)
	runtime.GC()
	runtime.KeepAlive(waste)
	before, _ := readHeap()
	once, cancel := context.WithCancel(t.Context())
	cancel()
	if err := manageMemory(once); err != nil {
		t.Fatal(err)
	}
	held, live := readHeap()
	if before-held < 250<<20 || live < 200<<20 {
		t.Errorf("%d MiB before, %d after, of which %d live", before>>20, held>>20, live>>20)
	}
	runtime.KeepAlive(lives)
	if percent := debug.SetGCPercent(100); percent > 60 {
		t.Errorf("GOGC is %d", percent)
	}
}
