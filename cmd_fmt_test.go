package main

import (
	"path/filepath"
	"testing"
)

// weir fmt changes white space, and only if it is asked to the file.
func TestFmt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yaml")
	badly := "listeners:\n- address: \":8080\"   \n\n\n# a comment\nregion:  here\n"
	want := "listeners:\n  - address: \":8080\"\n\n# a comment\nregion:  here\n"
	write(t, file, badly)
	f := func(code int, stdout string, args ...string) {
		t.Helper()
		w := start(t, append([]string{"fmt"}, args...)...)
		if got := w.ended(); got != code || w.stdout.String() != stdout {
			t.Errorf("fmt %v: exit code %d, want %d; %q, want %q; %s", args, got, code, w.stdout.String(), stdout, w.stderr.String())
		}
	}
	f(0, want, file)
	f(1, file+"\n", "--check", file)
	f(0, "", "-w", file)
	f(0, "", "--check", file)
	f(0, want, file)
	f(2, "", "--check", "-w", file)
	write(t, file, "a: [\n")
	f(1, "", "-w", file)
	f(1, "", filepath.Join(t.TempDir(), "none.yaml"))
}
