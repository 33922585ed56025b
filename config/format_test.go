package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFormat(t *testing.T) {
	files, _ := filepath.Glob("testdata/format/*.yaml")
	if len(files) == 0 {
		t.Fatal("nothing to format")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			out, err := Format("weir.yaml", read(t, file))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".want", string(out))
		})
	}
}

// keepsAll checks what Format promises, of a document that it formats.
func keepsAll(t interface{ Fatalf(string, ...any) }, doc []byte) {
	out, err := Format("weir.yaml", doc)
	if err != nil {
		return
	}
	again, err := Format("weir.yaml", out)
	if err != nil || !bytes.Equal(again, out) {
		t.Fatalf("formatted twice it is another:\n%q\n%q\n%q, %v", doc, out, again, err)
	}
	bare := func(text []byte) string {
		return strings.Join(strings.Fields(cleaned(text)), " ")
	}
	if bare(doc) != bare(out) {
		t.Fatalf("more than white space has changed:\n%q\n%q", doc, out)
	}
	was, wasWrong := parseOn(disk{}, "weir.yaml", doc, world)
	now, nowWrong := parseOn(disk{}, "weir.yaml", out, world)
	if (wasWrong == nil) != (nowWrong == nil) || was != nil && !was.Equal(now) {
		t.Fatalf("it means another thing:\n%q, %v\n%q, %v", doc, wasWrong, out, nowWrong)
	}
}

// Whatever way a configuration is indented, formatting it changes neither what it
// means nor a word of it, and every comment stays.
func TestFormatKeepsTheMeaning(t *testing.T) {
	for _, pattern := range []string{"testdata/*/*.yaml", "testdata/include/*/*.yaml", "../deploy/*.yaml", "../internal/demo/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			keepsAll(t, read(t, file))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		block(t, &b, 0, 0)
		doc := smallest + "# " + "the rest\n" + b.String()
		if _, err := Format("weir.yaml", []byte(doc)); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		keepsAll(t, []byte(doc))
	})
}

// block writes some functions or what is in them, indented as badly as YAML
// allows.
func block(t *rapid.T, b *strings.Builder, depth, indent int) {
	margin := strings.Repeat(" ", indent)
	noise := func() {
		switch rapid.IntRange(0, 6).Draw(t, "noise") {
		case 0:
			b.WriteString(strings.Repeat(" ", rapid.IntRange(0, 9).Draw(t, "spaces")) + "# a comment\n")
		case 1:
			b.WriteString(strings.Repeat("\n", rapid.IntRange(1, 3).Draw(t, "lines")))
		}
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "entries") {
		noise()
		key := string(rune('a'+depth)) + string(rune('a'+i))
		inner := indent + rapid.IntRange(1, 5).Draw(t, "indent")
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0:
			b.WriteString(margin + key + ": value   # behind it\n")
		case 1:
			b.WriteString(margin + key + ":\n" + strings.Repeat(" ", inner) + "{ a: 1,\n   b: [1,\n2], c: \"x\"\n}\n")
		case 2:
			b.WriteString(margin + key + ": |\n" + strings.Repeat(" ", inner) + "text # no comment\n\n" + strings.Repeat(" ", inner+2) + "more\n")
		case 3:
			b.WriteString(margin + key + ":\n")
			dashes := indent + rapid.IntRange(0, 3).Draw(t, "dashes")
			for range rapid.IntRange(1, 3).Draw(t, "items") {
				noise()
				b.WriteString(strings.Repeat(" ", dashes) + "-" + strings.Repeat(" ", rapid.IntRange(1, 3).Draw(t, "gap")))
				b.WriteString("item\n")
			}
		case 4:
			b.WriteString(margin + key + ":\n")
			b.WriteString(margin + "- x: 1\n" + margin + "  y:\n" + margin + "      z: 2\n")
		case 5:
			b.WriteString(margin + key + ": >-\n" + strings.Repeat(" ", inner) + "folded\n" + strings.Repeat(" ", inner) + "text\n")
		default:
			b.WriteString(margin + key + ":\n")
			if depth < 3 {
				block(t, b, depth+1, inner)
			}
		}
	}
}

// FuzzFormat: whatever is formatted keeps its words and what it means.
func FuzzFormat(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.yaml")
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc []byte) { keepsAll(t, doc) })
}
