package bench

import (
	"bytes"
	"errors"
	"strings"
)

// errGarbage: what came is not HTTP/1.1.
var errGarbage = errors.New("not an answer of HTTP/1.1")

// maxHead bounds the head of an answer, as it does with most clients.
const maxHead = 64 << 10

type stage uint8

const (
	inHead stage = iota
	inLength
	inChunkSize
	inChunk
	inChunkEnd
	inTrailer
	untilClose
	whole
)

// An answer is how far the answer to one call has been read. It keeps nothing
// of what has passed: all it wants to know is where the answer ends. It checks
// framing (RFC 9112 §6) and nothing else; fasthttp is the oracle of its tests.
type answer struct {
	stage  stage
	toHead bool // the call was HEAD: no body whatever the head says
	close  bool // the connection ends with it
	status int
	left   int64  // bytes of the body, or of the chunk
	value  []byte // of the field that was asked for; valid until the next feed
}

// feed takes what came and tells how much of it belongs to this answer. If it
// needs more than there is before it can go on it takes less: the rest comes
// again, with more behind it.
func (a *answer) feed(p []byte, field string) (n int, err error) {
	for n < len(p) && a.stage != whole {
		took, err := a.step(p[n:], field)
		if err != nil || took == 0 {
			return n, err
		}
		n += took
	}
	return n, nil
}

func (a *answer) step(p []byte, field string) (int, error) {
	switch a.stage {
	case inHead:
		end := bytes.Index(p, []byte("\r\n\r\n"))
		if end < 0 {
			return 0, tooLong(p)
		}
		return end + 4, a.head(p[:end+2], field)
	case inLength, inChunk:
		n := min(int64(len(p)), a.left)
		if a.left -= n; a.left == 0 {
			if a.stage == inLength {
				a.stage = whole
			} else {
				a.stage = inChunkEnd
			}
		}
		return int(n), nil
	case untilClose:
		return len(p), nil
	}
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		return 0, tooLong(p)
	}
	line := bytes.TrimSuffix(p[:end], []byte("\r"))
	switch a.stage {
	case inChunkSize:
		size, ok := hex(line)
		if !ok {
			return 0, errGarbage
		}
		a.left, a.stage = size, inChunk
		if size == 0 {
			a.stage = inTrailer
		}
	case inChunkEnd:
		if len(line) != 0 {
			return 0, errGarbage
		}
		a.stage = inChunkSize
	case inTrailer:
		if len(line) == 0 {
			a.stage = whole
		}
	}
	return end + 1, nil
}

func tooLong(p []byte) error {
	if len(p) > maxHead {
		return errGarbage
	}
	return nil
}

// head reads the head, of which each line has its end.
func (a *answer) head(p []byte, field string) error {
	// HTTP/1.1 200 …
	if len(p) < 14 || string(p[:7]) != "HTTP/1." || p[8] != ' ' || !digits(p[9:12]) {
		return errGarbage
	}
	if p[9] < '1' || p[9] > '5' {
		return errGarbage
	}
	a.status = int(p[9]-'0')*100 + int(p[10]-'0')*10 + int(p[11]-'0')
	if a.status < 200 && a.status != 101 {
		return nil // the final answer is still to come
	}
	length, chunked := int64(-1), false
	a.close = p[7] == '0'
	for i := bytes.IndexByte(p, '\n') + 1; i < len(p); {
		line := p[i:]
		end := bytes.IndexByte(line, '\n')
		line, i = line[:end], i+end+1
		if len(line) < 2 {
			continue
		}
		switch line[0] | 0x20 {
		case 'c':
			if v, ok := fieldIs(line, "content-length"); ok {
				n, good := decimal(v)
				if !good || length >= 0 && n != length {
					return errGarbage
				}
				length = n
			} else if v, ok := fieldIs(line, "connection"); ok {
				if containsFold(v, "close") {
					a.close = true
				} else if containsFold(v, "keep-alive") {
					a.close = false
				}
			}
		case 't':
			if v, ok := fieldIs(line, "transfer-encoding"); ok {
				chunked = containsFold(v, "chunked")
			}
		}
		if field != "" {
			if v, ok := fieldIs(line, field); ok {
				a.value = v
			}
		}
	}
	switch {
	case a.toHead || a.status == 204 || a.status == 304 || a.status == 101:
		a.stage = whole
	case chunked:
		a.stage = inChunkSize
	case length == 0:
		a.stage = whole
	case length > 0:
		a.stage, a.left = inLength, length
	default:
		a.stage, a.close = untilClose, true
	}
	return nil
}

// fieldIs gives the value of a field, if the line has that one; name is in
// lower case.
func fieldIs(line []byte, name string) ([]byte, bool) {
	if len(line) <= len(name) || line[len(name)] != ':' || !equalFold(line[:len(name)], name) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name)+1:]), true
}

func equalFold(p []byte, lower string) bool {
	for i := range lower {
		c := p[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func containsFold(p []byte, word string) bool {
	return strings.Contains(strings.ToLower(string(p)), word)
}

func digits(p []byte) bool {
	for _, c := range p {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(p) > 0
}

func decimal(p []byte) (n int64, ok bool) {
	if !digits(p) || len(p) > 18 {
		return 0, false
	}
	for _, c := range p {
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// hex reads the size of a chunk, which an extension may follow.
func hex(line []byte) (n int64, ok bool) {
	for i, c := range line {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int64(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | int64(c|0x20-'a'+10)
		default:
			return n, i > 0 && (c == ';' || c == ' ' || c == '\t')
		}
		if i > 14 {
			return 0, false
		}
	}
	return n, len(line) > 0
}
