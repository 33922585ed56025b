package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// A Value is one of a configuration: what stands, and where it comes from.
type Value struct {
	Path   string          `json:"path"`
	Value  json.RawMessage `json:"value"`
	Origin Origin          `json:"origin"`
}

// Values are those at a path and below it, as it is written in messages:
// functions.checkout, or "" for all. Secrets are hidden.
func (c *Config) Values(at string) (values []Value) {
	var walk func(p *path, v view)
	walk = func(p *path, v view) {
		name := p.String()
		if !related(name, at) {
			return
		}
		switch {
		case v.kind == mapping && len(v.keys) > 0:
			for i, key := range v.keys {
				if v.named {
					walk(p.entry(key), v.parts[i])
				} else {
					walk(p.key(key), v.parts[i])
				}
			}
		case v.kind == list && len(v.parts) > 0 && v.isBlock():
			for i, part := range v.parts {
				walk(p.item(i), part)
			}
		case below(name, at):
			var b bytes.Buffer
			v.json(&b)
			values = append(values, Value{name, json.RawMessage(b.Bytes()), c.Origin(name)})
		}
	}
	walk(nil, Shown{Config: c}.tree(reflect.ValueOf(c).Elem()))
	return values
}

// related tells whether one of two paths leads to the other.
func related(a, b string) bool { return below(a, b) || below(b, a) }

// below tells whether a path is another one, or leads on from it.
func below(name, at string) bool {
	rest, ok := strings.CutPrefix(name, at)
	return ok && (at == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}
