package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A document collects, while it is read, where everything is and what is wrong.
type document struct {
	name     string
	lines    []string
	places   map[string]place  // of values, by path; of mappings and lists their key's
	given    map[string]bool   // paths with a value that is not null
	from     map[string]string // paths whose value came from this environment variable
	bad      map[string]bool   // paths about which something was said
	mistakes Errors
}

func newDocument(name, source string) *document {
	return &document{
		name:   name,
		lines:  strings.Split(source, "\n"),
		places: map[string]place{},
		given:  map[string]bool{},
		from:   map[string]string{},
		bad:    map[string]bool{},
	}
}

// cleaned is the text of the document with one kind of line end and no byte
// order mark, so that we and the parser count lines alike.
func cleaned(doc []byte) string {
	text := strings.TrimPrefix(string(doc), "\uFEFF")
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
}

// note remembers where the value of a path is.
func (d *document) note(p *path, at place, given bool) {
	d.places[p.String()] = at
	d.given[p.String()] = given
}

// find returns the place of a path or, if it is not in the document, of the
// nearest thing around it that is.
func (d *document) find(p *path) place {
	for ; p != nil; p = p.up {
		if at, ok := d.places[p.String()]; ok {
			return at
		}
	}
	return place{1, 1}
}

// where is find for a message about another place.
func (d *document) where(p *path) string {
	at := d.find(p)
	return fmt.Sprintf("%s:%d:%d", d.name, at.line, at.column)
}

// failAt reports a mistake at a place. The parser's places are not always in
// the document, ours are.
func (d *document) failAt(at place, message, hint string) {
	line := max(1, min(at.line, len(d.lines)))
	source := d.lines[line-1]
	column := max(1, min(at.column, utf8.RuneCountInString(source)+1))
	d.mistakes = append(d.mistakes, &Error{
		File: d.name, Line: line, Column: column, Message: message, Hint: hint, Source: source,
	})
}

// fail reports a mistake about a path. More about the same path would be noise.
func (d *document) fail(p *path, message, hint string) {
	if d.bad[p.String()] {
		return
	}
	d.spoil(p)
	if variable := d.from[p.String()]; variable != "" {
		d.mistakes = append(d.mistakes, &Error{File: variable, Message: message, Hint: hint})
		return
	}
	d.failAt(d.find(p), message, hint)
}

// spoil says that a mistake about the path was reported, so that what follows
// from it is not.
func (d *document) spoil(p *path) { d.bad[p.String()] = true }

// sound tells whether nothing was said about any of the paths.
func (d *document) sound(paths ...*path) bool {
	for _, p := range paths {
		if d.bad[p.String()] {
			return false
		}
	}
	return true
}

// verdict is the error of a document, nil for one without mistakes.
func (d *document) verdict() error {
	if len(d.mistakes) == 0 {
		return nil
	}
	return d.mistakes.sorted()
}

// checkUTF8 reports the first bytes that are no text.
func (d *document) checkUTF8() {
	for i, line := range d.lines {
		if !utf8.ValidString(line) {
			good := strings.IndexFunc(line, func(r rune) bool { return r == utf8.RuneError })
			d.lines[i] = strings.ToValidUTF8(line, "\uFFFD")
			d.failAt(place{i + 1, utf8.RuneCountInString(line[:good]) + 1}, "not a text: this is not UTF-8", "")
			return
		}
	}
}
