package admin

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/weir-gateway/weir/config"
)

// hidden stands for values that may be secrets.
const hidden = "(hidden)"

// shown is a configuration as JSON: the keys, their order and the way values
// are written are those of the YAML.
type shown struct{ *config.Config }

// MarshalJSON writes it.
func (s shown) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	if err := writeValue(&b, reflect.ValueOf(s.Config).Elem()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func writeValue(b *bytes.Buffer, v reflect.Value) error {
	switch value := v.Interface().(type) {
	case time.Duration:
		return writeJSON(b, durationText(value))
	case encoding.TextMarshaler:
		return writeJSON(b, value)
	case fmt.Stringer: // a Size
		return writeJSON(b, value.String())
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return writeJSON(b, nil)
		}
		return writeValue(b, v.Elem())
	case reflect.Struct:
		return writeStruct(b, v)
	case reflect.Map:
		return writeMap(b, v)
	case reflect.Slice:
		return writeList(b, v)
	}
	return writeJSON(b, v.Interface())
}

func writeStruct(b *bytes.Buffer, v reflect.Value) error {
	sep := byte('{')
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("yaml")
		if key == "-" || key == "" || leftOut(v.Type().Field(i), v.Field(i)) {
			continue
		}
		b.WriteByte(sep)
		sep = ','
		if err := writeMember(b, key, v.Field(i)); err != nil {
			return err
		}
	}
	if sep == '{' {
		b.WriteByte('{')
	}
	return b.WriteByte('}')
}

// leftOut tells whether a key that was not given is not shown: a block without
// defaults, or a list that means another thing when it is there and empty.
func leftOut(f reflect.StructField, v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return v.IsNil()
	case reflect.Slice:
		return v.IsNil() && f.Tag.Get("shown") == "given"
	}
	return false
}

func writeMember(b *bytes.Buffer, key string, v reflect.Value) error {
	if err := writeJSON(b, key); err != nil {
		return err
	}
	b.WriteByte(':')
	if key == "env" || key == "webhook" {
		v = reflect.ValueOf(hide(v))
	}
	return writeValue(b, v)
}

// hide keeps the names of an environment.
func hide(env reflect.Value) map[string]string {
	names := map[string]string{}
	for _, name := range env.MapKeys() {
		names[name.String()] = hidden
	}
	return names
}

func writeMap(b *bytes.Buffer, v reflect.Value) error {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	b.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeJSON(b, key.String()); err != nil {
			return err
		}
		b.WriteByte(':')
		if err := writeValue(b, v.MapIndex(key)); err != nil {
			return err
		}
	}
	return b.WriteByte('}')
}

func writeList(b *bytes.Buffer, v reflect.Value) error {
	b.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeValue(b, v.Index(i)); err != nil {
			return err
		}
	}
	return b.WriteByte(']')
}

func writeJSON(b *bytes.Buffer, v any) error {
	text, err := json.Marshal(v)
	b.Write(text)
	return err
}

// durationText writes a duration as a person would: 5m, not 5m0s.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
