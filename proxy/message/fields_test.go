package message

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestLookup(t *testing.T) {
	for id := Accept; id < numIDs; id++ {
		name := Name(id)
		for _, spelled := range [][]byte{name, bytes.ToLower(name), bytes.ToUpper(name)} {
			if got := Lookup(spelled); got != id {
				t.Errorf("%s is %d, want %d", spelled, got, id)
			}
		}
		for _, other := range []string{string(name) + "s", string(name[1:]), "_" + string(name[1:]), strings.ReplaceAll(string(name), "-", "_") + "_"} {
			if got := Lookup([]byte(other)); got == id {
				t.Errorf("%s passes for %s", other, name)
			}
		}
	}
	for _, other := range []string{"", "-", "\x00", "@ccept", strings.Repeat("a", 100)} {
		if got := Lookup([]byte(other)); got != Other {
			t.Errorf("%q is %d", other, got)
		}
	}
}

func TestEqualNames(t *testing.T) {
	f := func(a, b string, want bool) {
		t.Helper()
		if EqualNames([]byte(a), []byte(b)) != want || EqualNames([]byte(b), []byte(a)) != want {
			t.Errorf("%q and %q: want %v", a, b, want)
		}
	}
	f("Host", "hOST", true)
	f("X-A", "x-a", true)
	f("a", "ab", false)
	f("a@", "a`", false) // a bit apart, but no letters
	f("[", "{", false)
	f("-", "\r", false)
}

// Names are compared as bytes are one by one.
func TestEqualNamesAsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "a")
		b := slices.Clone(a)
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			if len(b) > 0 {
				at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
				b[at] ^= rapid.SampledFrom([]byte{0x20, 0x20, 0x20, 0x80, 0xa0, 1}).Draw(t, "bits")
			}
		}
		want := true
		for i, x := range a {
			letter := 'a' <= x|0x20 && x|0x20 <= 'z'
			want = want && (x == b[i] || letter && x|0x20 == b[i]|0x20)
		}
		if got := EqualNames(a, b); got != want {
			t.Fatalf("%q and %q: %v", a, b, got)
		}
	})
}

func TestElements(t *testing.T) {
	f := func(list string, want ...string) {
		t.Helper()
		var got []string
		Elements([]byte(list), func(e []byte) bool {
			got = append(got, string(e))
			return true
		})
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q has %q, want %q", list, got, want)
		}
	}
	f("")
	f("a", "a")
	f("a,b", "a", "b")
	f(" a ,\tb , ", "a", "b")
	f(",,a,,", "a")
}

func TestLooksKnown(t *testing.T) {
	f := func(name string, want bool) {
		t.Helper()
		if LooksKnown([]byte(name)) != want {
			t.Errorf("%q: want %v", name, want)
		}
	}
	for id := Accept; id < numIDs; id++ {
		name := string(Name(id))
		f(name, false)
		f(strings.ReplaceAll(name, "-", "_"), strings.Contains(name, "-"))
		f(strings.ToLower(strings.Replace(name, "-", "_", 1)), strings.Contains(name, "-"))
	}
	f("", false)
	f("_", false)
	f("my_own", false)
	f(strings.Repeat("a_", 50), false)
}

func TestDropNamed(t *testing.T) {
	f := func(connection string, want string) {
		t.Helper()
		fields := []Field{{Name: []byte("A")}, {Name: []byte("Host"), ID: Host}, {Name: []byte("b-c")}, {Name: []byte("a")}}
		DropNamed(fields, []byte(connection))
		got := ""
		for i := range fields {
			if fields[i].Drop {
				got += string(fields[i].Name) + " "
			}
		}
		if got != want {
			t.Errorf("%q drops %q, want %q", connection, got, want)
		}
	}
	f("", "")
	f("close", "")
	f("a", "A a ")
	f("x,, B-C ,host", "b-c ")
	f("a b", "")
}
