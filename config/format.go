package config

import (
	"errors"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Format returns a document in the one form in which it is indented: two spaces
// for each level, lists below their key, no spaces at the ends of lines, no two
// empty lines in a row, one line end at the end. It changes white space between
// lines only, so what it means stays, and comments stay where they are.
//
// Formatting twice is formatting once. What is no YAML is refused with its place.
func Format(name string, doc []byte) ([]byte, error) {
	text := cleaned(doc)
	src := newSource(name, folder(name), text)
	d := newDocument(src)
	before := d.tree(src, text)
	if before == nil {
		return nil, d.verdict()
	}
	// The parser's places are sometimes off, and then a pass leaves something to
	// the next.
	const passes = 5
	for range passes {
		out, after := formatOnce(text)
		if after == nil || !sameTree(before, after) || words(out) != words(text) {
			break // better not formatted than another configuration
		}
		if out == text {
			return []byte(out), nil
		}
		text = out
	}
	return nil, errors.New("cannot format " + name + " without changing what it means; please indent it by hand")
}

// formatOnce formats a text that can be read, and reads what comes of it.
func formatOnce(text string) (string, *node) {
	tokens := lexer.Tokenize(text)
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return "", nil
	}
	f := &formatter{lines: strings.Split(text, "\n"), margins: map[int]margin{}}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			f.node(doc.Body, 0)
		}
	}
	f.flows(tokens)
	out := f.text()
	again := newDocument(newSource("", "", out))
	return out, again.tree(again.main(), out)
}

// words are what formatting leaves alone, comments among them.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }

// A margin is how a line begins.
type margin struct {
	indent int
	flow   bool // it is inside [ ] or { }
	raw    bool // it is inside a text: shift it, and leave the rest alone
	shift  int
}

// A formatter finds the margins of all lines that begin something.
type formatter struct {
	lines   []string
	margins map[int]margin // by line, from 1
}

// begin says how the line of a token begins, if the token is the first on it.
func (f *formatter) begin(t *token.Token, indent int) {
	if t == nil || t.Position == nil {
		return
	}
	line := t.Position.Line
	if line < 1 || line > len(f.lines) {
		return
	}
	text := f.lines[line-1]
	if len(text)-len(strings.TrimLeft(text, " ")) == t.Position.Column-1 {
		if _, known := f.margins[line]; !known {
			f.margins[line] = margin{indent: indent}
		}
	}
}

// node finds the margins of a block; whatever is in flow style is left to flows.
func (f *formatter) node(n ast.Node, indent int) {
	switch n := n.(type) {
	case *ast.MappingNode:
		if n.IsFlowStyle {
			f.begin(n.GetToken(), indent)
			return
		}
		for _, v := range n.Values {
			f.entry(v, indent)
		}
	case *ast.MappingValueNode:
		f.entry(n, indent)
	case *ast.SequenceNode:
		if n.IsFlowStyle {
			f.begin(n.GetToken(), indent)
			return
		}
		for _, e := range n.Entries {
			f.begin(e.Start, indent)
			f.node(e.Value, indent+2)
		}
	case *ast.AnchorNode:
		f.begin(n.GetToken(), indent)
		f.node(n.Value, indent)
	case *ast.TagNode:
		f.begin(n.GetToken(), indent)
		f.node(n.Value, indent)
	case *ast.LiteralNode:
		f.literal(n, indent)
	case nil, *ast.NullNode:
	default:
		f.begin(n.GetToken(), indent)
	}
}

func (f *formatter) entry(v *ast.MappingValueNode, indent int) {
	f.begin(v.Key.GetToken(), indent)
	f.node(v.Value, indent+2)
}

// literal shifts the lines of a | or > so that the first begins at the
// indentation.
func (f *formatter) literal(n *ast.LiteralNode, indent int) {
	if n.Start == nil || n.Start.Position == nil {
		return
	}
	from := n.Start.Position.Line + 1
	header := f.lines[n.Start.Position.Line-1]
	explicit := strings.ContainsAny(header[min(len(header), max(0, n.Start.Position.Column-1)):], "123456789")
	shift, found := 0, false
	outer := f.indentOf(n.Start.Position.Line)
	for line := from; line <= len(f.lines); line++ {
		text := f.lines[line-1]
		if strings.TrimSpace(text) == "" {
			f.margins[line] = margin{raw: true, shift: shift}
			continue
		}
		at := len(text) - len(strings.TrimLeft(text, " "))
		if at <= outer {
			break
		}
		if !found {
			shift, found = indent-at, true
			if explicit {
				shift = 0
			}
		}
		f.margins[line] = margin{raw: true, shift: shift}
	}
}

// indentOf is how far a line that holds the beginning of an entry is indented,
// as it was written.
func (f *formatter) indentOf(line int) int {
	text := f.lines[line-1]
	at := len(text) - len(strings.TrimLeft(text, " -"))
	if dash := strings.LastIndex(text[:at], "-"); dash >= 0 {
		return dash
	}
	return at
}

// flows finds the margins of lines inside [ ] and { }, and of the further lines
// of a text.
func (f *formatter) flows(tokens token.Tokens) {
	depth, base, last := 0, 0, 0
	for _, t := range tokens {
		if t.Position == nil {
			continue
		}
		line := t.Position.Line
		closes := t.Type == token.SequenceEndType || t.Type == token.MappingEndType
		if depth > 0 && line != last {
			indent := base + 2*depth
			if closes {
				indent -= 2
			}
			f.begin(t, indent)
			if m, ok := f.margins[line]; ok {
				m.flow = true
				f.margins[line] = m
			}
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			if depth == 0 {
				base = f.newIndent(line)
			}
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth = max(0, depth-1)
		}
		last = line
	}
}

// newIndent is how far the line that something begins on will be indented; in a
// list, to behind the dashes.
func (f *formatter) newIndent(line int) int {
	for ; line > 0; line-- {
		if m, ok := f.margins[line]; ok && !m.raw {
			dashes, _ := cutDashes(strings.TrimLeft(f.lines[line-1], " "))
			return m.indent + 2*dashes
		}
	}
	return 0
}

// text puts the lines together.
func (f *formatter) text() string {
	var out []string
	for i, line := range f.lines {
		m, known := f.margins[i+1]
		body := strings.Trim(line, " ")
		switch {
		case known && m.raw:
			out = append(out, shifted(line, m.shift))
			continue
		case body == "":
			if len(out) == 0 || out[len(out)-1] == "" {
				continue // the first, or a second in a row
			}
		case known:
			dashes, rest := cutDashes(body)
			body = strings.Repeat(" ", m.indent) + strings.Repeat("- ", dashes) + rest
		case strings.HasPrefix(body, "#"):
			body = strings.Repeat(" ", f.commentIndent(i+1)) + body
		default:
			body = line // the further lines of a text: what they mean may depend on their spaces
		}
		out = append(out, strings.TrimRight(body, " \t"))
	}
	for len(out) > 0 && strings.TrimSpace(out[len(out)-1]) == "" {
		out = out[:len(out)-1]
	}
	return strings.Join(out, "\n") + "\n"
}

// cutDashes takes the dashes of lists from the beginning of a line.
func cutDashes(text string) (dashes int, rest string) {
	for text == "-" || strings.HasPrefix(text, "- ") {
		dashes++
		text = strings.TrimLeft(text[1:], " ")
	}
	return dashes, text
}

func shifted(line string, by int) string {
	if by >= 0 {
		if strings.TrimSpace(line) == "" {
			return line
		}
		return strings.Repeat(" ", by) + line
	}
	spaces := len(line) - len(strings.TrimLeft(line, " "))
	return line[min(-by, spaces):]
}

// commentIndent puts a comment where what it stood in line with has gone: the
// next line mostly, the nearest one before that is no further right at the end of
// a block.
func (f *formatter) commentIndent(line int) int {
	at := f.columnOf(line)
	next, hasNext := f.neighbour(line, 1)
	if hasNext && f.columnOf(next) >= at {
		return f.margins[next].indent
	}
	for before, ok := f.neighbour(line, -1); ok; before, ok = f.neighbour(before, -1) {
		switch column := f.columnOf(before); {
		case column == at:
			return f.margins[before].indent
		case column < at:
			return f.margins[before].indent + 2
		}
	}
	return 0
}

// neighbour is the nearest line in a direction that begins something of a block.
func (f *formatter) neighbour(line, step int) (int, bool) {
	for line += step; line >= 1 && line <= len(f.lines); line += step {
		if m, ok := f.margins[line]; ok && !m.raw && !m.flow {
			return line, true
		}
	}
	return 0, false
}

func (f *formatter) columnOf(line int) int {
	return len(f.lines[line-1]) - len(strings.TrimLeft(f.lines[line-1], " "))
}

// sameTree tells whether two documents say the same, wherever.
func sameTree(a, b *node) bool {
	if a.kind != b.kind || a.text != b.text || a.quoted != b.quoted || len(a.items) != len(b.items) || len(a.entries) != len(b.entries) {
		return false
	}
	for i := range a.items {
		if !sameTree(a.items[i], b.items[i]) {
			return false
		}
	}
	for i := range a.entries {
		if a.entries[i].name != b.entries[i].name || !sameTree(a.entries[i].value, b.entries[i].value) {
			return false
		}
	}
	return true
}
