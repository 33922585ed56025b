package message

import "bytes"

// What is refused in a path.
var (
	errPathStart   = Refuse(KindBad, "the path does not begin with a slash")
	errPathAbove   = Refuse(KindBad, "the path leads above the root")
	errPathEscape  = Refuse(KindBad, "the path has a broken percent-encoding")
	errPathNul     = Refuse(KindBad, "the path has an encoded NUL")
	errPathSlashes = Refuse(KindBad, "the path has a backslash")
	errPathParams  = Refuse(KindBad, "the path has a dot segment with parameters")
)

// SetPath sets the request's path from what the client wrote.
func (r *Request) SetPath(raw []byte) (err error) {
	if r.Path, r.Scratch, err = NormalizePath(raw, r.Scratch); err != nil {
		return err
	}
	r.RawPath = raw
	encoded := &r.Path[0] != &raw[0] && bytes.IndexByte(r.Path, '%') >= 0
	r.Slashes = encoded && bytes.Contains(r.Path, encodedSlash)
	r.Doubtful = encoded || bytes.IndexByte(r.Path, ';') >= 0
	return nil
}

var encodedSlash = []byte("%2F")

// NormalizePath brings a path into the one form in which it is matched and
// forwarded, so that nothing that matches one prefix can mean another to the
// endpoint: percent-encoded unreserved characters are decoded (RFC 3986
// section 6.2.2.2), repeated slashes become one, dot segments are resolved
// (section 5.2.4). An encoded slash stays encoded and separates nothing; what a
// route makes of one is in proxy/route.go. A path above the root, a backslash,
// an encoded NUL or backslash, a broken encoding and a dot segment with
// parameters ("/..;a/": Java's servers cut those off first) are refused.
//
// A path in normal form is returned as it is; another is written to the end of
// scratch, which is returned grown.
func NormalizePath(path, scratch []byte) (normal, grown []byte, err error) {
	if len(path) == 0 || path[0] != '/' {
		return nil, scratch, errPathStart
	}
	if isNormal(path) {
		return path, scratch, nil
	}
	start := len(scratch)
	scratch, err = decodeUnreserved(scratch, path)
	if err != nil {
		return nil, scratch, err
	}
	decoded := scratch[start:]
	n, err := resolve(decoded)
	return decoded[:n], scratch[:start+n], err
}

// DecodeSlashes makes separators of the encoded slashes of a path in normal
// form, and brings what comes of that into normal form, at the end of scratch.
// dots tells that this made dot segments of what were none.
func DecodeSlashes(path, scratch []byte) (normal, grown []byte, dots bool, err error) {
	start := len(scratch)
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && path[i+1] == '2' && path[i+2] == 'F' {
			scratch = append(scratch, '/')
			i += 2
			continue
		}
		scratch = append(scratch, path[i])
	}
	decoded := scratch[start:]
	for i, c := range decoded { // a segment that begins with a dot is one, or nearly, as often as not
		if c != '/' || i+1 == len(decoded) || decoded[i+1] != '.' {
			continue
		}
		segment := decoded[i+1:]
		if end := bytes.IndexByte(segment, '/'); end >= 0 {
			segment = segment[:end]
		}
		dots = dots || isDots(segment)
	}
	n, err := resolve(decoded)
	return decoded[:n], scratch[:start+n], dots, err
}

// isNormal may say false of a path that is normal, never true of one that is
// not.
func isNormal(path []byte) bool {
	before := byte(0)
	for _, c := range path {
		switch c {
		case '%', '\\':
			return false
		case '/', '.':
			if before == '/' {
				return false
			}
		}
		before = c
	}
	return true
}

// decodeUnreserved appends path to dst, with percent-encodings of unreserved
// characters decoded and the hex digits of all others in upper case.
func decodeUnreserved(dst, path []byte) ([]byte, error) {
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '\\':
			return dst, errPathSlashes
		case c != '%':
			dst = append(dst, c)
			continue
		case i+2 >= len(path):
			return dst, errPathEscape
		}
		high, low := unhex(path[i+1]), unhex(path[i+2])
		if high > 15 || low > 15 {
			return dst, errPathEscape
		}
		i += 2
		switch c := high<<4 | low; {
		case c == 0:
			return dst, errPathNul
		case c == '\\':
			return dst, errPathSlashes
		case unreserved(c):
			dst = append(dst, c)
		default:
			const digits = "0123456789ABCDEF"
			dst = append(dst, '%', digits[high], digits[low])
		}
	}
	return dst, nil
}

// resolve removes empty and dot segments in place and returns the length of
// what is left.
func resolve(path []byte) (int, error) {
	w := 0 // path[:w] is done; it is empty or begins with a slash
	for i := 0; i < len(path); {
		end := i + 1 // path[i] is a slash
		for end < len(path) && path[end] != '/' {
			end++
		}
		last := end == len(path)
		switch segment := string(path[i+1 : end]); segment {
		case "":
			if last {
				path[w] = '/'
				w++
			}
		case ".", "..":
			if segment == ".." {
				if w == 0 {
					return 0, errPathAbove
				}
				for w--; path[w] != '/'; w-- {
				}
			}
			if last {
				path[w] = '/'
				w++
			}
		default:
			if hasDots(path[i+1 : end]) {
				return 0, errPathParams
			}
			w += copy(path[w:], path[i:end])
		}
		i = end
	}
	return w, nil
}

func isDots(segment []byte) bool { return string(segment) == "." || string(segment) == ".." }

// hasDots tells whether a segment is a dot segment to somebody who cuts off
// its parameters, RFC 3986 section 3.3.
func hasDots(segment []byte) bool {
	rest := bytes.TrimLeft(segment, ".")
	return len(segment)-len(rest) <= 2 && len(rest) < len(segment) &&
		(bytes.HasPrefix(rest, []byte(";")) || bytes.HasPrefix(rest, []byte("%3B")))
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// unhex returns the value of a hex digit, or something over 15.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}
