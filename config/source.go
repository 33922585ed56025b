package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A source is one of the texts that a configuration is made of: the file, a
// file that it includes, a value of a layer over them.
type source struct {
	name  string // as messages name it
	base  string // the folder that files named in it are relative to
	lines []string
	rank  int // in which order mistakes are told

	layer    string    // that it belongs to; empty for a file
	fragment *Fragment // nil for a file
}

func newSource(name, base, text string) *source {
	return &source{name: name, base: base, lines: strings.Split(text, "\n")}
}

// cleaned is a text with one kind of line end and no byte order mark, so that
// we and the parser count lines alike.
func cleaned(doc []byte) string {
	text := strings.TrimPrefix(string(doc), "\uFEFF")
	if !strings.Contains(text, "\r") { // as most have none
		return text
	}
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
}

// line returns one of its lines, the last for a number beyond.
func (s *source) line(n int) string { return s.lines[max(1, min(n, len(s.lines)))-1] }

// start is the place of its beginning.
func (s *source) start() place { return place{s, 1, 1} }

// notText returns the place of the first bytes that are no text, and makes them
// such.
func (s *source) notText() (at place, found bool) {
	for i, line := range s.lines {
		if !utf8.ValidString(line) {
			good := strings.IndexFunc(line, func(r rune) bool { return r == utf8.RuneError })
			s.lines[i] = strings.ToValidUTF8(line, "\uFFFD")
			return place{s, int32(i + 1), int32(utf8.RuneCountInString(line[:good]) + 1)}, true
		}
	}
	return place{}, false
}

// String is the place as an editor takes it: file:line:column.
func (p place) String() string { return fmt.Sprintf("%s:%d:%d", p.in.name, p.line, p.column) }

// seenFrom is the place for who is at another one.
func (p place) seenFrom(other place) string {
	if p.in == other.in {
		return fmt.Sprintf("in line %d", p.line)
	}
	return "at " + p.String()
}
