package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Files that are what they were are not read into another tree.
func TestFilesAgain(t *testing.T) {
	dir := t.TempDir()
	main, part := filepath.Join(dir, "weir.yaml"), filepath.Join(dir, "conf.d", "a.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(main, "include: conf.d/*.yaml\nlisteners: [{ address: ':8080' }]\n")
	write(part, "functions: { f: { endpoints: ['127.0.0.1:1'] } }\n")
	files, err := ReadFiles(main)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what  string
		do    func()
		again bool // another one has to come of it
	}{
		{"nothing", func() {}, false},
		{"a newer time", func() { _ = os.Chtimes(part, time.Time{}, time.Now().Add(time.Hour)) }, false},
		{"a file that editors leave", func() { write(filepath.Join(dir, "conf.d", ".b.yaml"), "") }, false},
		{"another text", func() { write(part, "functions: { f: { endpoints: ['127.0.0.1:2'] } }\n") }, true},
		{"one file more", func() { write(filepath.Join(dir, "conf.d", "b.yaml"), "functions: { g: {} }\n") }, true},
		{"one that is gone", func() { _ = os.Remove(part) }, true},
		{"a mistake in one", func() { write(part, "functions: {") }, true},
		{"the same mistake", func() {}, true},
		{"the mistake mended", func() { write(part, "functions: { f: {} }\n") }, true},
	} {
		c.do()
		next, err := files.Again()
		if err != nil {
			t.Fatal(err)
		}
		if (next != files) != c.again {
			t.Errorf("%s: another reading is %t", c.what, next != files)
		}
		files = next
	}
	if cfg, err := files.With(nil); err != nil || len(cfg.Functions) != 2 {
		t.Error(err)
	}
	if err := os.Remove(main); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Again(); err == nil {
		t.Error("no error without the file")
	}
}
