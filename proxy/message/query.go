package message

// AppendUnescaped appends a name or value of a query to dst, as forms encode it
// (application/x-www-form-urlencoded): %XX is a byte, + a space. A broken
// encoding stands for itself.
func AppendUnescaped(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '+':
			dst = append(dst, ' ')
		case c == '%' && i+2 < len(text) && unhex(text[i+1]) < 16 && unhex(text[i+2]) < 16:
			dst = append(dst, unhex(text[i+1])<<4|unhex(text[i+2]))
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
