package config

import (
	"reflect"
	"sync"
)

// A shape is what the reader knows of a type: what a value with its defaults is, and
// of a struct the keys and enum tags in the order of its fields, "" for a field
// without. It is never changed.
type shape struct {
	preset      reflect.Value
	keys, enums []string
}

// shapes are those that have been asked for. To ask a type for them each time was a
// fifth of a change's processor time (bench, ConfigChanges, 2026-11-26). The zero
// value is ready; any goroutine may use it.
type shapes struct{ known sync.Map } // reflect.Type to *shape

// of returns the shape of a type; a nil shapes remembers none.
func (s *shapes) of(t reflect.Type) *shape {
	if s == nil {
		return shapeOf(t)
	}
	known, ok := s.known.Load(t)
	if !ok {
		known, _ = s.known.LoadOrStore(t, shapeOf(t))
	}
	return known.(*shape)
}

func shapeOf(t reflect.Type) *shape {
	s := &shape{preset: fresh(t)}
	if t.Kind() == reflect.Struct {
		s.keys = keysOf(t)
		for i := range t.NumField() {
			s.enums = append(s.enums, t.Field(i).Tag.Get("enum"))
		}
	}
	return s
}
