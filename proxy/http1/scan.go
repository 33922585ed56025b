package http1

import (
	"bytes"
	"encoding/binary"

	"github.com/weir-gateway/weir/proxy/message"
)

// Reasons why a head is refused.
var (
	errBareLF      = message.Refuse(message.KindBad, "a line does not end with CRLF")
	errRequestLine = message.Refuse(message.KindBad, "the request line is malformed")
	errTarget      = message.Refuse(message.KindBad, "the request target is malformed")
	errTargetLong  = message.Refuse(message.KindTargetLong, "the request target is too long")
	errVersion     = message.Refuse(message.KindVersion, "only HTTP/1.1 and HTTP/1.0 are spoken here")
	errConnect     = message.Refuse(message.KindMethod, "CONNECT is not supported")
	errFieldName   = message.Refuse(message.KindBad, "a field name is malformed")
	errFieldValue  = message.Refuse(message.KindBad, "a field value has a control character")
	errFolded      = message.Refuse(message.KindBad, "a field is folded over lines")
	errManyFields  = message.Refuse(message.KindHeadTooLarge, "the head has too many fields")
)

// headEnd looks for the empty line that ends a head and returns the length of
// the head with it, or 0 if it is not there yet; from is how far it has been
// looked at before, and next how far now. Every line must end with CRLF.
func headEnd(buf []byte, from int) (n, next int, err error) {
	for {
		i := bytes.IndexByte(buf[from:], '\n')
		if i < 0 {
			return 0, len(buf), nil
		}
		i += from
		if i == 0 || buf[i-1] != '\r' {
			return 0, i, errBareLF
		}
		if i >= 3 && buf[i-2] == '\n' {
			return i + 1, i + 1, nil
		}
		from = i + 1
	}
}

// parseRequest reads a whole request head, RFC 9112 sections 3 and 5, into r.
// What it sets in r are views into head.
func parseRequest(head []byte, r *message.Request, maxTarget, maxFields int) error {
	line, rest := cutLine(head)
	target, err := parseRequestLine(line, r, maxTarget)
	if err != nil {
		return err
	}
	if r.Fields, err = parseFields(rest, r.Fields, maxFields); err != nil {
		return err
	}
	if err := requestFields(r); err != nil {
		return err
	}
	return parseTarget(target, r)
}

// cutLine cuts the first line, without its CRLF, off a head.
func cutLine(head []byte) (line, rest []byte) {
	i := bytes.IndexByte(head, '\n')
	return head[:i-1], head[i+1:]
}

// parseRequestLine reads METHOD SP TARGET SP VERSION.
func parseRequestLine(line []byte, r *message.Request, maxTarget int) (target []byte, err error) {
	first := bytes.IndexByte(line, ' ')
	last := bytes.LastIndexByte(line, ' ')
	if first <= 0 || last <= first+1 {
		return nil, errRequestLine
	}
	r.Method, target = line[:first], line[first+1:last]
	if !isToken(r.Method) {
		return nil, errRequestLine
	}
	if len(target) > maxTarget {
		return nil, errTargetLong
	}
	for _, c := range target {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return nil, errTarget
		}
	}
	r.Minor, err = parseVersion(line[last+1:])
	return target, err
}

// parseVersion reads HTTP/1.0 or HTTP/1.1.
func parseVersion(v []byte) (minor int, err error) {
	switch string(v) {
	case "HTTP/1.1":
		return 1, nil
	case "HTTP/1.0":
		return 0, nil
	}
	if len(v) == 8 && string(v[:5]) == "HTTP/" && isDigit(v[5]) && v[6] == '.' && isDigit(v[7]) {
		return 0, errVersion
	}
	return 0, errRequestLine
}

// parseTarget takes the request target apart, RFC 9112 section 3.2, and brings
// the path into normal form.
func parseTarget(target []byte, r *message.Request) error {
	if string(r.Method) == "CONNECT" {
		return errConnect
	}
	if string(target) == "*" && string(r.Method) == "OPTIONS" {
		r.Path = target
		return hostOf(r)
	}
	if target[0] != '/' {
		authority, path, ok := absoluteForm(target)
		if !ok {
			return errTarget
		}
		r.Authority, target = authority, path // section 3.2.2: Host is ignored
		if len(path) == 0 && string(r.Method) == "OPTIONS" {
			r.Path = []byte("*") // section 3.2.4
			return hostOf(r)
		}
	}
	path := target
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		path, r.Query = target[:i], target[i+1:]
	}
	if len(path) == 0 {
		path = slash
	}
	if err := r.SetPath(path); err != nil {
		return err
	}
	return hostOf(r)
}

var slash = []byte("/")

// absoluteForm takes http://authority/path apart.
func absoluteForm(target []byte) (authority, path []byte, ok bool) {
	i := bytes.Index(target, []byte("://"))
	if i < 0 || !message.IsToken(target[:i], "http") && !message.IsToken(target[:i], "https") {
		return nil, nil, false
	}
	rest := target[i+3:]
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	return rest[:end], rest[end:], end > 0
}

// parseFields reads field lines up to the empty line, RFC 9112 section 5.
func parseFields(b []byte, fields []message.Field, limit int) ([]message.Field, error) {
	for {
		end := bytes.IndexByte(b, '\n')
		line := b[:end-1]
		b = b[end+1:]
		if len(line) == 0 {
			return fields, nil
		}
		if len(fields) == limit {
			return fields, errManyFields
		}
		colon, odd := 0, uint8(0)
		for ; colon < len(line); colon++ {
			kind := tokenChars[line[colon]]
			if kind == 0 {
				break
			}
			odd |= kind
		}
		if colon == 0 || colon == len(line) || line[colon] != ':' {
			if line[0] == ' ' || line[0] == '\t' {
				return fields, errFolded
			}
			return fields, errFieldName
		}
		value := message.Trim(line[colon+1:])
		if !isValue(value) {
			return fields, errFieldValue
		}
		name := line[:colon]
		fields = append(fields, message.Field{
			Name: name, Value: value, ID: message.Lookup(name), Number: message.NumberOf(name),
			Drop: odd&oddChar != 0 && message.LooksKnown(name),
		})
	}
}

// isValue tells whether a field value is free of control characters but tabs,
// RFC 9110 section 5.5. It looks at eight bytes at a time.
func isValue(b []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		below := (x - ones*0x20) &^ x & high // a byte under 0x20
		del := x ^ ones*0x7f
		del = (del - ones) &^ del & high // a byte 0x7f
		if below|del != 0 && !isValueSlow(b[:8]) {
			return false
		}
		b = b[8:]
	}
	return isValueSlow(b)
}

func isValueSlow(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isToken(b []byte) bool {
	for _, c := range b {
		if tokenChars[c] == 0 {
			return false
		}
	}
	return len(b) > 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// tokenChars are the characters of a token, RFC 9110 section 5.6.2: those that
// names are usually made of, and the odd ones.
var tokenChars = func() (t [256]uint8) {
	for c := '0'; c <= 'z'; c++ {
		if c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c {
			t[c] = usualChar
		}
	}
	t['-'] = usualChar
	for _, c := range "!#$%&'*+.^_`|~" {
		t[c] = oddChar
	}
	return t
}()

const (
	usualChar = 1 << iota
	oddChar
)
