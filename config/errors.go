package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An Error is one mistake of a configuration, with its place.
type Error struct {
	// File as the caller named it, or the environment variable that was wrong.
	File string
	// Line and Column count from 1, the column in characters. Both are 0 if
	// the mistake is not in the document but in the environment.
	Line, Column int
	// Message says what is wrong, Hint how to put it right. Hint may be empty.
	Message, Hint string
	// Source is the line of the document, without its end.
	Source string

	in *source // nil for the environment
}

// Error is for a person: place, message and hint, then the line with a caret.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	if e.Line > 0 {
		b.WriteByte('\n')
		b.WriteString(e.Excerpt())
	}
	return b.String()
}

// Excerpt is the source line with its number, and a caret under the column.
func (e *Error) Excerpt() string {
	line, before := window([]rune(e.Source), e.Column-1)
	pad := make([]rune, 0, before)
	for _, c := range line[:before] {
		if c != '\t' { // a tab stays one, or the caret would be off
			c = ' '
		}
		pad = append(pad, c)
	}
	return fmt.Sprintf("%5d | %s\n        %s^", e.Line, string(line), string(pad))
}

// window cuts a line that no terminal would show whole to what is around the
// caret. It returns how many characters are before the caret.
func window(line []rune, caret int) ([]rune, int) {
	const around = 70
	caret = max(0, min(caret, len(line)))
	from, to := max(0, caret-around), min(len(line), caret+around)
	if len(line) <= 2*around {
		from, to = 0, len(line)
	}
	cut := slices.Clone(line[from:to])
	for i, c := range cut {
		if c < ' ' && c != '\t' {
			cut[i] = '\uFFFD' // a file must not steer the terminal
		}
	}
	if from > 0 {
		cut[0] = '…'
	}
	return cut, caret - from
}

// Errors are all mistakes of one configuration, in the order of their places.
type Errors []*Error

func (es Errors) Error() string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "\n")
}

// Unwrap lets errors.As find the first *Error.
func (es Errors) Unwrap() []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

func (e *Error) rank() int {
	if e.in == nil {
		return 0
	}
	return e.in.rank
}

// sorted brings mistakes into the order of their places, file by file, each
// told once: an alias repeats what it stands for.
func (es Errors) sorted() Errors {
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.CompactFunc(es, func(a, b *Error) bool {
		return *a == *b
	})
}
