package table

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// Two calls ask the same if and only if all that they ask for is the same, wherever one
// thing ends and the next begins, and then their hashes are.
func TestQuestionIsItsParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SampledFrom([]string{"nil", "", "\x00", "\x01", "\x01\x01", "a", "ab", "bb", "/a/b/c/d", "/a/b/c/d/e", "/a/b/c/d/e/f/g/h/i"})
		draw := func() (q Question, means string) {
			for i, to := range []*[]byte{&q.Method, &q.Authority, &q.Path, &q.Proto, &q.Host, &q.Port, &q.NewHost, &q.NewPath, &q.Query} {
				if v := value.Draw(t, fmt.Sprint(i)); v != "nil" {
					*to = []byte(v)
					means += fmt.Sprintf(" %d=%q", i, v)
				}
			}
			q.Priority = int8(rapid.IntRange(-1, 1).Draw(t, "priority"))
			means += fmt.Sprint(" p=", q.Priority)
			q.begin()
			var values [4][]string
			for range rapid.IntRange(0, 4).Draw(t, "fields") {
				at, v := rapid.IntRange(-2, 1).Draw(t, "place"), value.Draw(t, "value")
				q.add(at, []byte(v))
				values[2+at] = append(values[2+at], v)
			}
			return q, means + fmt.Sprintf(" %q", values)
		}
		one, means := draw()
		two, meansToo := one, means
		if rapid.Bool().Draw(t, "another") {
			two, meansToo = draw()
		}
		switch same := bytes.Equal(one.appendText(nil), two.appendText(nil)); {
		case same != (means == meansToo):
			t.Fatalf("%s and %s: %v", means, meansToo, same)
		case same && one.hash != two.hash:
			t.Fatalf("%s has two hashes", means)
		}
	})
}

// Every byte of what calls differ by counts in the hash, at every length, and its place.
func TestHashOfPart(t *testing.T) {
	had := map[question]string{}
	add := func(place int, value []byte) {
		h, what := hashOfPart(place, value), fmt.Sprintf("%d %q", place, value)
		if other, twice := had[h]; twice {
			t.Fatalf("%s and %s have one hash", what, other)
		}
		had[h] = what
	}
	for n := range 40 {
		add(0, make([]byte, n))
		add(1, make([]byte, n))
		for i := range n {
			for bit := range 8 {
				value := make([]byte, n)
				value[i] = 1 << bit
				add(0, value)
			}
		}
	}
}

// Calls to one function that differ in what they usually differ by do not meet.
func TestHashOfQuestion(t *testing.T) {
	had := map[question]int{}
	for i, q := range []Question{
		{Path: []byte("/"), Authority: []byte("a.example.com")},
		{Path: []byte("/"), Authority: []byte("b.example.com")},
		{Path: []byte("a.example.com"), Authority: []byte("/")},
		{Path: []byte("/"), Authority: []byte("a.example.com"), NewPath: []byte("/a")},
		{Path: []byte("/"), Authority: []byte("a.example.com"), Query: []byte("/a")},
		{Path: []byte("/"), Authority: []byte("a.example.com"), Query: []byte{}},
	} {
		for _, fields := range [][]string{nil, {"a"}, {"b"}, {"a", "b"}, {"b", "a"}} {
			q.begin()
			for place, value := range fields {
				q.add(1+place, []byte(value))
			}
			if other, twice := had[q.hash]; twice {
				t.Errorf("%d and %d, with %q, have one hash", other, i, fields)
			}
			had[q.hash] = i
		}
	}
}

// What the question is of is let go of.
func TestQuestionForgets(t *testing.T) {
	q := Question{Path: []byte("/"), Query: []byte("a")}
	q.begin()
	q.add(1, []byte("b"))
	q.Forget()
	if parts := q.parts[:cap(q.parts)]; q.Path != nil || q.Query != nil || len(q.parts) != 0 || parts[0].value != nil {
		t.Errorf("%+v is left", q)
	}
}
