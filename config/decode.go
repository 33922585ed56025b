package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A reader fills a Config from the nodes of a document, along its types.
type reader struct {
	*document
	env    lookup
	shapes *shapes // nil: none are kept
}

func (r reader) config(top *node, cfg *Config) {
	v := reflect.ValueOf(cfg).Elem()
	setDefaults(v)
	if top.kind != null {
		r.value(nil, top, v)
	}
}

// setDefaults fills in what the default tags say, here and nowhere else.
// Functions and what else comes in numbers get theirs when they appear.
func setDefaults(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if preset, ok := f.Tag.Lookup("default"); ok {
			if bad := setText(v.Field(i), preset); bad != nil {
				panic(fmt.Sprintf("BUG: the default of %s.%s %v", v.Type(), f.Name, bad))
			}
		} else if f.Type.Kind() == reflect.Struct && !isText(f.Type) {
			setDefaults(v.Field(i))
		}
	}
}

// value reads a node that is not null into v.
func (r reader) value(p *path, n *node, v reflect.Value) {
	t := v.Type()
	switch {
	case t == reflect.TypeFor[Endpoint]() && n.kind != mapping:
		r.endpoint(p, n, v.Addr().Interface().(*Endpoint))
	case t == reflect.TypeFor[RateLimits]() && (n.kind != list || len(n.items) == 1 && n.items[0].kind == mapping):
		if n.kind == list { // a list of one is that one
			n = n.items[0]
		}
		v.Set(reflect.MakeSlice(t, 1, 1))
		v.Index(0).Set(r.fresh(t.Elem()))
		r.value(p, n, v.Index(0))
	case t == reflect.TypeFor[Patterns]():
		v.Set(reflect.ValueOf(patternsIn(n))) // gather has said what is wrong
	case isText(t):
		r.scalar(p, n, v)
	case t.Kind() == reflect.Pointer:
		v.Set(r.fresh(t.Elem()).Addr())
		r.value(p, n, v.Elem())
	case t.Kind() == reflect.Struct:
		r.object(p, n, v)
	case t.Kind() == reflect.Map:
		r.entries(p, n, v)
	case t.Kind() == reflect.Slice:
		r.list(p, n, v)
	default:
		panic("BUG: nobody reads a " + t.String())
	}
}

// fresh makes a value with its defaults, which are read once and not for each of
// a thousand functions.
func (r reader) fresh(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	v.Set(r.shapes.of(t).preset)
	return v
}

// fresh makes a value with its defaults.
func fresh(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	if t.Kind() == reflect.Struct && !isText(t) {
		setDefaults(v)
	}
	return v
}

// object reads a mapping whose keys weir defines.
func (r reader) object(p *path, n *node, v reflect.Value) {
	if !r.is(mapping, p, n) {
		return
	}
	shape := r.shapes.of(v.Type())
	known := shape.keys
	for _, e := range r.once(p, n) {
		i := slices.Index(known, e.name)
		if i < 0 || e.name == "" {
			r.unknown(p, e, known)
			continue
		}
		field := p.key(e.name)
		r.noteEntry(field, e)
		if e.value.kind == null {
			continue
		}
		r.value(field, e.value, v.Field(i))
		r.checkEnum(field, shape.enums[i], v.Field(i))
	}
}

// noteEntry remembers the place of an entry: the value's, or the key's where
// the value is a whole block.
func (r reader) noteEntry(p *path, e entry) {
	at := e.value.at
	if k := e.value.kind; k == null || k == list || k == mapping {
		at = e.at
	}
	r.note(p, at, e.value.kind != null)
}

// keysOf returns the keys of a struct, in the order of its fields; "" for a
// field that is not a key.
func keysOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		if key := t.Field(i).Tag.Get("yaml"); key != "-" {
			keys[i] = key
		}
	}
	return keys
}

func (r reader) unknown(p *path, e entry, known []string) {
	r.spoil(p)
	if notYet(p.key(e.name).pattern()) {
		r.failAt(e.at, fmt.Sprintf("%q is not supported by this version of weir", e.name), "")
		return
	}
	message := fmt.Sprintf("unknown key %q", e.name)
	if p != nil {
		message += " in " + p.String()
	}
	known = slices.DeleteFunc(slices.Clone(known), func(k string) bool { return k == "" })
	hint := didYouMean(e.name, known)
	if hint == "" && len(known) <= 12 {
		hint = "known here: " + strings.Join(known, ", ")
	}
	r.failAt(e.at, message, hint)
}

// once returns the entries of a mapping, of every key the first.
func (r reader) once(p *path, n *node) []entry {
	first := map[string]place{}
	var entries []entry
	for _, e := range n.entries {
		if at, twice := first[e.name]; twice {
			r.failAt(e.at, fmt.Sprintf("duplicate key %q", e.name), "the first is "+at.seenFrom(e.at))
			continue
		}
		first[e.name] = e.at
		entries = append(entries, e)
	}
	return entries
}

// entries reads a mapping whose keys the operator chose.
func (r reader) entries(p *path, n *node, v reflect.Value) {
	if !r.is(mapping, p, n) {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range r.once(p, n) {
		key := p.entry(e.name)
		r.noteEntry(key, e)
		t := v.Type().Elem()
		pointed := t.Kind() == reflect.Pointer // null is one with its defaults too
		if pointed {
			t = t.Elem()
		}
		value := r.fresh(t)
		if e.value.kind != null {
			r.value(key, e.value, value)
		}
		if pointed {
			value = value.Addr()
		}
		v.SetMapIndex(reflect.ValueOf(e.name), value)
	}
}

func (r reader) list(p *path, n *node, v reflect.Value) {
	if !r.is(list, p, n) {
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		at := p.item(i)
		r.note(at, item.at, true)
		if item.kind == null {
			r.fail(at, fmt.Sprintf("%s is empty", at), "take out the item, or say what it is")
			continue
		}
		v.Index(i).Set(r.fresh(v.Type().Elem()))
		r.value(at, item, v.Index(i))
	}
}

// is reports a node that is not of the kind.
func (r reader) is(want kind, p *path, n *node) bool {
	if n.kind == want {
		return true
	}
	if p == nil {
		r.spoil(p)
		r.failAt(n.at, fmt.Sprintf("a configuration must be a mapping, not %s", n.kind), "")
		return false
	}
	hint := ""
	if want == list && n.kind != mapping {
		hint = "write a list: " + asList(n.text)
	}
	r.fail(p, fmt.Sprintf("%s must be %s, not %s", p, want, n.kind), hint)
	return false
}

// asList is a text as the list that was probably meant; a command is often
// written as for a shell.
func asList(text string) string {
	words := strings.Fields(text)
	for i, word := range words {
		words[i] = strconv.Quote(word)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// scalar reads a plain value, with its ${...} replaced.
func (r reader) scalar(p *path, n *node, v reflect.Value) {
	if n.kind == list || n.kind == mapping {
		r.fail(p, fmt.Sprintf("%s must be %s, not %s", p, wanted(v.Type()), n.kind), "")
		return
	}
	text, plain, ok := r.expanded(p, n)
	if !ok {
		return
	}
	if text == "" && plain {
		r.note(p, n.at, false) // ${NAME:-} that stands for nothing
		return
	}
	if bad := checkKind(p, n, plain, v.Type()); bad != nil {
		r.fail(p, fmt.Sprintf("%s %s", p, bad.what), bad.hint)
		return
	}
	if bad := setText(v, text); bad != nil {
		r.fail(p, fmt.Sprintf("%s %s", p, bad.what), bad.hint)
	}
}

// expanded returns the text of a scalar. Text that came out of a variable is
// as good as plain: inside [ ] and { } a ${...} has to be quoted.
func (r reader) expanded(p *path, n *node) (s string, plain, ok bool) {
	if !strings.Contains(n.text, "${") {
		return n.text, !n.quoted, true
	}
	if n.at.in.layer != "" {
		// Whoever may write there may not read our environment.
		r.fail(p, fmt.Sprintf("%s has a ${...}, which only files may have", p), "write $${ for a plain ${ in a file; here say the value itself")
		return "", false, false
	}
	ok = true
	s = expand(n.text, r.env, func(reference, message, hint string) {
		ok = false
		r.spoil(p)
		r.failAt(r.inside(n.at, reference), message, hint)
	})
	return s, true, ok
}

// inside returns the place of a part of a value, if its line shows it.
func (r reader) inside(at place, part string) place {
	line := []rune(at.in.line(int(at.line)))
	from := min(int(at.column)-1, len(line))
	if i := strings.Index(string(line[from:]), part); i >= 0 {
		at.column += int32(utf8.RuneCountInString(string(line[from:])[:i]))
	}
	return at
}
