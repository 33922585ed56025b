//go:build race

package http1_test

// Under the race detector a sync.Pool forgets at random.
const raced = true
