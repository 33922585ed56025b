package http1

import (
	"bytes"
	"errors"
	"io"

	"github.com/weir-gateway/weir/proxy/message"
)

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
	p, state := b.wire.unread(), b.state
	if state == atDataEnd {
		n, err := dataEnd(p)
		if n == 0 {
			return err != nil
		}
		p, state = p[n:], atSize
	}
	if state == atSize {
		size, n, err := chunkSize(p)
		if n == 0 {
			return err != nil
		}
		p = p[n:]
		if size > 0 {
			return len(p) > 0
		}
	}
	n, err := trailerEnd(p) // of the last chunk
	return n > 0 || err != nil
}

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
		var size int64
		var n int
		var err error
		switch unread := b.wire.unread(); b.state {
		case atSize:
			size, n, err = chunkSize(unread)
			if n > 0 {
				b.left, b.state = size, inData
				if size == 0 {
					b.state = inTrailer
				}
			}
		case inData:
			if n = int(min(int64(len(unread)), b.left)); n > 0 {
				b.left -= int64(n)
				if b.left == 0 {
					b.state = atDataEnd
				}
				b.wire.r += n
				return unread[:n], nil
			}
		case atDataEnd:
			if n, err = dataEnd(unread); n > 0 {
				b.state = atSize
			}
		case inTrailer:
			if n, err = trailerEnd(unread); n > 0 {
				b.keepTrailers(unread[:n])
				b.wire.r += n
				return nil, io.EOF
			}
		}
		if err != nil {
			return nil, err
		}
		b.wire.r += n
		if n == 0 {
			if err := b.need(b.wire.w - b.wire.r + 1); err != nil {
				return nil, err
			}
		}
	}
}

// keepTrailers notes the fields of a whole trailer section. It lies behind the
// body, so it has to be copied to outlive the next read.
func (b *body) keepTrailers(section []byte) {
	if len(section) == len(crlf) {
		return
	}
	b.kept = append(b.kept[:0], section...)
	for rest := b.kept; len(rest) > len(crlf); {
		end := bytes.IndexByte(rest, '\r')
		colon := bytes.IndexByte(rest, ':')
		name := rest[:colon]
		b.fields = append(b.fields, message.Field{Name: name, Value: message.Trim(rest[colon+1 : end]), ID: message.Lookup(name)})
		rest = rest[end+len(crlf):]
	}
}

// Trailers are the fields behind a chunked body that has been read to its end.
func (b *body) Trailers() []message.Field {
	if !b.whole() {
		return nil
	}
	return b.fields
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
