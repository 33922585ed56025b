package table

import (
	"slices"
	"strconv"
	"strings"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// An Action is what a route does to calls besides leading them to a function, or
// instead of it. Frozen.
type Action struct {
	Host     []byte    // whom the endpoint is asked for; nil: as the client said
	OwnHost  bool      // every endpoint is asked for itself
	Request  *Fields   // nil: they pass as they are
	Response *Fields   // nil: the same
	Redirect *Redirect // nil: none
	Respond  *config.Response

	path *newPath // nil: it stays
}

// actionOf is what a route does.
func actionOf(to *Route, route *config.Route) (a Action) {
	a.Request, a.Response = fieldsOf(route.RequestHeaders), fieldsOf(route.ResponseHeaders)
	a.Respond = route.Respond
	if w := route.Rewrite; w != nil {
		a.Host, a.OwnHost = bytesOf(w.Host), w.EndpointHost
		if w.StripPrefix || w.Prefix != "" || w.Path != "" {
			a.path = newPathOf(to, w.Prefix, w.Path)
		}
	}
	if r := route.Redirect; r != nil {
		a.Redirect = &Redirect{Redirect: *r}
		if r.Prefix != "" || r.Path != "" {
			a.path = newPathOf(to, r.Prefix, r.Path)
		}
	}
	return a
}

// A newPath is made of a path that has matched.
type newPath struct {
	prefix   []byte // stands for
	cut      int    // so many bytes at the begin
	segments []segment
}

// A segment of a new path is a text, or one of the old path's.
type segment struct {
	text []byte
	old  int // 1 + its place; 0: text
}

func newPathOf(to *Route, prefix, path string) *newPath {
	if path == "" {
		return &newPath{prefix: []byte(strings.TrimRight(prefix, "/")), cut: len(to.pattern)}
	}
	n := &newPath{}
	names, _ := config.TemplateSegments(to.pattern)
	texts, variable := config.TemplateSegments(path)
	for i, text := range texts {
		s := segment{text: []byte(text)}
		if variable[i] {
			s.old = 1 + slices.Index(names, text)
		}
		n.segments = append(n.segments, s)
	}
	return n
}

// append writes the new path to b.
func (n *newPath) append(b, path []byte) []byte {
	start := len(b)
	if n.segments == nil {
		b = append(append(b, n.prefix...), path[n.cut:]...)
		if len(b) == start {
			b = append(b, '/')
		}
		return b
	}
	var g segments
	g.of(path)
	for _, s := range n.segments {
		b = append(b, '/')
		if s.old == 0 {
			b = append(b, s.text...)
		} else {
			b = append(b, path[g.ends[s.old-1]+1:g.ends[s.old]]...)
		}
	}
	return b
}

// ChangesPath tells whether AppendPath writes another path than it is given.
func (a *Action) ChangesPath() bool { return a.path != nil }

// AppendPath writes the path in place of one that the route is for. It begins
// with one slash: nothing that a client writes can make a host of it.
func (a *Action) AppendPath(b, path []byte) []byte {
	if a.path == nil || path[0] != '/' {
		return append(b, path...)
	}
	return a.path.append(b, path)
}

// A Redirect is where clients are sent.
type Redirect struct{ config.Redirect }

// AppendLocation writes the address a client is sent to that came by scheme to a
// path of the route; authority is whom it asked.
func (to *Route) AppendLocation(b []byte, r *message.Request, scheme []byte) []byte {
	d := to.Redirect
	if d.Scheme != "" || d.Host != "" || d.Port != 0 {
		if d.Scheme != "" {
			scheme = []byte(d.Scheme)
		}
		b = append(append(b, scheme...), "://"...)
		authority := r.Authority
		if d.Host != "" || d.Scheme != "" || d.Port != 0 { // the client's port is of its own scheme and host
			authority = withoutPort(authority)
		}
		if d.Host != "" {
			authority = []byte(d.Host)
		}
		b = append(b, authority...)
		if d.Port != 0 {
			b = strconv.AppendInt(append(b, ':'), int64(d.Port), 10)
		}
	}
	b = to.AppendPath(b, r.Path)
	if r.Query != nil && !d.DropQuery {
		b = append(append(b, '?'), r.Query...)
	}
	return b
}

func withoutPort(authority []byte) []byte {
	for i := len(authority) - 1; i >= 0; i-- {
		switch c := authority[i]; {
		case c == ':':
			return authority[:i]
		case c < '0' || c > '9':
			return authority
		}
	}
	return authority
}

// LeadsBack tells whether a client that came by scheme would be sent to where it
// is. One that named a port may be somewhere else.
func (to *Route) LeadsBack(r *message.Request, scheme []byte) bool {
	d := to.Redirect
	same := d.Host == "" || d.Host == string(r.Host) && len(r.Authority) == len(r.Host)
	return same && d.Port == 0 && to.path == nil && !d.DropQuery && d.Scheme == string(scheme)
}

// Fields are the changes to the fields of a head.
type Fields struct {
	gone [][]byte
	more []message.Field
}

func fieldsOf(rules *config.HeaderRules) *Fields {
	if rules == nil {
		return nil
	}
	f := &Fields{}
	for _, name := range rules.Remove {
		f.gone = append(f.gone, []byte(name))
	}
	for _, list := range []map[string]string{rules.Set, rules.Add} {
		names := make([]string, 0, len(list))
		for name := range list {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			f.more = append(f.more, message.Field{Name: []byte(name), Value: []byte(list[name]), ID: message.Lookup([]byte(name))})
		}
	}
	for name := range rules.Set {
		f.gone = append(f.gone, []byte(name))
	}
	return f
}

// Added is how many fields Apply puts behind the others, the same for every head.
func (f *Fields) Added() int {
	if f == nil {
		return 0
	}
	return len(f.more)
}

// Apply makes the changes, and returns the fields with those that are new.
func (f *Fields) Apply(fields []message.Field) []message.Field {
	if f == nil {
		return fields
	}
	for i := range fields {
		for _, name := range f.gone {
			if message.EqualNames(fields[i].Name, name) {
				fields[i].Drop = true
			}
		}
	}
	return append(fields, f.more...)
}
