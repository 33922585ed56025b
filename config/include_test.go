package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What files become that include others: a configuration, or words about what
// is wrong in which of them.
func TestInclude(t *testing.T) {
	stories, _ := filepath.Glob("testdata/include/*/weir.yaml")
	if len(stories) < 8 {
		t.Fatalf("only %d stories", len(stories))
	}
	for _, main := range stories {
		dir := filepath.Dir(main)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			back, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			want := filepath.Join(back, dir, "want.txt")
			t.Chdir(dir)
			cfg, err := load("weir.yaml", world)
			if err != nil {
				golden(t, want, err.Error()+"\n")
				return
			}
			here, _ := os.Getwd()
			golden(t, want, strings.ReplaceAll(show(cfg), here, "HERE"))
		})
	}
}

// A configuration that is not on a disk includes nothing, so that whoever may
// say one may not read every file.
func TestIncludeFromMemory(t *testing.T) {
	_, err := parseOn(disk{}, "weir.yaml", []byte("include: /etc/passwd\n"+smallest), world)
	if err == nil || !strings.Contains(err.Error(), "weir.yaml:1:10: include is only for files") {
		t.Error(err)
	}
}

// A link to a file that was read is that file.
func TestIncludeTwiceByLink(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("weir.yaml", "include: \"[ab].yaml\"\n"+smallest)
	put("a.yaml", "scalers: { p: { type: process } }\n")
	if err := os.Symlink("a.yaml", filepath.Join(dir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	_, err := Load(filepath.Join(dir, "weir.yaml"))
	if err == nil || !strings.Contains(err.Error(), `b.yaml": it is included already at `+dir+"/weir.yaml:1:10") {
		t.Error(err)
	}
}

// An included file that changes is another configuration.
func TestIncludeAndHash(t *testing.T) {
	dir := t.TempDir()
	hash := func(main, part string) string {
		t.Helper()
		for name, text := range map[string]string{"weir.yaml": main, "part.yaml": part} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cfg, err := Load(filepath.Join(dir, "weir.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return cfg.Hash
	}
	main := "include: part.yaml\n" + smallest
	one := hash(main, "region: a\n")
	if two := hash(main, "region: b\n"); one == two {
		t.Errorf("both are %s", one)
	}
	if again := hash(main, "region: a\n"); one != again {
		t.Errorf("%s becomes %s", one, again)
	}
}
