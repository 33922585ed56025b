package message

import "bytes"

// AppendDecoded appends to dst a path in normal form as somebody reads it who
// decodes what is encoded. What no pattern of a route has as it is (controls,
// spaces, slashes, percent and question marks, what is not ASCII) stays encoded:
// it cannot make another route's path of this one.
func AppendDecoded(dst, path []byte) []byte {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' && i+2 < len(path) {
			if b := unhex(path[i+1])<<4 | unhex(path[i+2]); Literal(b) {
				c, i = b, i+2
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// Literal tells whether a character can stand for itself in the path of a route.
func Literal(c byte) bool {
	switch c {
	case '/', '%', '?', '#', '\\':
		return false
	}
	return ' ' < c && c < 0x7f
}

// AppendWithoutParameters appends to dst a path in normal form as somebody reads
// it who takes the parameters off its segments, RFC 3986 section 3.3, as Java's
// servers do. Segments that were nothing else are gone.
func AppendWithoutParameters(dst, path []byte) []byte {
	start := len(dst)
	inside := false
	for _, c := range path {
		switch c {
		case ';':
			inside = true
		case '/':
			inside = false
		}
		if !inside {
			dst = append(dst, c)
		}
	}
	// No dot segment comes of it: NormalizePath refuses those with parameters.
	n, err := resolve(dst[start:])
	if err != nil {
		panic("BUG: " + err.Error() + ": " + string(bytes.Clone(path)))
	}
	return dst[:start+n]
}
