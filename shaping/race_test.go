//go:build race

package shaping

// Under the race detector a sync.Pool forgets at random.
const raced = true
