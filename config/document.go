package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A document collects, while it is read, where everything is and what is wrong.
type document struct {
	sources  []*source         // the file itself first
	said     map[string]said   // where values are, by path; of mappings and lists their key's place
	from     map[string]string // paths whose value came from this environment variable
	bad      map[string]bool   // paths about which something was said
	mistakes Errors
	warnings []string // what is possible but hardly meant

	ground *based   // what of it is not here, is there; nil: nothing
	anew   []string // paths whose values are here alone
}

// said is where something is said, and whether that is not null.
type said struct {
	at    place
	given bool
}

// newDocument makes a document of sources, the file itself first.
func newDocument(sources ...*source) *document {
	return &document{
		sources: sources,
		said:    map[string]said{},
		from:    map[string]string{},
		bad:     map[string]bool{},
	}
}

// add makes a further text a source of the document.
func (d *document) add(s *source) *source {
	s.rank = len(d.sources)
	d.sources = append(d.sources, s)
	return s
}

// main is the file itself.
func (d *document) main() *source { return d.sources[0] }

// note remembers where the value of a path is.
func (d *document) note(p *path, at place, given bool) {
	d.said[p.String()] = said{at, given}
}

// place returns where the value of a path is.
func (d *document) place(path string) (at place, ok bool) {
	what, ok := d.look(path)
	return what.at, ok
}

// isGiven tells whether there is a value at a path, and it is not null.
func (d *document) isGiven(path string) bool {
	what, _ := d.look(path)
	return what.given
}

func (d *document) look(path string) (what said, ok bool) {
	if what, ok = d.said[path]; !ok && d.looksBelow(path) {
		what, ok = d.ground.document.said[path]
	}
	return what, ok
}

// variable is the environment variable from which the value of a path came.
func (d *document) variable(path string) string {
	name, ok := d.from[path]
	if !ok && d.looksBelow(path) {
		name = d.ground.document.from[path]
	}
	return name
}

func (d *document) looksBelow(path string) bool {
	if d.ground == nil || d.ground.document == d {
		return false
	}
	for _, own := range d.anew {
		if rest, inside := strings.CutPrefix(path, own); inside && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return false
		}
	}
	return true
}

// find returns the place of a path or, if it is not in the document, of the
// nearest thing around it that is.
func (d *document) find(p *path) place {
	for ; p != nil; p = p.up {
		if at, ok := d.place(p.String()); ok {
			return at
		}
	}
	return d.main().start()
}

// where is find for a message about another place.
func (d *document) where(p *path) string { return d.find(p).String() }

// base is the folder that the value of a path is relative to, if it names a
// file.
func (d *document) base(p *path) string { return d.find(p).in.base }

// failAt reports a mistake at a place. The parser's places are not always in
// the document, ours are.
func (d *document) failAt(at place, message, hint string) {
	line := max(1, min(int(at.line), len(at.in.lines)))
	text := at.in.line(line)
	column := max(1, min(int(at.column), utf8.RuneCountInString(text)+1))
	d.mistakes = append(d.mistakes, &Error{
		File: at.in.name, Line: line, Column: column, Message: message, Hint: hint, Source: text, in: at.in,
	})
}

// fail reports a mistake about a path. More about the same path would be noise.
func (d *document) fail(p *path, message, hint string) {
	if d.bad[p.String()] {
		return
	}
	d.spoil(p)
	if variable := d.variable(p.String()); variable != "" {
		d.mistakes = append(d.mistakes, &Error{File: variable, Message: message, Hint: hint})
		return
	}
	d.failAt(d.find(p), message, hint)
}

// warn tells of what is possible at a place, but hardly meant.
func (d *document) warn(at place, message string) {
	d.warnings = append(d.warnings, fmt.Sprintf("%s: %s", at, message))
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
