package message

// KeepTrailers drops the trailer fields whose names, in lower case, are not
// among the allowed, and returns how many pass. What weir knows never does: it
// frames, routes or says who somebody is (RFC 9110 section 6.5.1).
func KeepTrailers(fields []Field, allowed []string) (n int) {
	for i := range fields {
		f := &fields[i]
		f.Drop = f.ID != Other || !among(f.Name, allowed)
		if !f.Drop {
			n++
		}
	}
	return n
}

// Announces tells whether a Trailer field, RFC 9110 section 6.6.2, names
// nothing but what is allowed.
func Announces(value []byte, allowed []string) bool {
	ok := len(allowed) > 0
	Elements(value, func(name []byte) bool {
		ok = ok && Lookup(name) == Other && among(name, allowed)
		return ok
	})
	return ok
}

// among tells whether name is among the allowed.
func among(name []byte, allowed []string) bool {
	for _, a := range allowed {
		if IsToken(name, a) {
			return true
		}
	}
	return false
}
