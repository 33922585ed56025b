package table

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"math/bits"
	"regexp"
	"slices"
	"strings"

	"github.com/weir-gateway/weir/config"
)

// A band is the routes of one host and one precedence.
//
// Among 100,000 routes a match costs what it takes to fetch the memory that it
// looks at: 150 ns for a word that is in no cache. So all that hosts with the same
// paths have in common is there once, in their plan, which the caches keep, and of
// a host's own there is little. A Route itself is not looked at.
type band struct {
	host   string // below which it is, if for a wildcard; empty for any
	plan   *plan
	routes []*Route // in their order; the plan tells them by their places
	next   *band    // of the same host, with the next lower precedence
}

// A plan says how a band is searched, and depends on nothing but the paths and
// the conditions of its routes. What is asked for most costs least: exact paths,
// templates and prefixes are looked up whole, at the depths and with the variables
// that occur; only regular expressions are gone through one by one.
type plan struct {
	precedence int
	depths     uint64 // bit n: there is a prefix of n segments; 0 is that of the prefix /
	exact      bool   // there are exact paths
	shapes     []shape
	tags       tags // of the first entries
	entries    []entry
	slots      []slot // of the entries that have no tag, open addressing; nil if all have
	regexes    []expression
}

// An entry is the routes that paths are looked up by the same key for.
type entry struct {
	key string // a path or its beginning, whole
	choice
}

// A choice is a route that is taken if its conditions hold.
type choice struct {
	conditions *conditions // nil: none
	route      int         // its place in the band
	next       *choice
}

// A slot is where an entry is found by its key.
type slot struct {
	hash uint32
	at   uint32 // in entries, from 1 on; 0: nobody is here
}

// Kinds of keys, which their hashes are mixed with.
const (
	exactKey uint64 = iota
	templateKey
	prefixKey
)

// A shape is the templates whose variables are in the same places. Where two
// shapes fit a path, the one that has a literal at the first place where they
// differ comes first.
type shape struct {
	segments  int
	variables uint32 // as in Route
}

// An expression is a route with a path_regex.
type expression struct {
	to      choice
	re      *regexp.Regexp
	literal []byte // what every path that matches begins with
}

// newBands makes the bands of a host from its routes, the one with the highest
// precedence first; nil if there are none. It puts routes in order.
func (p *parts) newBands(host string, routes []*Route) (first *band) {
	slices.SortFunc(routes, compare)
	for len(routes) > 0 { // from the lowest on
		n := len(routes)
		for n > 0 && routes[n-1].precedence == routes[len(routes)-1].precedence {
			n--
		}
		first = &band{host, p.planOf(routes[n:]), routes[n:], first}
		routes = routes[:n]
	}
	return first
}

// A findable is a route with the key and the kind of it.
type findable struct {
	kind  uint64
	key   string
	route int
	*Route
}

// newPlan makes the plan of a band's routes.
func (p *parts) newPlan(routes []*Route) *plan {
	to := &plan{precedence: routes[0].precedence}
	var all []findable
	for i, r := range routes {
		switch r.kind {
		case config.ExactPath:
			to.exact = true
			all = append(all, findable{exactKey, r.pattern, i, r})
		case config.TemplatePath:
			segments, variable := config.TemplateSegments(r.pattern)
			if sh := (shape{len(segments), r.variables}); !slices.Contains(to.shapes, sh) {
				to.shapes = append(to.shapes, sh)
			}
			all = append(all, findable{templateKey, keyOfTemplate(segments, variable), i, r})
		case config.RegexPath:
			to.express(findable{route: i, Route: r})
		case config.PrefixPath:
			to.depths |= 1 << strings.Count(r.pattern, "/")
			all = append(all, findable{prefixKey, r.pattern, i, r})
		}
	}
	slices.SortFunc(to.shapes, func(a, b shape) int { return cmp.Compare(a.variables, b.variables) })
	to.enter(p.seed, all)
	return to
}

func (p *plan) express(f findable) {
	re, err := config.CompilePattern(f.pattern)
	if err != nil {
		return // compile has refused it
	}
	literal, _ := regexp.MustCompile(f.pattern).LiteralPrefix()
	p.regexes = append(p.regexes, expression{choice{conditions: f.conditions, route: f.route}, re, []byte(literal)})
}

// enter lays out the routes that are looked up. Those with the same key stay in
// their order.
func (p *plan) enter(seed maphash.Seed, all []findable) {
	slices.SortStableFunc(all, func(a, b findable) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), strings.Compare(a.key, b.key))
	})
	var alike [][]findable
	for rest := all; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].kind == rest[0].kind && rest[n].key == rest[0].key {
			n++
		}
		alike, rest = append(alike, rest[:n]), rest[n:]
	}
	p.entries = make([]entry, len(alike))
	if n := len(alike) - tagged; n > 0 {
		p.slots = make([]slot, tableSize(n))
	}
	for i, those := range alike {
		p.entries[i] = entry{those[0].key, *chain(those)}
		hash := hashOf(seed, those[0].kind, []byte(those[0].key))
		if i < tagged {
			p.tags.set(i, hash)
			continue
		}
		at := hash
		for p.slots[at&uint64(len(p.slots)-1)].at != 0 {
			at++
		}
		p.slots[at&uint64(len(p.slots)-1)] = slot{uint32(hash >> 32), uint32(i + 1)}
	}
}

// chain makes a choice of routes in their order.
func chain(all []findable) (first *choice) {
	for _, f := range slices.Backward(all) {
		first = &choice{f.conditions, f.route, first}
	}
	return first
}

// hashOf tells a key's kind in the highest bits, which tags and slots have: with
// those and the key alike, the kind is too.
func hashOf(seed maphash.Seed, kind uint64, key []byte) uint64 {
	return maphash.Bytes(seed, key) + kind<<62
}

// tableSize is how many slots n things have: a power of two, and at least a
// quarter stays free.
func tableSize(n int) int { return 1 << bits.Len(uint(n+n/3)) }

// look finds the first route with the key whose conditions hold.
func (b *band) look(s *search, kind uint64, key []byte) *Route {
	p := b.plan
	hash := hashOf(s.seed, kind, key)
	for may := p.tags.like(hash); may != 0; may &= may - 1 {
		if i := bits.TrailingZeros16(may); i < len(p.entries) && p.entries[i].key == string(key) {
			return p.entries[i].first(s, b)
		}
	}
	if p.slots == nil {
		return nil
	}
	for at := hash; ; at++ {
		sl := p.slots[at&uint64(len(p.slots)-1)]
		if sl.at == 0 {
			return nil
		}
		if sl.hash == uint32(hash>>32) && p.entries[sl.at-1].key == string(key) {
			return p.entries[sl.at-1].first(s, b)
		}
	}
}

// anySegment stands for a variable's segment in the keys of templates. No path
// has it: an encoded NUL is refused, and a bare one is no character of a target.
const anySegment = 0

// keyOfTemplate is a template as paths are looked up in its shape. It tells the
// shape too.
func keyOfTemplate(segments []string, variable []bool) string {
	var key strings.Builder
	for i, s := range segments {
		key.WriteByte('/')
		if variable[i] {
			key.WriteByte(anySegment)
		} else {
			key.WriteString(s)
		}
	}
	return key.String()
}

// match finds the first route with a precedence over above.
func (b *band) match(s *search, above int) *Route {
	for ; b != nil && b.plan.precedence > above; b = b.next {
		if to := b.matchPath(s); to != nil {
			s.precedence = b.plan.precedence
			return to
		}
	}
	return nil
}

func (b *band) matchPath(s *search) *Route {
	if b.plan.exact {
		if to := b.look(s, exactKey, s.path); to != nil {
			return to
		}
	}
	if b.plan.shapes != nil {
		if to := b.matchTemplates(s); to != nil {
			return to
		}
	}
	for i := range b.plan.regexes {
		e := &b.plan.regexes[i]
		if bytes.HasPrefix(s.path, e.literal) && e.re.Match(s.path) {
			if to := e.to.first(s, b); to != nil {
				return to
			}
		}
	}
	if b.plan.depths != 0 {
		return b.matchPrefixes(s)
	}
	return nil
}

// segments are where those of a path end: the ends from 1 on of the first n.
type segments struct {
	n    int // 0: not looked at yet
	more bool
	ends [config.MaxSegments + 1]uint32
}

// of finds the segments of a path that begins with a slash, once for a call. They
// are too short for bytes.IndexByte to be worth its while.
func (g *segments) of(path []byte) {
	if g.n > 0 {
		return
	}
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		if g.n == config.MaxSegments {
			g.more = true
			return
		}
		g.n++
		g.ends[g.n] = uint32(i)
	}
	if g.n == config.MaxSegments {
		g.more = true
		return
	}
	g.n++
	g.ends[g.n] = uint32(len(path))
}

// matchPrefixes looks prefixes up whole, the deepest first, at the depths that
// occur: mostly one lookup. A tree of segments took one for each segment and
// 280 ns among 10,000 routes, this takes 120 (BenchmarkMatch, 2 vCPU AMD EPYC,
// 2026-11-23).
func (b *band) matchPrefixes(s *search) *Route {
	s.segments.of(s.path)
	depths := b.plan.depths & (1<<(s.segments.n+1) - 1)
	for depths != 0 {
		n := bits.Len64(depths) - 1
		depths &^= 1 << n
		if to := b.look(s, prefixKey, s.path[:s.segments.ends[n]]); to != nil {
			return to
		}
	}
	return nil
}

// matchTemplates looks the path up in each shape of its length, with the
// variables' segments blanked out.
func (b *band) matchTemplates(s *search) *Route {
	s.segments.of(s.path)
	if s.segments.more || s.path[0] != '/' {
		return nil
	}
	for i := range b.plan.shapes {
		sh := &b.plan.shapes[i]
		if sh.segments != s.segments.n {
			continue
		}
		var key [config.MaxTemplate]byte
		if k := sh.key(s.path, &s.segments, key[:0]); k != nil {
			if to := b.look(s, templateKey, k); to != nil {
				return to
			}
		}
	}
	return nil
}

// key is the path as it is looked up, appended to b; nil if no template is so
// long, or a variable would stand for nothing.
func (sh *shape) key(path []byte, g *segments, b []byte) []byte {
	for i := range sh.segments {
		segment := path[g.ends[i]+1 : g.ends[i+1]]
		switch variable := sh.variables&(1<<(31-i)) != 0; {
		case variable && len(segment) == 0 || len(b)+len(segment)+1 > cap(b) && !variable || len(b)+2 > cap(b):
			return nil
		case variable:
			b = append(b, '/', anySegment)
		default:
			b = append(append(b, '/'), segment...)
		}
	}
	return b
}

// first is the first route of the band whose conditions hold.
func (c *choice) first(s *search, b *band) *Route {
	for ; c != nil; c = c.next {
		if c.conditions == nil || s.meets(c.conditions) {
			return b.routes[c.route]
		}
	}
	return nil
}
