package http1

import "sync"

// Buffers come in two sizes: small for heads and short bodies, large for
// bodies that flow. Larger heads are rare and have a buffer of their own that
// is not kept.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

// buffers are the only thing that all connections of the process share. They
// are arrays by pointer, so that putting one back does not allocate.
var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// getBuffer returns a buffer of at least n bytes, at full length.
func getBuffer(n int) []byte {
	switch {
	case n <= smallBuffer:
		return smallBuffers.Get().(*[smallBuffer]byte)[:]
	case n <= largeBuffer:
		return largeBuffers.Get().(*[largeBuffer]byte)[:]
	}
	return make([]byte, n)
}

// putBuffer takes a buffer back; nobody may use it any more.
func putBuffer(b []byte) {
	switch cap(b) {
	case smallBuffer:
		smallBuffers.Put((*[smallBuffer]byte)(b[:smallBuffer]))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]byte)(b[:largeBuffer]))
	}
}
