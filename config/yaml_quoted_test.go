package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A text in quotes is what the parser makes of it.
func TestQuotedText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := rapid.SampledFrom([]string{`"`, `"`, `"`, `'`, ""}).Draw(t, "begin") +
			strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "10s", " ", "  ", "#", ": ", "- ", "\\n", `"`, "'", "\n", "\t", "é", "${X}", "{", "&a", "*", "!", "%", "null"}), 0, 5).Draw(t, "inside"), "") +
			rapid.SampledFrom([]string{`"`, `"`, `"`, `"x`, `" `, ""}).Draw(t, "end")
		src := newSource("x", "", doc)
		got := quotedText(src, doc)
		if got == nil {
			return
		}
		want := readYAML(src, doc, func(_ place, message, _ string) { t.Fatalf("of %q: %s", doc, message) })
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(node{}, place{}, source{}, entry{})); diff != "" {
			t.Fatalf("of %q: %s", doc, diff)
		}
	})
	src := newSource("x", "", `"10s"`)
	if quotedText(src, `"10s"`) == nil {
		t.Error("10s in quotes is left to the parser")
	}
}
