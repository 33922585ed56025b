package message

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// A Key finds what has its name, whichever of the two was there first.
func TestKeyIsByName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"X-A", "x-a", "X-B", "X-Ab", "User-Agent", "X-Forwarded-Of", strings.Repeat("x", 64), "x" + strings.Repeat("x", 127), "1", ""})
		asked, said := []byte(name.Draw(t, "asked")), []byte(name.Draw(t, "said"))
		early := Field{Name: said, ID: Lookup(said), Number: NumberOf(said)}
		key := NewKey(asked)
		late := Field{Name: said, ID: Lookup(said), Number: NumberOf(said)}
		for _, f := range []Field{early, late} {
			if want := bytes.EqualFold(asked, said); key.Is(&f) != want {
				t.Fatalf("%q of number %d is %q of number %d: %v, want %v", f.Name, f.Number, asked, key.Number, !want, want)
			}
		}
		if late.ID != Other && late.Number != 0 {
			t.Fatalf("%q has an id and a number", said)
		}
	})
}

// What comes when there are no numbers left is found by its name, and those who read
// meanwhile are not disturbed.
func TestNumbersRunOut(t *testing.T) {
	var work sync.WaitGroup
	for w := range 4 {
		work.Go(func() {
			for i := range 300 {
				name := fmt.Appendf(nil, "X-Number-%d", (i+w*75)%300)
				key, f := NewKey(name), Field{Name: bytes.ToLower(name), Number: NumberOf(name)}
				if key.Number != f.Number || !key.Is(&f) {
					t.Errorf("%s is of number %d and read as of %d", name, key.Number, f.Number)
				}
			}
		})
	}
	work.Wait()
	had := map[Number]int{}
	for i := range 300 {
		had[NumberOf(fmt.Appendf(nil, "x-number-%d", i))]++
	}
	if had[0] < 300-255 || had[0] > 300-200 {
		t.Errorf("%d of 300 have no number", had[0])
	}
	delete(had, 0)
	for number, n := range had {
		if n > 1 {
			t.Errorf("%d names have the number %d", n, number)
		}
	}
}

func BenchmarkNumberOf(b *testing.B) {
	NewKey([]byte("X-Tenant"))
	for _, name := range []string{"X-Tenant", "X-Member", "X-Something-Else"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				NumberOf([]byte(name))
			}
		})
	}
}
