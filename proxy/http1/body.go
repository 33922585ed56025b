package http1

import (
	"bytes"
	"errors"
	"io"

	"github.com/weir-gateway/weir/proxy/message"
)

// What is wrong with a chunked body, RFC 9112 section 7.1.
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

// chunkState is where in the chunked coding the next byte stands.
type chunkState uint8

const (
	atSize    chunkState = iota
	inData               // left bytes of the chunk are to come
	atDataEnd            // the CRLF behind the data
	inTrailer
)

// A body reads a body off a wire, whatever its framing, without copying.
type body struct {
	wire    *wire
	fillOne func() error // waits for more; the wire's owner knows for how long
	framing message.Framing
	left    int64 // Sized: of the body; Chunked: of the chunk
	state   chunkState
	trailer int // bytes of the trailer section so far
	kept    []byte
	fields  []message.Field // the trailers, which lie in kept
	pin     bool            // the wire's buffer holds a head that is still needed
	held    bool            // all that was read is still in the buffers (rewind.go):
	start   int             // from here on behind the head,
	split   int             // and from the next buffer's begin what did not come with it
	err     error
}

// begin makes the body ready for a message whose head has just been taken off
// the wire.
func (b *body) begin(framing message.Framing, length int64, pin bool) {
	*b = body{wire: b.wire, fillOne: b.fillOne, framing: framing, pin: pin, kept: b.kept[:0], fields: b.fields[:0]}
	if pin {
		b.held, b.start = true, b.wire.r
	}
	switch {
	case framing == message.NoBody, framing == message.Sized && length == 0:
		b.err = io.EOF
	case framing == message.Sized:
		b.left = length
	}
}

// whole tells whether the body has been read to its clean end.
func (b *body) whole() bool { return b.err == io.EOF }

// Ready tells whether Next would return without waiting.
func (b *body) Ready() bool {
	switch {
	case b.err != nil:
		return true
	case b.framing != message.Chunked || b.state == inData:
		return b.wire.r < b.wire.w
	}
	unread := b.wire.unread()
	if b.state == atDataEnd {
		unread = unread[min(2, len(unread)):]
	}
	end := bytes.IndexByte(unread, '\n')
	if end < 0 {
		return false
	}
	digits := bytes.TrimLeft(unread[:end], "0") // of the size, and what follows
	behind := unread[end+1:]
	if end > len(digits) && (len(digits) == 0 || !isHex(digits[0])) { // the last chunk: its trailers have to be here
		return bytes.HasPrefix(behind, crlf) || bytes.Contains(behind, trailersEnd)
	}
	return len(behind) > 0
}

var trailersEnd = []byte("\r\n\r\n")

// Next returns the next bytes, a view that is valid until the call after.
func (b *body) Next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	var p []byte
	if b.framing == message.Chunked {
		p, b.err = b.nextOfChunks()
	} else {
		p, b.err = b.nextPlain()
	}
	if len(p) > 0 {
		return p, nil
	}
	return nil, b.err
}

func (b *body) nextPlain() ([]byte, error) {
	if err := b.need(1); err != nil {
		if b.framing == message.UntilClose && err == io.ErrUnexpectedEOF {
			return nil, io.EOF
		}
		return nil, err
	}
	p := b.wire.unread()
	if b.framing == message.Sized {
		p = p[:min(int64(len(p)), b.left)]
		b.left -= int64(len(p))
	}
	b.wire.r += len(p)
	if b.framing == message.Sized && b.left == 0 {
		return p, io.EOF
	}
	return p, nil
}

// nextOfChunks takes sizes and line ends away until there is data. It does not
// wait for the line end behind the data it has.
func (b *body) nextOfChunks() ([]byte, error) {
	for {
		switch b.state {
		case atSize:
			size, err := b.chunkSize()
			if err != nil {
				return nil, err
			}
			b.left, b.state = size, inData
			if size == 0 {
				b.state = inTrailer
			}
		case inData:
			if err := b.need(1); err != nil {
				return nil, err
			}
			p := b.wire.unread()
			p = p[:min(int64(len(p)), b.left)]
			b.left -= int64(len(p))
			b.wire.r += len(p)
			if b.left == 0 {
				b.state = atDataEnd
			}
			return p, nil
		case atDataEnd:
			if err := b.need(2); err != nil {
				return nil, err
			}
			if string(b.wire.unread()[:2]) != "\r\n" {
				return nil, errChunkEnd
			}
			b.wire.r += 2
			b.state = atSize
		case inTrailer:
			line, err := b.line()
			if err != nil {
				return nil, err
			}
			if len(line) == 0 {
				return nil, io.EOF
			}
			if b.trailer += len(line); b.trailer > maxChunkLine {
				return nil, errChunkLine
			}
			if err := b.keepTrailer(line); err != nil {
				return nil, err
			}
		}
	}
}

// keepTrailer notes a field of the trailer section. It lies behind the body, so
// it has to be copied to outlive the next read.
func (b *body) keepTrailer(line []byte) error {
	if len(b.fields) == maxTrailers {
		return errChunkLine
	}
	if cap(b.kept) == 0 {
		b.kept = make([]byte, 0, maxChunkLine) // never grows: fields are views into it
	}
	start := len(b.kept)
	b.kept = append(b.kept, line...)
	line = b.kept[start:]
	colon := bytes.IndexByte(line, ':')
	if colon < 1 || !isToken(line[:colon]) || !isValue(line[colon+1:]) {
		return errTrailer
	}
	name := line[:colon]
	b.fields = append(b.fields, message.Field{Name: name, Value: message.Trim(line[colon+1:]), ID: message.Lookup(name)})
	return nil
}

// Trailers are the fields behind a chunked body that has been read to its end.
func (b *body) Trailers() []message.Field {
	if !b.whole() {
		return nil
	}
	return b.fields
}

// chunkSize reads a line of hex digits and, behind a semicolon, extensions that
// nobody wants.
func (b *body) chunkSize() (int64, error) {
	line, err := b.line()
	if err != nil {
		return 0, err
	}
	var size int64
	digits := 0
	for digits < len(line) && isHex(line[digits]) {
		c := line[digits] | 0x20
		if c >= 'a' {
			c -= 'a' - '0' - 10
		}
		size = size<<4 | int64(c-'0')
		digits++
	}
	rest := message.Trim(line[digits:])
	if digits == 0 || digits > 15 || len(rest) > 0 && rest[0] != ';' || !isValue(rest) {
		return 0, errChunkSize
	}
	return size, nil
}

// line takes one line that ends with CRLF off the wire.
func (b *body) line() ([]byte, error) {
	for {
		unread := b.wire.unread()
		if i := bytes.IndexByte(unread, '\n'); i >= 0 {
			if i > maxChunkLine {
				return nil, errChunkLine
			}
			if i == 0 || unread[i-1] != '\r' {
				return nil, errChunkEnd
			}
			b.wire.r += i + 1
			return unread[:i-1], nil
		}
		if len(unread) > maxChunkLine {
			return nil, errChunkLine
		}
		if err := b.need(len(unread) + 1); err != nil {
			return nil, err
		}
	}
}

// need waits until at least n bytes are unread; n is small.
func (b *body) need(n int) error {
	w := b.wire
	for w.w-w.r < n {
		switch {
		case b.pin:
			b.pin, b.split = false, w.r
			w.room(b.bufferSize(), true)
		case b.held && w.w < len(w.buf):
		case w.buf == nil, w.r == w.w, len(w.buf)-w.r < n:
			b.held = false
			w.room(b.bufferSize(), false)
		}
		if err := b.fillOne(); err != nil {
			if errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// bufferSize is what the rest of the body deserves.
func (b *body) bufferSize() int {
	if b.framing == message.Sized && b.left <= smallBuffer {
		return smallBuffer
	}
	return largeBuffer
}
