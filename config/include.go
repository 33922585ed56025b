package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Patterns are names of files, in which *, ? and [ ] stand for others (Go's
// path/filepath.Match). In YAML one text, or a list of them.
type Patterns []string

// A disk is where included files are. A document that has none includes nothing.
type disk struct {
	glob func(pattern string) ([]string, error)
	read func(name string) ([]byte, error)
}

func realDisk() disk {
	return disk{filepath.Glob, func(name string) ([]byte, error) { return readRegular(name, maxDocument) }}
}

// A gatherer reads the files that a document includes and joins their trees
// with its own.
type gatherer struct {
	*document
	env      lookup
	disk     disk
	read     map[string]place // which file was included where, by what it is
	files    []string         // what was read, as absolute names
	patterns []string         // what was looked for, as absolute ones
	texts    [][]byte
	room     int // bytes that may still be read
}

// gather returns the tree of a document with all that it includes. chain are
// the files that lead to it.
func (g *gatherer) gather(src *source, top *node, chain []string) *node {
	if top.kind != mapping {
		return top
	}
	for _, e := range top.entries {
		if e.name != "include" {
			continue
		}
		for _, n := range g.wanted(e.value) {
			for _, name := range g.matches(src, n) {
				if more := g.file(src, n, name, chain); more != nil {
					top = g.joined(top, more)
				}
			}
		}
	}
	return top
}

// wanted are the texts of an include.
func (g *gatherer) wanted(n *node) []*node {
	switch n.kind {
	case text:
		return []*node{n}
	case list:
		items := make([]*node, 0, len(n.items))
		for _, item := range n.items {
			items = append(items, g.wanted(item)...)
		}
		return items
	case null:
	default:
		g.failAt(n.at, fmt.Sprintf("include must be the name of a file, or a list of them, not %s", n.kind), "")
	}
	return nil
}

// matches returns the names of the files that a text of an include stands for,
// absolute and in order. A pattern may have none, and yet its folder be filled
// tomorrow; a plain name that is not there is a slip.
func (g *gatherer) matches(src *source, n *node) []string {
	sound := true
	pattern := expand(n.text, g.env, func(_, message, hint string) {
		sound = false
		g.failAt(n.at, message, hint)
	})
	if !sound {
		return nil
	}
	if pattern == "" || strings.ContainsRune(pattern, 0) {
		g.failAt(n.at, fmt.Sprintf("include is not the name of a file: %q", pattern), "")
		return nil
	}
	if g.disk.glob == nil {
		g.failAt(n.at, "include is only for files", "say it in the configuration file")
		return nil
	}
	whole := absolute(src.base, pattern)
	if !strings.ContainsAny(pattern, `*?[\`) {
		return []string{whole}
	}
	g.patterns = append(g.patterns, whole)
	found, err := g.disk.matches(whole)
	if err != nil {
		g.failAt(n.at, fmt.Sprintf("include is a broken pattern: %q", pattern), "a [ needs its ]")
		return nil
	}
	if len(found) == 0 {
		g.warn(n.at, fmt.Sprintf("no file matches include %q", pattern))
	}
	slices.Sort(found)
	return found
}

// matches returns what there is for a pattern, as a shell does: what begins with a
// dot is an editor's, or a volume's.
func (d disk) matches(pattern string) ([]string, error) {
	found, err := d.glob(pattern)
	if !strings.HasPrefix(filepath.Base(pattern), ".") {
		found = slices.DeleteFunc(found, func(name string) bool { return strings.HasPrefix(filepath.Base(name), ".") })
	}
	return found, err
}

// file reads one included file with all that it includes itself; nil if it
// cannot be had.
func (g *gatherer) file(from *source, n *node, name string, chain []string) *node {
	shown := shownFrom(from, name)
	refuse := func(hint, format string, args ...any) *node {
		g.failAt(n.at, fmt.Sprintf("cannot include %q: ", shown)+fmt.Sprintf(format, args...), hint)
		return nil
	}
	is := identity(name)
	if slices.Contains(chain, is) {
		return refuse("put what is included into a folder of its own, as in conf.d/*.yaml", "it includes itself, directly or by others")
	}
	if at, twice := g.read[is]; twice {
		return refuse("once is enough", "it is included already at %s", at)
	}
	g.read[is] = n.at
	doc, err := g.disk.read(name)
	if err != nil {
		return refuse("", "%v", err)
	}
	g.files = append(g.files, name)
	g.texts = append(g.texts, doc)
	if g.room -= len(doc); g.room < 0 {
		return refuse("", "all files together are longer than %v", Size(maxDocument))
	}
	text := cleaned(doc)
	src := g.add(newSource(shown, filepath.Dir(name), text))
	top := g.tree(src, text)
	if top == nil {
		return nil
	}
	if top.kind != mapping && top.kind != null {
		g.failAt(top.at, fmt.Sprintf("a configuration must be a mapping, not %s", top.kind), "")
		return nil
	}
	return g.gather(src, top, append(slices.Clone(chain), is))
}

// tree reads the YAML of a source; nil if there is a mistake in it.
func (d *document) tree(src *source, text string) *node {
	if at, found := src.notText(); found {
		d.failAt(at, "not a text: this is not UTF-8", "")
		return nil
	}
	if n := quotedText(src, text); n != nil {
		return n
	}
	before := len(d.mistakes)
	top := readYAML(src, text, d.failAt)
	if top == nil {
		d.hintAtBraces(before)
	}
	return top
}

// shownFrom names an included file the way that the including one was named.
func shownFrom(from *source, name string) string {
	if filepath.IsAbs(from.name) {
		return name
	}
	rel, err := filepath.Rel(from.base, name)
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(from.name), rel)
}

// identity is the same for two names of one file.
func identity(name string) string {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		return real
	}
	return name
}

// joined is a document with another one's entries behind its own. Mappings
// whose keys the operator chose are joined by these, lists by their items. What
// then is there twice is a mistake like any other that is.
func (g *gatherer) joined(to, from *node) *node {
	out := *to
	out.entries = slices.Clone(to.entries)
	for _, e := range from.entries {
		at := slices.IndexFunc(out.entries, func(have entry) bool { return have.name == e.name })
		want, parts := partsOf(e.name)
		switch {
		case e.name == "include":
		case parts && e.value.kind == null: // all of it commented out
		case parts && e.value.kind != want:
			g.failAt(e.value.at, fmt.Sprintf("%s must be %s, not %s", e.name, want, e.value.kind), "")
		case at < 0:
			out.entries = append(out.entries, e)
		case parts && out.entries[at].value.kind == null:
			out.entries[at] = e
		case parts && out.entries[at].value.kind == want:
			value := *out.entries[at].value
			value.entries = append(slices.Clip(value.entries), e.value.entries...)
			value.items = append(slices.Clip(value.items), e.value.items...)
			out.entries[at].value = &value
		case e.name == "version" && e.value.text == out.entries[at].value.text:
		default:
			out.entries = append(out.entries, e)
		}
	}
	return &out
}

// partsOf tells whether what a key at the top holds may stand in several files,
// and what it has to be there.
func partsOf(key string) (want kind, parts bool) {
	want, parts = inParts()[key]
	return want, parts
}

// inParts are the keys at the top that may stand in several files.
var inParts = sync.OnceValue(func() map[string]kind {
	keys, t := map[string]kind{}, reflect.TypeFor[Config]()
	for i := range t.NumField() {
		switch key := t.Field(i).Tag.Get("yaml"); t.Field(i).Type.Kind() {
		case reflect.Map:
			keys[key] = mapping
		case reflect.Slice:
			keys[key] = list
		}
	}
	delete(keys, "include")
	return keys
})

// patternsIn are the texts of an include as they stand in the file.
func patternsIn(n *node) (out Patterns) {
	if n.kind == text {
		return Patterns{n.text}
	}
	for _, item := range n.items {
		out = append(out, patternsIn(item)...)
	}
	return out
}
