package config

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// hidden stands for values that may be secrets.
const hidden = "(hidden)"

// Shown is a Config as people and machines see it: every value, defaults filled
// in, with the keys, their order and the way values are written of the YAML.
// Secrets are hidden.
type Shown struct {
	*Config
	// Mark returns what stands for a secret; nil for the same word for all. A
	// comparison wants to tell two of them apart.
	Mark func(secret string) string
}

// MarshalJSON writes it as JSON, which is YAML too.
func (s Shown) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	s.tree(reflect.ValueOf(s.Config).Elem()).json(&b)
	return b.Bytes(), nil
}

// YAML writes it as a person would.
func (s Shown) YAML() []byte {
	var b bytes.Buffer
	s.tree(reflect.ValueOf(s.Config).Elem()).yaml(&b, 0, true)
	return b.Bytes()
}

// A view is a value as it is shown: the text of a plain one, or its parts.
type view struct {
	kind  kind
	plain string // as JSON
	bare  bool   // a word of YAML that needs no quotes, such as 5s
	named bool   // the operator chose the keys
	keys  []string
	parts []view
}

func (s Shown) tree(v reflect.Value) view {
	switch value := v.Interface().(type) {
	case RateLimits:
		if len(value) == 1 { // as it is written
			return s.tree(v.Index(0))
		}
	case time.Duration:
		return view{kind: text, plain: quoted(durationText(value)), bare: true}
	case encoding.TextMarshaler:
		word, err := value.MarshalText()
		if err != nil {
			panic("BUG: a value that cannot be shown: " + err.Error())
		}
		return view{kind: text, plain: quoted(string(word))}
	case Size:
		return view{kind: text, plain: quoted(value.String()), bare: true}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return view{kind: null, plain: "null", bare: true}
		}
		return s.tree(v.Elem())
	case reflect.Struct:
		return s.block(v)
	case reflect.Map:
		return s.named(v)
	case reflect.Slice:
		out := view{kind: list}
		for i := range v.Len() {
			out.parts = append(out.parts, s.tree(v.Index(i)))
		}
		return out
	case reflect.String:
		return view{kind: text, plain: quoted(v.String())}
	}
	word, err := json.Marshal(v.Interface())
	if err != nil {
		panic("BUG: a value that cannot be shown: " + err.Error())
	}
	return view{kind: number, plain: string(word), bare: true}
}

func (s Shown) block(v reflect.Value) view {
	out := view{kind: mapping}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := f.Tag.Get("yaml")
		if !f.IsExported() || key == "-" || key == "" || leftOut(f, v.Field(i)) {
			continue
		}
		out.keys = append(out.keys, key)
		if isSecret(key) {
			out.parts = append(out.parts, s.hide(v.Field(i)))
		} else {
			out.parts = append(out.parts, s.tree(v.Field(i)))
		}
	}
	return out
}

// leftOut tells whether a key is not shown: a block without defaults or a list
// that means another thing when it is there and empty, if it was not given, and
// what was obeyed while the files were read.
func leftOut(f reflect.StructField, v reflect.Value) bool {
	switch shown := f.Tag.Get("shown"); {
	case shown == "never":
		return true
	case v.Kind() == reflect.Pointer:
		return v.IsNil()
	case v.Kind() == reflect.Slice:
		return v.IsNil() && shown == "given"
	}
	return false
}

func (s Shown) named(v reflect.Value) view {
	out := view{kind: mapping, named: true}
	for _, key := range sortedNames(v) {
		out.keys = append(out.keys, key.String())
		out.parts = append(out.parts, s.tree(v.MapIndex(key)))
	}
	return out
}

// hide keeps the names of an environment.
func (s Shown) hide(env reflect.Value) view {
	out := view{kind: mapping, named: true}
	for _, key := range sortedNames(env) {
		word := hidden
		if s.Mark != nil {
			word = s.Mark(env.MapIndex(key).String())
		}
		out.keys = append(out.keys, key.String())
		out.parts = append(out.parts, view{kind: text, plain: quoted(word)})
	}
	return out
}

func sortedNames(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

func (v view) json(b *bytes.Buffer) {
	switch v.kind {
	case mapping:
		b.WriteByte('{')
		for i, key := range v.keys {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quoted(key) + ":")
			v.parts[i].json(b)
		}
		b.WriteByte('}')
	case list:
		b.WriteByte('[')
		for i, part := range v.parts {
			if i > 0 {
				b.WriteByte(',')
			}
			part.json(b)
		}
		b.WriteByte(']')
	default:
		b.WriteString(v.plain)
	}
}

// yaml writes a value at an indentation; fresh is at the beginning of a line.
func (v view) yaml(b *bytes.Buffer, indent int, fresh bool) {
	switch {
	case v.kind == mapping && len(v.keys) > 0:
		for i, key := range v.keys {
			if !fresh || i > 0 {
				b.WriteString("\n" + strings.Repeat("  ", indent))
			}
			fresh = false
			b.WriteString(word(quoted(key)) + ":")
			if part := v.parts[i]; part.isBlock() {
				part.yaml(b, indent+1, false)
			} else {
				b.WriteByte(' ')
				part.yaml(b, indent+1, false)
			}
		}
		if indent == 0 {
			b.WriteByte('\n')
		}
	case v.kind == list && v.isBlock():
		for _, part := range v.parts {
			b.WriteString("\n" + strings.Repeat("  ", indent) + "- ")
			part.yaml(b, indent+1, true)
		}
	case v.kind == list || v.kind == mapping:
		v.json(b)
	case v.bare:
		b.WriteString(strings.Trim(v.plain, `"`))
	default:
		b.WriteString(word(v.plain))
	}
}

// isBlock tells whether a value takes lines of its own.
func (v view) isBlock() bool {
	return v.kind == mapping && len(v.keys) > 0 || v.kind == list && slices.ContainsFunc(v.parts, view.isBlock)
}

// plainWord needs no quotes in YAML, if it is none of its own words.
var plainWord = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./-]*$`)

// word is a quoted text as YAML writes it.
func word(quoted string) string {
	bare := quoted[1 : len(quoted)-1]
	switch strings.ToLower(bare) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return quoted
	}
	if plainWord.MatchString(bare) {
		return bare
	}
	return quoted
}

func quoted(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		panic("BUG: a text that is not JSON: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
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

// HideSecrets is a value of the configuration, as JSON, without what may be a
// secret in it. Path are its keys, with slashes.
func HideSecrets(path string, value json.RawMessage) json.RawMessage {
	if slices.ContainsFunc(strings.Split(path, "/"), isSecret) {
		return json.RawMessage(quoted(hidden))
	}
	var v any
	if json.Unmarshal(value, &v) != nil {
		return json.RawMessage(quoted(hidden))
	}
	hideIn(v)
	out, err := json.Marshal(v)
	if err != nil {
		panic("BUG: JSON that is none: " + err.Error())
	}
	return out
}

func hideIn(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if isSecret(key) {
				v[key] = hidden
			} else {
				hideIn(value)
			}
		}
	case []any:
		for _, item := range v {
			hideIn(item)
		}
	}
}

// isSecret tells whether the values under a key may be secrets: what functions
// are told in their environment, or by their platform.
func isSecret(key string) bool { return key == "env" || key == "webhook" }
