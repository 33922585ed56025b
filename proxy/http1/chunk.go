package http1

import (
	"github.com/weir-gateway/weir/proxy/message"
)

// The lines of the chunked coding, RFC 9112 section 7.1, as pure functions of
// what has come so far. Each returns how long what it looks for is, 0 if more is
// needed to tell. What is wrong is told at the first byte that is, however the
// bytes came: an endpoint that sends no chunks at all is found out before
// anything of its answer has gone to the client.

// What can be wrong with it.
var (
	errChunkSize = message.Refuse(message.KindBad, "a chunk has a malformed size")
	errChunkEnd  = message.Refuse(message.KindBad, "a chunk does not end where it should")
	errChunkLine = message.Refuse(message.KindBad, "a chunk extension or trailer is too long")
	errTrailer   = message.Refuse(message.KindBad, "a trailer line is malformed")
)

// maxChunkLine bounds a chunk's size with its extensions, which are dropped,
// and all trailers together, of which few pass: nobody needs long ones.
const maxChunkLine = 1 << 10

// maxTrailers bounds their number.
const maxTrailers = 32

// maxSizeDigits keeps a size below 1<<60.
const maxSizeDigits = 15

// chunkSize reads the line of hex digits before a chunk's data and, behind a
// semicolon, extensions that nobody wants.
func chunkSize(p []byte) (size int64, n int, err error) {
	i := 0
	for ; i < len(p) && isHex(p[i]); i++ {
		if i == maxSizeDigits {
			return 0, 0, errChunkSize
		}
		c := p[i] | 0x20
		if c >= 'a' {
			c -= 'a' - '0' - 10
		}
		size = size<<4 | int64(c-'0')
	}
	digits := i
	for i < len(p) && i <= maxChunkLine && (p[i] == ' ' || p[i] == '\t') {
		i++
	}
	switch {
	case i > maxChunkLine:
		return 0, 0, errChunkLine
	case digits == 0 && len(p) > 0, i < len(p) && p[i] != ';' && p[i] != '\r' && p[i] != '\n':
		return 0, 0, errChunkSize
	}
	n, err = lineEnd(p, i, errChunkSize)
	return size, n, err
}

// dataEnd reads the line end behind a chunk's data.
func dataEnd(p []byte) (n int, err error) {
	for i := range min(len(p), len(crlf)) {
		if p[i] != crlf[i] {
			return 0, errChunkEnd
		}
	}
	if len(p) < len(crlf) {
		return 0, nil
	}
	return len(crlf), nil
}

// trailerEnd finds the end of the trailer section, the empty line included.
func trailerEnd(p []byte) (n int, err error) {
	for lines := 0; ; lines++ {
		i := n
		for i < len(p) && tokenChars[p[i]] != 0 {
			i++
		}
		named := i > n && i < len(p) && p[i] == ':'
		switch {
		case i == len(p) && i <= maxChunkLine:
			return 0, nil
		case lines == maxTrailers && i > n, i > maxChunkLine:
			return 0, errChunkLine
		case !named && (i > n || p[i] != '\r' && p[i] != '\n'):
			return 0, errTrailer
		}
		end, err := lineEnd(p, i, errTrailer)
		if end == 0 {
			return 0, err
		}
		if !named {
			return end, nil
		}
		n = end
	}
}

// lineEnd finds the end of a line that goes on at p[i] with what the value of a
// field may have; bad is the error if there is anything else.
func lineEnd(p []byte, i int, bad error) (end int, err error) {
	for ; i < len(p); i++ {
		switch c := p[i]; {
		case i > maxChunkLine:
			return 0, errChunkLine
		case c == '\n':
			return 0, errChunkEnd
		case c == '\r' && i+1 == len(p):
			return 0, nil
		case c == '\r' && p[i+1] == '\n':
			return i + 2, nil
		case c < ' ' && c != '\t' || c == 0x7f:
			return 0, bad
		}
	}
	return 0, nil
}
