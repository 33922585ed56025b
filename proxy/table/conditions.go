package table

import (
	"bytes"
	"errors"
	"regexp"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// conditions are what a request has to be besides its host and its path.
type conditions struct {
	methods Methods // 0: any
	headers []condition
	query   []condition
	cookies []condition
	serial  int // of this router, from 1 on
}

// A condition is about one name.
type condition struct {
	name []byte
	id   message.ID // of a field
	test test
	text []byte
	re   *regexp.Regexp
}

// A test is what a value is held against.
type test uint8

const (
	isPresent test = iota
	isAbsent
	isExactly
	hasPrefix
	matches
)

var errManyMethods = errors.New("it asks for a method, and the routes already ask for 64 others")

// conditions compiles those of a route; nil if it has none.
func (r *router) conditions(p *parts, route *config.Route) (*conditions, error) {
	if len(route.Methods)+len(route.Headers)+len(route.Query)+len(route.Cookies) == 0 {
		return nil, nil
	}
	c, key := p.sameConditions(route)
	if c != nil {
		return c, nil
	}
	c = &conditions{serial: len(p.conditions) + 1}
	for _, method := range route.Methods {
		bit := r.bit(method)
		if bit == 0 {
			return nil, errManyMethods
		}
		c.methods |= bit
		if method == "GET" { // whoever answers it has an answer to HEAD, RFC 9110 section 9.3.2
			c.methods |= r.bit("HEAD")
		}
	}
	for _, list := range []struct {
		to   *[]condition
		from []config.Condition
	}{{&c.headers, route.Headers}, {&c.query, route.Query}, {&c.cookies, route.Cookies}} {
		for _, from := range list.from {
			compiled, err := compileCondition(from)
			if err != nil {
				return nil, err
			}
			*list.to = append(*list.to, compiled)
		}
	}
	p.conditions[key] = c
	return c, nil
}

func compileCondition(from config.Condition) (c condition, err error) {
	c = condition{name: []byte(from.Name), id: message.Lookup([]byte(from.Name))}
	switch {
	case from.Exact != nil:
		c.test, c.text = isExactly, []byte(*from.Exact)
	case from.Prefix != "":
		c.test, c.text = hasPrefix, []byte(from.Prefix)
	case from.Regex != "":
		c.test = matches
		c.re, err = config.CompilePattern(from.Regex)
	case from.Present != nil && !*from.Present:
		c.test = isAbsent
	}
	return c, err
}

// meets tells whether the conditions hold. If the method is all that is wrong,
// it notes which would be right.
func (s *search) meets(c *conditions) bool {
	right := c.methods == 0 || c.methods&s.ownMethod() != 0
	if !right && s.allowed&c.methods == c.methods {
		return false // nothing to learn
	}
	for i := range c.headers {
		if !s.hasField(&c.headers[i]) {
			return false
		}
	}
	for i := range c.query {
		if !s.hasParameter(&c.query[i]) {
			return false
		}
	}
	for i := range c.cookies {
		if !s.hasCookie(&c.cookies[i]) {
			return false
		}
	}
	if !right {
		s.allowed |= c.methods
	}
	return right
}

func (s *search) ownMethod() Methods {
	if !s.known {
		s.known = true
		for i, method := range s.router.methods {
			if string(s.request.Method) == method {
				s.method = 1 << i
			}
		}
	}
	return s.method
}

// fits tells whether a value that is there does.
func (c *condition) fits(value []byte) bool {
	switch c.test {
	case isExactly:
		return bytes.Equal(value, c.text)
	case hasPrefix:
		return bytes.HasPrefix(value, c.text)
	case matches:
		return c.re.Match(value)
	}
	return c.test == isPresent
}

// hasField looks at what the endpoint gets: neither at what belongs to the
// connection nor at what a client that is not trusted says of others.
func (s *search) hasField(c *condition) bool {
	for _, fields := range [...][]message.Field{s.request.Fields, s.request.Added} {
		for i := range fields {
			f := &fields[i]
			if f.Drop || f.ID != c.id || (f.ID == message.Other || f.ID == message.XForwarded) && !message.EqualNames(f.Name, c.name) {
				continue
			}
			if c.test == isAbsent {
				return false
			}
			if c.fits(f.Value) {
				return true
			}
		}
	}
	return c.test == isAbsent
}

// hasParameter looks through the query, name=value with & between.
func (s *search) hasParameter(c *condition) bool {
	for rest := s.request.Query; len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, ampersand)
		name, value := cutAt(pair, '=')
		if !s.decodes(name, func(name []byte) bool { return bytes.Equal(name, c.name) }) {
			continue
		}
		if c.test == isAbsent {
			return false
		}
		if s.decodes(value, c.fits) {
			return true
		}
	}
	return c.test == isAbsent
}

var ampersand = []byte("&")

// decodes asks about a text as the query has it, decoded. What is decoded lies
// at the end of the request's scratch meanwhile.
func (s *search) decodes(text []byte, ask func([]byte) bool) bool {
	if bytes.IndexByte(text, '%') < 0 && bytes.IndexByte(text, '+') < 0 {
		return ask(text)
	}
	r := s.request
	start := len(r.Scratch)
	r.Scratch = message.AppendUnescaped(r.Scratch, text)
	answer := ask(r.Scratch[start:])
	r.Scratch = r.Scratch[:start]
	return answer
}

// hasCookie looks through the cookies.
func (s *search) hasCookie(c *condition) bool {
	there, fits := false, false
	eachCookie(s.request.Fields, func(name, value []byte) bool {
		if bytes.Equal(name, c.name) {
			there = true
			fits = c.test != isAbsent && c.fits(value)
		}
		return !fits
	})
	return fits || c.test == isAbsent && !there
}

// eachCookie visits the cookies in the Cookie fields, RFC 6265 section 4.2.1,
// until visit returns false. Quotes around a value are not part of it.
func eachCookie(fields []message.Field, visit func(name, value []byte) bool) {
	for i := range fields {
		for rest := cookiesIn(&fields[i]); len(rest) > 0; {
			var pair []byte
			pair, rest = cutAt(rest, ';')
			name, value := cutAt(message.Trim(pair), '=')
			if !visit(name, unquoted(value)) {
				return
			}
		}
	}
}

// cookiesIn are the cookies of a field, with semicolons between; nil if it has none.
func cookiesIn(f *message.Field) []byte {
	if f.Drop || f.ID != message.Cookie {
		return nil
	}
	return f.Value
}

func unquoted(value []byte) []byte {
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		return value[1 : n-1]
	}
	return value
}

// cutAt is bytes.Cut for one byte, which need not be looked for as a slice.
func cutAt(b []byte, at byte) (before, after []byte) {
	if i := bytes.IndexByte(b, at); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}
