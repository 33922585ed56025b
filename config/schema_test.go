package config

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestSchemaIsCurrent(t *testing.T) {
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "weir.schema.json", string(schema))
}

// The schema has every key with the comment that explains it.
func TestSchemaExplainsEveryKey(t *testing.T) {
	raw, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		property
		Defs map[string]property `json:"$defs"`
	}
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	structs(reflect.TypeFor[Config](), func(typ reflect.Type) {
		def, ok := schema.Defs[typ.Name()]
		switch {
		case typ == reflect.TypeFor[Config]():
			def = schema.property
		case typ == reflect.TypeFor[Endpoint]():
			def = def.OneOf[1]
		case !ok:
			t.Fatalf("no definition of %v", typ)
		}
		if string(def.Additional) != "false" {
			t.Errorf("%v takes unknown keys", typ)
		}
		for i, key := range keysOf(typ) {
			if key == "" {
				continue
			}
			p, ok := def.Properties[key]
			f := typ.Field(i)
			if !ok || (p.Description == "" && key != "zone" && key != "timeouts" && key != "access_log") {
				t.Errorf("%v.%s: in the schema %t, described %q", typ, key, ok, p.Description)
			}
			if _, preset := f.Tag.Lookup("default"); preset && p.Default == nil {
				t.Errorf("%v.%s has no default in the schema", typ, key)
			}
		}
	})
}

type property struct {
	Description string
	Default     any
	Properties  map[string]property
	OneOf       []property
	Additional  json.RawMessage `json:"additionalProperties"`
}

// structs visits every struct that can be reached and has keys, once.
func structs(t reflect.Type, visit func(reflect.Type)) {
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Map, reflect.Slice, reflect.Pointer:
			walk(t.Elem())
		case reflect.Struct:
			if isText(t) || seen[t] {
				return
			}
			seen[t] = true
			visit(t)
			for i := range t.NumField() {
				if key := t.Field(i).Tag.Get("yaml"); key != "-" && t.Field(i).IsExported() {
					walk(t.Field(i).Type)
				}
			}
		}
	}
	walk(t)
}
