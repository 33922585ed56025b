package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const smallest = `listeners: [{ address: ":8080" }]
functions:
  hello: { endpoints: ["127.0.0.1:9001"] }
routes: [{ path_prefix: /, function: hello }]
`

func with(pairs ...string) lookup {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "weir.yaml")
	doc := smallest + "  # the same, after a comment\n"
	if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)

	cfg, err := Load("weir.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Path != file {
		t.Errorf("path %q, want %q", cfg.Path, file)
	}
	other, err := Parse("weir.yaml", []byte(smallest))
	if err != nil {
		t.Fatal(err)
	}
	if other.Path != "" {
		t.Errorf("a document from memory has the path %q", other.Path)
	}
	if len(cfg.Hash) != 12 || cfg.Hash == other.Hash {
		t.Errorf("hashes %q and %q of two documents, want 12 digits each and not the same", cfg.Hash, other.Hash)
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	refused := func(path, want string, is error) {
		t.Helper()
		cfg, err := Load(path)
		if cfg != nil || err == nil || err.Error() != want || (is != nil && !errors.Is(err, is)) {
			t.Errorf("Load(%q) = %v, %v; want %s", path, cfg, err, want)
		}
	}
	none := filepath.Join(dir, "none.yaml")
	refused(none, `cannot read configuration "`+none+`": no such file or directory`, fs.ErrNotExist)
	refused(dir, `cannot read configuration "`+dir+`": is a directory`, nil)
	refused("/dev/zero", `cannot read configuration "/dev/zero": it is longer than 16MiB`, nil)
}

// Commands and working folders are relative to the file, wherever weir was
// started.
func TestRelativeCommand(t *testing.T) {
	doc := `listeners: [{ address: ":8080" }]
functions:
  f: { cold_start: { scaler: process }, process: { command: [COMMAND], dir: DIR } }
`
	dir := t.TempDir()
	t.Chdir(dir)
	said := func(name, command, folder, wantCommand, wantFolder string) {
		t.Helper()
		doc := strings.NewReplacer("COMMAND", command, "DIR", folder).Replace(doc)
		cfg, err := Parse(name, []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		if p := cfg.Functions["f"].Process; p.Command[0] != wantCommand || p.Dir != wantFolder {
			t.Errorf("%s: %s in %s becomes %s in %s, want %s in %s",
				name, command, folder, p.Command[0], p.Dir, wantCommand, wantFolder)
		}
	}
	said("/etc/weir/weir.yaml", "./server", "~", "/etc/weir/server", "/etc/weir")
	said("/etc/weir/weir.yaml", "../bin/server", "/tmp", "/etc/bin/server", "/tmp")
	said("/etc/weir/weir.yaml", "server", "run", "server", "/etc/weir/run")
	said("/etc/weir/weir.yaml", "/bin/server", ".", "/bin/server", "/etc/weir")
	said("weir.yaml", "./server", "~", dir+"/server", dir)
	said("conf/weir.yaml", "./server", "~", dir+"/conf/server", dir+"/conf")
	said("", "./server", "~", dir+"/server", dir)
}

func TestEnvironmentGoesBeforeTheFile(t *testing.T) {
	doc := "region: eu-west\nadmin: { address: \"127.0.0.1:1\" }\n" + smallest
	cfg, err := parse("weir.yaml", []byte(doc), with("WEIR_REGION", "us-east", "WEIR_ADMIN_ADDRESS", "127.0.0.1:2"))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Region != "us-east" || cfg.Admin.Address != "127.0.0.1:2" {
		t.Errorf("region %q and admin %q, want those of the environment", cfg.Region, cfg.Admin.Address)
	}
	if got := cfg.Functions["hello"].Endpoints[0].Region; got != "us-east" {
		t.Errorf("an endpoint without a region is in %q, want us-east", got)
	}

	cfg, err = parse("weir.yaml", []byte(doc), with("WEIR_REGION", "", "WEIR_ADMIN_ADDRESS", ""))
	if err != nil || cfg.Region != "eu-west" {
		t.Errorf("an empty variable counts: %v, %v", cfg, err)
	}

	_, err = parse("weir.yaml", []byte(doc), with("WEIR_ADMIN_ADDRESS", "9901"))
	const want = `WEIR_ADMIN_ADDRESS: admin.address has no port: "9901"; write it as in :8080 or 127.0.0.1:8080`
	if err == nil || err.Error() != want {
		t.Errorf("a wrong variable: %v, want %s", err, want)
	}
}

// A file as Windows writes it has the same places.
func TestLineEnds(t *testing.T) {
	doc := "\uFEFF" + strings.ReplaceAll(smallest, "\n", "\r\n")
	if _, err := Parse("weir.yaml", []byte(doc)); err != nil {
		t.Errorf("with byte order mark and CR LF: %v", err)
	}
	_, err := Parse("weir.yaml", []byte(doc+"regoin: x\r\n"))
	var first *Error
	if !errors.As(err, &first) || first.Line != 5 || first.Column != 1 || first.Source != "regoin: x" {
		t.Errorf("the mistake in line 5 is reported as %#v", first)
	}
}

func TestErrorsAreErrors(t *testing.T) {
	_, err := Parse("weir.yaml", []byte(smallest+"a: 1\nbb: 2\n"))
	var all Errors
	if !errors.As(err, &all) || len(all) != 2 {
		t.Fatalf("%T with %d mistakes, want Errors with 2", err, len(all))
	}
	if one := all[1]; one.File != "weir.yaml" || one.Line != 6 || one.Message != `unknown key "bb"` {
		t.Errorf("the second is %#v", one)
	}
}
