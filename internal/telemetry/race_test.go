//go:build race

package telemetry

// Under the race detector a sync.Pool forgets at random.
const raced = true
