package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A node is one value of the document, with its place: all of YAML that the
// rest of the package knows.
type node struct {
	kind    kind
	quoted  bool // text in quotes or in a block, never a number
	at      place
	text    string // of a scalar, as it was written or as its quotes mean it
	items   []*node
	entries []entry
}

// An entry of a mapping.
type entry struct {
	name  string
	at    place
	value *node
}

// A place in a source; in characters, from 1.
type place struct {
	in           *source
	line, column int32 // half of a word each: there are as many places as values
}

type kind uint8

const (
	null kind = iota
	text
	number
	truth
	list
	mapping
)

// String is what a message calls it.
func (k kind) String() string {
	switch k {
	case null:
		return "nothing"
	case text:
		return "a text"
	case number:
		return "a number"
	case truth:
		return "true or false"
	case list:
		return "a list"
	case mapping:
		return "a mapping"
	}
	panic("BUG: a node without a kind")
}

// maxDepth of nesting. The configuration needs 7; the parser's recursion, and
// with it the stack, has to end somewhere.
const maxDepth = 100

// readYAML reads the one document in text, which is what src says. What it
// cannot read it reports to fail; after a syntax error there is no node.
func readYAML(src *source, text string, fail func(at place, message, hint string)) (top *node) {
	// The parser has crashed on odd documents before; a reload must survive it.
	defer func() {
		if crash := recover(); crash != nil {
			fail(src.start(), fmt.Sprintf("not valid YAML: the parser gave up: %v", crash), "")
			top = nil
		}
	}()
	tokens := lexer.Tokenize(text)
	if at := tooDeep(tokens); at != nil {
		fail(src.place(at), "nested too deeply", "")
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		failSyntax(src, err, fail)
		return nil
	}
	y := yamlReader{src, fail, map[string]*node{}}
	return y.documents(file)
}

// quotedText is what readYAML makes of a text in double quotes, such as most overrides
// are, without the parser; nil if it is anything else.
func quotedText(src *source, doc string) *node {
	last := len(doc) - 1
	if last < 1 || doc[0] != '"' || doc[last] != '"' {
		return nil
	}
	for _, c := range []byte(doc[1:last]) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return nil
		}
	}
	return &node{kind: text, quoted: true, at: src.start(), text: doc[1:last]}
}

// tooDeep returns the token that nests too deeply, if one does. Indentation
// needs no bound: a level costs more bytes than the one before.
func tooDeep(tokens token.Tokens) *token.Token {
	flow, run, line := 0, 0, 0
	for _, t := range tokens {
		before := line
		line = t.Position.Line
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
			run = 0
		case token.SequenceEndType, token.MappingEndType:
			flow--
			run = 0
		case token.TagType, token.AnchorType:
			run++
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			if line != before {
				run = 0 // a neighbour, not a child
			}
			run++ // "- - -", "? ? ?" nest without indentation
		default:
			run = 0
		}
		if flow > maxDepth || run > maxDepth {
			return t
		}
	}
	return nil
}

func failSyntax(src *source, err error, fail func(at place, message, hint string)) {
	at, message := src.start(), err.Error()
	var syntax yaml.Error
	if errors.As(err, &syntax) {
		at, message = src.place(syntax.GetToken()), syntax.GetMessage()
	}
	hint := ""
	switch {
	case strings.Contains(message, "\t"):
		message, hint = "a tab where only spaces may be", "indent with spaces"
	case strings.Contains(message, "mapping value is not allowed"):
		hint = `look at the indentation; a text with ": " in it needs quotes`
	case strings.Contains(message, "value is not allowed"):
		hint = "look at the indentation"
	}
	fail(at, "not valid YAML: "+message, hint)
}

// place is where a token is.
func (s *source) place(t *token.Token) place {
	if t == nil || t.Position == nil {
		return s.start()
	}
	return place{s, int32(t.Position.Line), int32(t.Position.Column)}
}

type yamlReader struct {
	src     *source
	fail    func(at place, message, hint string)
	anchors map[string]*node
}

func (y yamlReader) documents(file *ast.File) *node {
	top := &node{kind: null, at: y.src.start()}
	seen := false
	for _, doc := range file.Docs {
		if _, directive := doc.Body.(*ast.DirectiveNode); directive || doc.Body == nil {
			continue
		}
		if seen {
			y.fail(y.src.place(start(doc.Body)), "a second document", "a configuration is one document: take out the ---")
			break
		}
		top, seen = y.value(doc.Body), true
	}
	return top
}

// start is the first token of a node; a mapping's own is its first colon.
func start(n ast.Node) *token.Token {
	if n == nil {
		return nil
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	}
	return n.GetToken()
}

// value turns a node of the parser into ours. An alias becomes the very node
// of its anchor, which is known only once it is complete: no circles.
func (y yamlReader) value(n ast.Node) *node {
	at := y.src.place(start(n))
	scalar := func(k kind) *node { return &node{kind: k, at: at, text: n.GetToken().Value} }
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return &node{kind: null, at: at}
	case *ast.StringNode:
		quoted := n.Token.Type == token.SingleQuoteType || n.Token.Type == token.DoubleQuoteType
		return &node{kind: text, at: at, text: n.Value, quoted: quoted}
	case *ast.LiteralNode:
		return &node{kind: text, at: at, text: n.Value.Value, quoted: true}
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return scalar(number)
	case *ast.BoolNode:
		return scalar(truth)
	case *ast.SequenceNode:
		return y.list(n, at)
	case *ast.MappingNode:
		return y.mapping(n.Values, at)
	case *ast.MappingValueNode:
		return y.mapping([]*ast.MappingValueNode{n}, at)
	case *ast.AnchorNode:
		value := y.value(n.Value)
		y.anchors[nameOf(n.Name)] = value
		return value
	case *ast.AliasNode:
		if value := y.anchors[nameOf(n.Value)]; value != nil {
			return value
		}
		y.fail(at, fmt.Sprintf("no anchor &%s before its alias", nameOf(n.Value)), `a text that begins with * needs quotes`)
	case *ast.TagNode:
		y.fail(at, "a tag, "+n.GetToken().Value, `weir knows no tags; a text that begins with ! needs quotes`)
	default:
		y.fail(at, "a value that weir cannot read", "")
	}
	return &node{kind: null, at: at}
}

func (y yamlReader) list(n *ast.SequenceNode, at place) *node {
	out := &node{kind: list, at: at, items: make([]*node, 0, len(n.Values))}
	for _, item := range n.Values {
		out.items = append(out.items, y.value(item))
	}
	return out
}

func (y yamlReader) mapping(values []*ast.MappingValueNode, at place) *node {
	out := &node{kind: mapping, at: at, entries: make([]entry, 0, len(values))}
	for _, v := range values {
		at := y.src.place(v.Key.GetToken())
		switch v.Key.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
			out.entries = append(out.entries, entry{v.Key.GetToken().Value, at, y.value(v.Value)})
		case *ast.MergeKeyNode:
			y.fail(at, "a merge key, <<", "weir knows no merge keys; an alias stands for a whole value")
		default:
			y.fail(at, "a key that is not a plain name", "")
		}
	}
	return out
}

func nameOf(n ast.Node) string {
	if n == nil || n.GetToken() == nil {
		return ""
	}
	return n.GetToken().Value
}
