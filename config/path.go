package config

import "strconv"

// A path is the way from the top of the document to a value. nil is the top.
type path struct {
	up   *path
	step string // as it is written for people
	wild string // the same with the operator's own names and numbers left out
	full string // what String has put together once; a path is of one goroutine
}

// key is the way on to a key that weir defines.
func (p *path) key(name string) *path {
	return &path{up: p, step: dotted(p, name), wild: dotted(p, name)}
}

// entry is the way on to a key that the operator chose, such as a function's
// name.
func (p *path) entry(name string) *path {
	shown := name
	if !isBare(name) {
		shown = strconv.Quote(name)
	}
	return &path{up: p, step: dotted(p, shown), wild: dotted(p, "*")}
}

// item is the way on to an item of a list.
func (p *path) item(i int) *path {
	return &path{up: p, step: "[" + strconv.Itoa(i) + "]", wild: "[]"}
}

// isBare tells whether a name needs no quotes in a path; one with a dot would.
func isBare(name string) bool {
	for _, c := range []byte(name) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return name != ""
}

func dotted(p *path, step string) string {
	if p == nil {
		return step
	}
	return "." + step
}

// String is the path as people write it: functions.hello.endpoints[0]. Two
// values never share one.
func (p *path) String() string {
	if p == nil {
		return ""
	}
	if p.full == "" {
		p.full = p.up.String() + p.step
	}
	return p.full
}

// pattern is the path of all values that mean the same:
// functions.*.endpoints[].
func (p *path) pattern() string {
	if p == nil {
		return ""
	}
	return p.up.pattern() + p.wild
}
