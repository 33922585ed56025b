package main

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A file longer than this is one idea, or two files.
const maxLines = 400

// longFiles are one idea all the same; each says which.
var longFiles = map[string]string{}

// A package that cannot be told in this many lines is two packages.
const maxDocLines = 40

func TestEveryPackageHasItsDoc(t *testing.T) {
	doc := make(map[string]string) // by folder
	for _, f := range goFiles(t) {
		dir := path.Dir(f.path)
		if _, seen := doc[dir]; !seen && !f.test() {
			doc[dir] = ""
		}
		if f.ast.Doc == nil {
			continue
		}
		if path.Base(f.path) != "doc.go" {
			t.Errorf("%s: the package comment belongs in doc.go", f.path)
			continue
		}
		doc[dir] = f.ast.Doc.Text()
		if n := strings.Count(doc[dir], "\n"); n > maxDocLines {
			t.Errorf("%s: %d lines of package comment, want at most %d", f.path, n, maxDocLines)
		}
		if name := f.ast.Name.Name; name != "main" && !strings.HasPrefix(doc[dir], "Package "+name+" ") {
			t.Errorf("%s: the package comment does not begin with %q", f.path, "Package "+name)
		}
	}
	for dir, text := range doc {
		if strings.TrimSpace(text) == "" {
			t.Errorf("%s has no doc.go with a package comment", dir)
		}
	}
}

func TestNoFileIsTooLong(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test() {
			continue
		}
		text, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		n := bytes.Count(text, []byte("\n"))
		switch why, long := longFiles[f.path]; {
		case n > maxLines && !long:
			t.Errorf("%s has %d lines, want at most %d: split it, or name its one idea in longFiles", f.path, n, maxLines)
		case n <= maxLines && long:
			t.Errorf("%s has only %d lines: strike it from longFiles (%s)", f.path, n, why)
		}
	}
	for name, why := range longFiles {
		if _, err := os.Stat(name); err != nil {
			t.Errorf("longFiles names %s (%s): %v", name, why, err)
		}
	}
}

// strangers are words of the machine that a file was written on. They are put
// together here so that this file has none of them.
var strangers = []*regexp.Regexp{
	regexp.MustCompile(`(^|[^\w.)}/-])/(` + `work|root` + `)/`),
	regexp.MustCompile(`GOPROXY=` + `http|GOPROXY: *` + `http`),
	regexp.MustCompile(`(proxy\.golang|deb\.debian|security\.debian|pypi|sum\.golang)\.` + `org`),
	regexp.MustCompile(`registry\.npm` + `js`),
}

func TestNothingOfTheMachineIsLeftIn(t *testing.T) {
	err := walk(func(name string, _ fs.DirEntry) error {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if bytes.IndexByte(text[:min(len(text), 8<<10)], 0) >= 0 {
			return nil // a picture or a binary
		}
		for i, line := range strings.Split(string(text), "\n") {
			if at := slices.IndexFunc(strangers, func(r *regexp.Regexp) bool { return r.MatchString(line) }); at >= 0 {
				t.Errorf("%s:%d: %q is of one machine, not of weir", name, i+1, strangers[at].FindString(line))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStrangersAreSeen(t *testing.T) {
	for _, line := range []string{
		"cd /" + "work/main",
		`"/` + `root/.cache"`,
		"GOPROXY=" + "https://x",
		"https://proxy.golang." + "org",
	} {
		if !slices.ContainsFunc(strangers, func(r *regexp.Regexp) bool { return r.MatchString(line) }) {
			t.Errorf("%q passes", line)
		}
	}
	for _, line := range []string{"net/http", "./work/x", "$root/main.go", "go.work", "example.com/work/1", "root module"} {
		if slices.ContainsFunc(strangers, func(r *regexp.Regexp) bool { return r.MatchString(line) }) {
			t.Errorf("%q does not pass", line)
		}
	}
}
