package config

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// A Fragment is a piece of configuration in a layer over the file: a value and
// where it goes.
type Fragment struct {
	// Layer it belongs to, as explain calls it: consul, override. Fragments of a
	// later layer go before those of an earlier one; within one layer nothing
	// may be said twice.
	Layer string
	// Name of it in messages.
	Name string
	// Path of keys to the value. It ends at a block or a value; under routes,
	// with a name of its own, at one route more.
	Path []string
	// Text of the value, YAML without ${...} and include.
	Text string
}

// OverrideLayer is the Layer of what operators have put over all others.
const OverrideLayer = "override"

// Refused is a Fragment that a Config does without, because with it there would
// be none.
type Refused struct {
	// What is the Fragment's name.
	What string
	// Layer it belongs to.
	Layer string
	// Reason is for a person, with the places in the Fragment.
	Reason string
	// Mistakes are the reason in parts.
	Mistakes Errors
}

// maxFragment is what Consul takes as one value.
const maxFragment = 512 << 10

// With builds the Config of the files and what is over them, in this order. A
// Fragment with which there would be no Config is left out: one bad entry costs
// one entry. An error is of the files alone.
func (f *Files) With(over []Fragment) (*Config, error) {
	var refused []Refused
	over = slices.Clone(over)
	for {
		cfg, err := f.build(over)
		if err == nil {
			cfg.Refused = refused
			return cfg, nil
		}
		var mistakes Errors
		if len(over) == 0 || !errors.As(err, &mistakes) {
			return nil, err
		}
		blamed := blame(mistakes)
		if len(blamed) == 0 {
			if _, alone := f.build(nil); alone != nil {
				return nil, alone
			}
			blamed = map[string]Errors{over[f.breaks(over)].Name: mistakes}
		}
		over = slices.DeleteFunc(over, func(o Fragment) bool {
			why, bad := blamed[o.Name]
			if bad {
				refused = append(refused, Refused{o.Name, o.Layer, reasonOf(why), why})
			}
			return bad
		})
	}
}

// blame finds the Fragments in which mistakes are.
func blame(mistakes Errors) map[string]Errors {
	by := map[string]Errors{}
	for _, e := range mistakes {
		if e.in != nil && e.in.fragment != nil {
			name := e.in.fragment.Name
			by[name] = append(by[name], e)
		}
	}
	return by
}

// breaks finds the first Fragment with which what the files say no longer holds.
func (f *Files) breaks(over []Fragment) int {
	i := sort.Search(len(over)-1, func(i int) bool {
		_, err := f.build(over[:i+1])
		var mistakes Errors
		return errors.As(err, &mistakes) && len(blame(mistakes)) == 0
	})
	return i
}

// reasonOf is mistakes on one line. The place in a value of one line would only
// be in the way.
func reasonOf(mistakes Errors) string {
	texts := make([]string, len(mistakes))
	for i, e := range mistakes {
		texts[i] = e.Message
		if e.Hint != "" {
			texts[i] += "; " + e.Hint
		}
		switch {
		case e.in == nil || e.in.fragment == nil:
			texts[i] = fmt.Sprintf("with it %s:%d:%d: %s", e.File, e.Line, e.Column, texts[i])
		case len(e.in.lines) > 1:
			texts[i] = fmt.Sprintf("%d:%d: %s", e.Line, e.Column, texts[i])
		}
	}
	return strings.Join(texts, ". ")
}

// overlay puts a Fragment over a tree and returns the tree that comes of it.
func (d *document) overlay(top *node, over *Fragment) *node {
	text := cleaned([]byte(over.Text))
	src := d.add(newSource(over.Name, d.main().base, text))
	src.layer, src.fragment = over.Layer, over
	o := overlayer{d, src}
	if !o.allowed(over) {
		return top
	}
	value := d.tree(src, text)
	if value == nil || !o.once(nil, value) {
		return top
	}
	if value.kind == null && isBlank(text) {
		d.failAt(src.start(), "is empty", "say null to go back to the default")
		return top
	}
	at := src.start()
	route := len(over.Path) == 2 && over.Path[0] == "routes"
	path := over.Path
	if route {
		path = path[:1]
		if value.kind != list {
			value = &node{kind: list, at: value.at, items: []*node{value}}
		}
	}
	if !o.hasParents(top, path) {
		return top
	}
	for _, key := range slices.Backward(path) {
		value = &node{kind: mapping, at: at, entries: []entry{{key, at, value}}}
	}
	if at, name := firstOf(value, onlyInFiles); name != "" {
		d.failAt(at, fmt.Sprintf("%q can only be said in a file: it says what runs on this machine", name), "")
		return top
	}
	return o.merged(nil, top, value, route)
}

// isBlank tells whether a text has nothing but comments in it.
func isBlank(text string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}

// An overlayer puts one source over a tree.
type overlayer struct {
	*document
	src *source
}

// overable are the blocks that a layer over the file may speak about. The rest
// is about this one weir: where it listens, whom it believes, what it runs.
func overable() []string {
	return []string{"functions", "routes", "regions", "failover", "geography", "defaults", "cold_start"}
}

// allowed tells whether a Fragment may be at all.
func (o overlayer) allowed(over *Fragment) bool {
	switch {
	case len(over.Text) > maxFragment:
		o.failAt(o.src.start(), fmt.Sprintf("is longer than %v", Size(maxFragment)), "")
	case len(over.Path) == 0 || slices.Contains(over.Path, ""):
		o.failAt(o.src.start(), "it has no path to a value", "say it as in functions/checkout/timeouts/request")
	case len(over.Path) > 16:
		o.failAt(o.src.start(), "its path is too long", "")
	case !slices.Contains(overable(), over.Path[0]):
		hint := didYouMean(over.Path[0], overable())
		if hint == "" {
			hint = "over the file there may be " + strings.Replace(either(overable()), " or ", " and ", 1)
		}
		o.failAt(o.src.start(), fmt.Sprintf("%q cannot be said here", over.Path[0]), hint)
	default:
		return true
	}
	return false
}

// hasParents refuses a part of what is not there: most likely a slip in its
// name. Of a region something may be said that only endpoints name.
func (o overlayer) hasParents(top *node, path []string) bool {
	if len(path) < 3 || !isNamed(path[0]) || path[0] == "regions" {
		return true
	}
	var known []string
	if block := top.child(path[0]); block != nil {
		if block.child(path[1]) != nil {
			return true
		}
		for _, e := range block.entries {
			known = append(known, e.name)
		}
	}
	hint := didYouMean(path[1], known)
	if hint == "" {
		hint = thereIs(known)
	}
	o.failAt(o.src.start(), fmt.Sprintf("%q is not under %s", path[1], path[0]), hint)
	return false
}

// isNamed tells whether the operator chooses the keys of a block.
func isNamed(key string) bool {
	want, parts := partsOf(key)
	return parts && want == mapping
}

// child is the value of a key; nil if there is none.
func (n *node) child(key string) *node {
	for i := range n.entries {
		if e := &n.entries[i]; e.name == key {
			return e.value
		}
	}
	return nil
}

// once refuses a key that is said twice in one value.
func (o overlayer) once(p *path, n *node) bool {
	before := len(o.mistakes)
	r := reader{document: o.document}
	r.once(p, n)
	for _, e := range n.entries {
		o.once(p, e.value)
	}
	for _, item := range n.items {
		o.once(p, item)
	}
	return len(o.mistakes) == before
}

// onlyInFiles are keys that name programs: whoever may write to a registry may
// not run what they like here.
func onlyInFiles(path []string) bool {
	return len(path) == 3 && path[0] == "functions" && path[2] == "process"
}

// firstOf returns the first key of a tree that fits.
func firstOf(n *node, fits func(path []string) bool) (at place, name string) {
	var walk func(n *node, path []string) bool
	walk = func(n *node, path []string) bool {
		for _, e := range n.entries {
			here := append(slices.Clip(path), e.name)
			if fits(here) {
				at, name = e.at, e.name
				return true
			}
			if len(here) < 3 && walk(e.value, here) {
				return true
			}
		}
		return false
	}
	walk(n, nil)
	return at, name
}

// merged is what there is with a value over it: mappings key by key, lists and
// plain values whole. With more, a list at the top is made longer.
func (o overlayer) merged(p *path, under, over *node, more bool) *node {
	if under == nil || under.kind == null && over.kind != null {
		return over
	}
	if more && over.kind == list && under.kind == list {
		out := *under
		out.items = append(slices.Clip(under.items), over.items...)
		return &out
	}
	if under.kind == mapping && over.kind != mapping { // nor is nothing: a function would be gone that way
		o.failAt(over.at, fmt.Sprintf("%s must be %s, not %s", p, mapping, over.kind), "")
		return under
	}
	if under.kind != mapping || over.kind != mapping {
		o.saidOnce(p, under, over)
		return over
	}
	out := *under
	out.entries = slices.Clone(under.entries)
	for _, e := range over.entries {
		i := slices.IndexFunc(out.entries, func(have entry) bool { return have.name == e.name })
		if i < 0 {
			out.entries = append(out.entries, e)
			continue
		}
		value := o.merged(p.key(e.name), out.entries[i].value, e.value, more)
		if value == e.value {
			out.entries[i].at = e.at
		}
		out.entries[i].value = value
	}
	return &out
}

// saidOnce refuses a value that another Fragment of the same layer has said.
func (o overlayer) saidOnce(p *path, under, over *node) {
	if was := under.at.in; was != o.src && was.layer == o.src.layer {
		o.failAt(over.at, fmt.Sprintf("%s is said already by %s", p, was.name), "take one of them out")
	}
}
