package config

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSize(t *testing.T) {
	reads := func(text string, want Size) {
		t.Helper()
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	reads("0", 0)
	reads("512", 512)
	reads("16KiB", 16384)
	reads("1MiB", 1<<20)
	reads("2GiB", 2<<30)
	reads("16kB", 16000)
	reads("3MB", 3e6)
	reads("1GB", 1e9)

	refuses := func(text string) {
		t.Helper()
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
	for _, text := range []string{"", "-1", "+1", "1.5MiB", "16KB", "16 KiB", " 16KiB", "KiB", "1TiB", "0x10", "010", "1e3", "8589934592GiB", "9223372036854775808"} {
		refuses(text)
	}
}

// What String writes, ParseSize reads back.
func TestSizeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]int64{1, 1e3, 1e6, 1e9, 1 << 10, 1 << 20, 1 << 30}).Draw(t, "unit")
		want := Size(rapid.Int64Range(0, 1<<33).Draw(t, "n") * unit)
		if want < 0 {
			t.Skip("more than there is")
		}
		if got, err := ParseSize(want.String()); err != nil || got != want {
			t.Fatalf("%d is written as %q and read as %d, %v", want, want, got, err)
		}
	})
}

// Every default in the tags is a value, within its own enum, and passes the
// check: the smallest file is made of them. setDefaults panics otherwise.
func TestDefaults(t *testing.T) {
	structs(reflect.TypeFor[Config](), func(typ reflect.Type) {
		v := fresh(typ)
		for i := range typ.NumField() {
			enum, preset := typ.Field(i).Tag.Get("enum"), typ.Field(i).Tag.Get("default")
			if enum != "" && preset != "" && !strings.Contains(","+enum+",", ","+v.Field(i).String()+",") {
				t.Errorf("%v.%s: default %q is not one of %s", typ, typ.Field(i).Name, preset, enum)
			}
		}
	})
}

// Every field has a key in snake_case and a type that value reads.
func TestEveryFieldIsRead(t *testing.T) {
	snake := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	var readable func(typ reflect.Type) bool
	readable = func(typ reflect.Type) bool {
		switch typ.Kind() {
		case reflect.Slice, reflect.Pointer:
			return readable(typ.Elem())
		case reflect.Map:
			return typ.Key().Kind() == reflect.String && readable(typ.Elem())
		}
		return isText(typ) || typ.Kind() == reflect.Struct
	}
	structs(reflect.TypeFor[Config](), func(typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			if !f.IsExported() || f.Tag.Get("yaml") == "-" {
				continue // no key
			}
			key, ok := f.Tag.Lookup("yaml")
			if !ok || (key != "-" && !snake.MatchString(key)) || !readable(f.Type) {
				t.Errorf("%v.%s with the key %q is a %v: nobody reads it", typ, f.Name, key, f.Type)
			}
		}
	})
}

// A key that weir obeys is not on the list of those that it does not.
func TestNotYet(t *testing.T) {
	var walk func(p *path, typ reflect.Type)
	walk = func(p *path, typ reflect.Type) {
		if notYet(p.pattern()) {
			t.Errorf("%s is obeyed: take it off the list in notyet.go", p)
		}
		switch {
		case isText(typ):
		case typ.Kind() == reflect.Pointer:
			walk(p, typ.Elem())
		case typ.Kind() == reflect.Slice:
			walk(p.item(0), typ.Elem())
		case typ.Kind() == reflect.Map:
			walk(p.entry("x"), typ.Elem())
		case typ.Kind() == reflect.Struct:
			for i, key := range keysOf(typ) {
				if key != "" {
					walk(p.key(key), typ.Field(i).Type)
				}
			}
		}
	}
	walk(nil, reflect.TypeFor[Config]())
}

func TestClosest(t *testing.T) {
	known := []string{"max_wait", "max_pending", "min_scale", "max_scale", "timeouts", "fd", "port"}
	means := func(word, want string) {
		t.Helper()
		if got := closest(word, known); got != want {
			t.Errorf("%q is taken for %q, want %q", word, got, want)
		}
	}
	means("max_wiat", "max_wait")
	means("maxScale", "max_scale")
	means("Min-Scale", "min_scale")
	means("timeout", "timeouts")
	means("prot", "port")
	means("fb", "")
	means("retries", "")
	means("", "")
	means(strings.Repeat("x", 1<<20), "")
}

func TestExpand(t *testing.T) {
	becomes := func(text, want string) {
		t.Helper()
		got := expand(text, world, func(_, message, _ string) { t.Errorf("%s: %s", text, message) })
		if got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	becomes("", "")
	becomes("${WORD}", "word")
	becomes("a ${WORD} and ${NUMBER}", "a word and 400")
	becomes("${NONE:-fallback}", "fallback")
	becomes("${NONE:-}", "")
	becomes("${NONE:-a:-b}", "a:-b")
	becomes("${EMPTY:-as in a shell}", "as in a shell")
	becomes("${EMPTY}", "")
	becomes("$WORD $ {WORD} $", "$WORD $ {WORD} $")
	becomes("$${WORD}", "${WORD}")
	becomes("$$ $${A:-b} ${WORD}", "$$ ${A:-b} word")
}

func TestMinUp(t *testing.T) {
	for idle, want := range map[time.Duration]time.Duration{
		0: 30 * time.Second, time.Second: time.Second, time.Hour: 30 * time.Second,
	} {
		if got := minUp(idle); got != want {
			t.Errorf("min_up with idle_after %v is %v, want %v", idle, got, want)
		}
	}
}
