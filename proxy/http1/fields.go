package http1

import (
	"bytes"
	"fmt"

	"github.com/weir-gateway/weir/proxy/message"
)

// Reasons why the fields of a request are refused.
var (
	errHost        = message.Refuse(message.KindBad, "the request needs exactly one valid Host field")
	errLength      = message.Refuse(message.KindBad, "the Content-Length is not one decimal number")
	errLengthCoded = message.Refuse(message.KindBad, "Content-Length and Transfer-Encoding exclude each other")
	errCoding      = message.Refuse(message.KindCoding, "the only transfer coding spoken here is chunked")
	errCodedTwice  = message.Refuse(message.KindBad, "Transfer-Encoding must be chunked, once")
	errTypes       = message.Refuse(message.KindBad, "the request has more than one Content-Type")
	errCodedOld    = message.Refuse(message.KindBad, "HTTP/1.0 has no Transfer-Encoding")
)

// framing is what a head says about the length of its body.
type framing struct {
	length  int64 // -1: not said
	chunked bool
	close   bool // Connection: close
	keep    bool // Connection: keep-alive
	upgrade bool // Connection: upgrade
}

// readFraming goes through the fields that decide how the message ends and
// whether the connection goes on.
func readFraming(fields []message.Field) (f framing, err error) {
	f.length = -1
	for i := range fields {
		value := fields[i].Value
		switch fields[i].ID {
		case message.ContentLength:
			if f.length >= 0 {
				return f, errLength
			}
			if f.length = parseLength(value); f.length < 0 {
				return f, errLength
			}
		case message.TransferEncoding:
			if f.chunked {
				return f, errCodedTwice
			}
			if err := checkCoding(value); err != nil {
				return f, err
			}
			f.chunked = true
		case message.Connection:
			message.Elements(value, func(e []byte) bool {
				f.close = f.close || message.IsToken(e, "close")
				f.keep = f.keep || message.IsToken(e, "keep-alive")
				f.upgrade = f.upgrade || message.IsToken(e, "upgrade")
				return true
			})
		}
	}
	if f.chunked && f.length >= 0 {
		return f, errLengthCoded
	}
	return f, nil
}

// checkCoding accepts "chunked" and nothing else. A list that names chunked in
// another place is an attempt at confusion; another coding is only not spoken.
func checkCoding(value []byte) error {
	if message.IsToken(value, "chunked") {
		return nil
	}
	err := errCoding
	message.Elements(value, func(e []byte) bool {
		if message.IsToken(e, "chunked") || message.IsToken(e, "identity") {
			err = errCodedTwice
		}
		return true
	})
	if len(value) == 0 || !isToken(value) && err == errCoding {
		return errCodedTwice
	}
	return err
}

// parseLength reads a Content-Length of at most 18 digits; -1 is not one.
func parseLength(b []byte) int64 {
	if len(b) == 0 || len(b) > 18 {
		return -1
	}
	var n int64
	for _, c := range b {
		if !isDigit(c) {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// requestFields reads from the fields what weir acts on.
func requestFields(r *message.Request) error {
	f, err := readFraming(r.Fields)
	if err != nil {
		return err
	}
	hosts, types := 0, 0
	for i := range r.Fields {
		switch r.Fields[i].ID {
		case message.Host:
			hosts++
			r.Authority = r.Fields[i].Value
		case message.ContentType:
			types++
		case message.TE:
			if r.Minor > 0 {
				r.TakesTrailers = r.TakesTrailers || takesTrailers(r.Fields[i].Value)
			}
		case message.Expect:
			r.Expect = r.Minor > 0 && message.IsToken(r.Fields[i].Value, "100-continue")
		case message.Upgrade:
			if f.upgrade && r.Minor > 0 && canSwitch(r.Fields[i].Value) {
				r.Upgrade = r.Fields[i].Value
			}
		}
	}
	if hosts > 1 || hosts == 0 && r.Minor > 0 || hosts == 1 && hostEnd(r.Authority) < 0 {
		return errHost
	}
	if types > 1 { // whoever filters by one and acts on another is fooled
		return errTypes
	}
	switch {
	case f.chunked && r.Minor == 0:
		return errCodedOld
	case f.chunked:
		r.Framing, r.Length = message.Chunked, -1
	case f.length >= 0:
		r.Framing, r.Length = message.Sized, f.length
	}
	if r.Framing != message.Chunked && r.Length == 0 {
		r.Expect = false // there is no body to wait for
	}
	if r.Framing == message.Chunked || r.Length > 0 {
		r.Upgrade = nil // where the body ends and the tunnel begins would be anybody's guess
	}
	r.Close = f.close || r.Minor == 0 && !f.keep
	return nil
}

// takesTrailers looks for "trailers" in a TE field, RFC 9110 section 10.1.4.
func takesTrailers(value []byte) (takes bool) {
	message.Elements(value, func(e []byte) bool {
		takes = message.IsToken(e, "trailers")
		return !takes
	})
	return takes
}

// canSwitch tells whether a tunnel may carry these protocols. HTTP/2 may not:
// its calls would pass weir unseen, whatever its routes and rules say.
func canSwitch(protocols []byte) bool {
	ok := len(protocols) > 0
	message.Elements(protocols, func(e []byte) bool {
		name, _, _ := bytes.Cut(e, slash)
		ok = ok && isToken(name) && !message.IsToken(name, "h2c") && !message.IsToken(name, "h2") &&
			!message.IsToken(name, "http") && !message.IsToken(name, "tls")
		return ok
	})
	return ok
}

// offered tells whether what the endpoint switched to is among what the client
// would like to speak.
func offered(protocol, protocols []byte) bool {
	found := false
	message.Elements(protocols, func(e []byte) bool {
		found = message.EqualNames(e, protocol)
		return !found
	})
	return found
}

// hostOf finds the host in the authority, in lower case and without the port.
func hostOf(r *message.Request) error {
	if len(r.Authority) == 0 {
		return nil // HTTP/1.0 may leave it out
	}
	end := hostEnd(r.Authority)
	if end < 0 {
		return errHost
	}
	r.Host = bytes.TrimSuffix(r.Authority[:end], []byte(".")) // the root of all names changes none
	for _, c := range r.Host {
		if 'A' <= c && c <= 'Z' {
			start := len(r.Scratch)
			for _, c := range r.Host {
				if 'A' <= c && c <= 'Z' {
					c |= 0x20
				}
				r.Scratch = append(r.Scratch, c)
			}
			r.Host = r.Scratch[start:]
			break
		}
	}
	return nil
}

// hostEnd checks an authority, RFC 9110 section 7.2 without user information,
// and returns where the host in it ends; -1 if it is not valid.
func hostEnd(a []byte) int {
	i := 0
	if len(a) > 0 && a[0] == '[' { // an IPv6 literal
		for i = 1; i < len(a) && (isHex(a[i]) || a[i] == ':' || a[i] == '.'); i++ {
		}
		if i < 3 || i == len(a) || a[i] != ']' {
			return -1
		}
		i++
	} else {
		for i < len(a) && hostChars[a[i]] {
			if a[i] == '.' && (i == 0 || a[i-1] == '.') {
				return -1 // an empty label
			}
			i++
		}
	}
	end := i
	if end == 0 {
		return -1
	}
	if i < len(a) && a[i] == ':' {
		port := 0
		for i++; i < len(a) && isDigit(a[i]) && port < 1<<16; i++ {
			port = port*10 + int(a[i]-'0')
		}
		if port >= 1<<16 {
			return -1
		}
	}
	if i != len(a) {
		return -1
	}
	return end
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// hostChars are the characters of a registered name that anybody uses: letters,
// digits, hyphen, dot, and the underscore of container names.
var hostChars = func() (t [256]bool) {
	for c := range t {
		b := byte(c)
		t[c] = isDigit(b) || 'a' <= b|0x20 && b|0x20 <= 'z' || b == '-' || b == '.' || b == '_'
	}
	return t
}()

// parseResponse reads a whole response head into r; toHEAD says that it answers
// a HEAD. keep tells whether the connection may carry another exchange.
func parseResponse(head []byte, r *message.Response, toHEAD bool, maxFields int) (keep bool, err error) {
	line, rest := cutLine(head)
	if len(line) < 12 || !isDigit(line[9]) || !isDigit(line[10]) || !isDigit(line[11]) || line[8] != ' ' ||
		len(line) > 12 && line[12] != ' ' || line[9] == '0' || line[9] > '5' {
		return false, protocol("bad status line")
	}
	minor, err := parseVersion(line[:8])
	if err != nil {
		return false, protocol("not HTTP/1.1")
	}
	r.Status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	if r.Reason = line[min(13, len(line)):]; !isValue(r.Reason) {
		return false, protocol("bad reason phrase")
	}
	if r.Fields, err = parseFields(rest, r.Fields, maxFields); err != nil {
		return false, protocol(err.Error())
	}
	f, err := readFraming(r.Fields)
	if err != nil {
		return false, protocol(err.Error())
	}
	if f.chunked && minor == 0 {
		return false, protocol(errCodedOld.Error())
	}
	r.Length = f.length
	switch {
	case toHEAD || r.Status < 200 || r.Status == 204 || r.Status == 304:
		r.Framing = message.NoBody
	case f.chunked:
		r.Framing = message.Chunked
	case f.length >= 0:
		r.Framing = message.Sized
	default:
		r.Framing = message.UntilClose
	}
	return !f.close && (minor > 0 || f.keep) && r.Framing != message.UntilClose, nil
}

func protocol(what string) error { return fmt.Errorf("%w: %s", message.ErrProtocol, what) }
