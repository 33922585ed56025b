package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Real tests of a real module: one fails the first time it runs, one always,
// one panics.
func TestAgain(t *testing.T) {
	for _, c := range []struct {
		name, body string
		most       int
		ok         bool
		says, not  string
		passed     int
		failed     int
	}{
		{name: "one was late", body: `func TestX(t *testing.T) { t.Run("a", once); t.Run("b", func(*testing.T) {}) }`,
			most: 1, ok: true, says: "FLAKY m TestX: failed, then passed alone", passed: 3},
		{name: "one fails always", body: `func TestX(t *testing.T) { t.Fatal("no") }`,
			most: 1, says: "AGAIN m TestX", not: "FLAKY", failed: 1},
		{name: "too many", body: `func TestX(t *testing.T) { once(t) }; func TestY(t *testing.T) { t.Fatal("no") }`,
			most: 1, not: "AGAIN", failed: 2},
		{name: "none is run again unless asked for", body: `func TestX(t *testing.T) { once(t) }`,
			not: "AGAIN", failed: 1},
		{name: "a panic is never excused", body: `func TestX(t *testing.T) { if first() { panic("no") } }`,
			most: 1, not: "AGAIN", failed: 1},
		{name: "nor what fails outside a test", body: `func TestX(t *testing.T) { once(t) }
func TestMain(m *testing.M) { m.Run(); if first() { os.Exit(1) }; os.Exit(3) }`,
			most: 1, not: "FLAKY", failed: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) {
				t.Helper()
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			write("go.mod", "module m\n\ngo 1.26\n")
			write("x_test.go", `package m
import ("os"; "testing")
func first() bool { _, err := os.Stat("seen"); os.WriteFile("seen", nil, 0o644); return err != nil }
func once(t *testing.T) { if first() { t.Fatal("late") } }
`+c.body)
			t.Chdir(dir)

			var out strings.Builder
			s := newSum(&out)
			err := s.run(nil, []string{"."})
			if s.again(nil, c.most) {
				err = nil
			}
			if ok := s.finish(err, 1); ok != c.ok {
				t.Errorf("ok is %v, want %v", ok, c.ok)
			}
			if s.passed != c.passed || s.failed != c.failed {
				t.Errorf("%d passed, %d failed; want %d, %d", s.passed, s.failed, c.passed, c.failed)
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("want %q in\n%s", c.says, out.String())
			}
			if c.not != "" && strings.Contains(out.String(), c.not) {
				t.Errorf("want no %q in\n%s", c.not, out.String())
			}
		})
	}
}
