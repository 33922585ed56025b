package message

// What is refused in a path.
var (
	errPathStart   = Refuse(KindBad, "the path does not begin with a slash")
	errPathAbove   = Refuse(KindBad, "the path leads above the root")
	errPathEscape  = Refuse(KindBad, "the path has a broken percent-encoding")
	errPathNul     = Refuse(KindBad, "the path has an encoded NUL")
	errPathSlashes = Refuse(KindBad, "the path has a backslash")
)

// NormalizePath brings a path into the one form in which it is matched and
// forwarded, so that nothing that matches one prefix can mean another to the
// endpoint: percent-encoded unreserved characters are decoded (RFC 3986
// section 6.2.2.2), repeated slashes become one, dot segments are resolved
// (section 5.2.4). An encoded slash stays encoded and separates nothing. A path
// above the root, a backslash, an encoded NUL or backslash and a broken
// encoding are refused.
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
			w += copy(path[w:], path[i:end])
		}
		i = end
	}
	return w, nil
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
