package testkit

import (
	"time"
	"unsafe"
)

// Jumped is the moment t as a process sees it whose wall clock was set by d,
// whole seconds, before: the monotonic clock went on as if nothing had been.
// t must be a reading of time.Now, or come of one. It writes into time.Time, whose
// wall seconds stand above 30 bits of nanoseconds (Go 1.9 to 1.26).
func Jumped(t time.Time, d time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(d/time.Second) << 30 //nolint:gosec // it wraps around, as it should
	return t
}
