package table

import (
	"cmp"
	"hash/maphash"
	"math/bits"
	"regexp"
	"slices"
	"strings"

	"github.com/weir-gateway/weir/config"
)

// A layout is where the routes of a router lie.
//
// Among 100,000 routes a match costs what it takes to fetch the memory that it
// looks at: 150 ns for a word that is in no cache, where the address of the next
// is known only from the one before. So a match looks at few places, and at those
// of a host at once: the slot of the host says where all of them are. What hosts
// with the same paths have in common is there once. A Route itself is not looked
// at.
//
// Decision, 2026-11-26: before, a slot led to a band, that to its plan, that to an
// entry, and that to its text, each made by itself: 1,170 ns where 10,000 hosts
// have paths of their own (bench/RESULTS.md).
type layout struct {
	texts  string   // the names of hosts and the keys of paths
	plans  []plan   // from 1 on
	routes []*Route // of band after band, as its plan has them in order
	shapes [][]shape
	below  map[uint32]band // of the same host, with the next lower precedence, by the routes of the one above
}

// A band is the routes of one host and one precedence.
type band struct {
	plan   uint32 // in plans, which of them a search goes by; 0: there is no band
	routes uint32 // in routes, where its own begin
}

// A plan says how a band is searched, and depends on nothing but the paths and
// the conditions of its routes. What is asked for most costs least: exact paths,
// templates and prefixes are looked up whole, at the depths and with the variables
// that occur; only regular expressions are gone through one by one.
//
// It is two lines of the cache, and what is asked for first is in both: the second
// would else wait for the first. The first routes of the band are those of the
// tagged entries, one each.
type plan struct {
	tags    tags
	depths  uint64 // bit n: there is a prefix of n segments; 0 is that of the prefix /
	more    *more  // nil: every entry has a tag, and is one route without conditions
	shapes  uint32
	choices uint16 // bit n: tagged entry n is a choice in more
	tagged  uint8  // how many entries have a tag
	exact   bool   // there are exact paths
	count   uint32 // of routes
	bounds  [tagged + 1]uint32

	precedence int // which match begins with
	_          int
}

// more is what few plans have.
type more struct {
	choices []*choice // of tagged entries
	entries []entry   // that have no tag
	slots   []slot    // of those, open addressing; nil if all have
	regexes []expression
}

// An entry is the routes that paths are looked up by the same key for.
type entry struct {
	start, end uint32 // of the key in the texts: a path or its beginning, whole
	choice
}

// A choice is a route that is taken if its conditions hold.
type choice struct {
	conditions *conditions // nil: none
	route      uint32      // its place in the band
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

// A draft is a plan with the order in which its bands have their routes: numbers in
// that of compare.
type draft struct {
	plan  uint32
	order []int
}

// newBands makes the bands of a host from its routes and returns the one with the
// highest precedence; the zero one if there are no routes. It puts them in order.
func (p *parts) newBands(routes []*Route) (first band) {
	slices.SortFunc(routes, compare)
	for len(routes) > 0 { // from the lowest on
		n := len(routes)
		for n > 0 && routes[n-1].precedence == routes[len(routes)-1].precedence {
			n--
		}
		d := p.draftOf(routes[n:])
		b := band{d.plan, uint32(len(p.routes))}
		for _, at := range d.order {
			p.routes = append(p.routes, routes[n+at])
		}
		if first.plan != 0 {
			p.below[b.routes] = first
		}
		first, routes = b, routes[:n]
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
func (p *parts) newPlan(routes []*Route) draft {
	to := plan{precedence: routes[0].precedence, count: uint32(len(routes))}
	var all, expressed []findable
	var shapes []shape
	for i, r := range routes {
		switch r.kind {
		case config.ExactPath:
			to.exact = true
			all = append(all, findable{exactKey, r.pattern, i, r})
		case config.TemplatePath:
			segments, variable := config.TemplateSegments(r.pattern)
			if sh := (shape{len(segments), r.variables}); !slices.Contains(shapes, sh) {
				shapes = append(shapes, sh)
			}
			all = append(all, findable{templateKey, keyOfTemplate(segments, variable), i, r})
		case config.RegexPath:
			expressed = append(expressed, findable{route: i, Route: r})
		case config.PrefixPath:
			to.depths |= 1 << strings.Count(r.pattern, "/")
			all = append(all, findable{prefixKey, r.pattern, i, r})
		}
	}
	slices.SortFunc(shapes, func(a, b shape) int { return cmp.Compare(a.variables, b.variables) })
	to.shapes = p.shapesOf(shapes)
	order := p.enter(&to, all, expressed)
	p.plans = append(p.plans, to)
	return draft{uint32(len(p.plans) - 1), order}
}

// enter lays out the routes that are looked up, and those that are gone through,
// and returns their order in the band. Those with the same key stay in theirs.
func (p *parts) enter(to *plan, all, expressed []findable) (order []int) {
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
	order, place := orderOf(alike, expressed)

	m := &more{}
	to.tagged = uint8(min(tagged, len(alike)))
	for i := range to.tagged {
		those := alike[i]
		to.bounds[i], to.bounds[i+1] = p.write(those[0].key), uint32(len(p.texts))
		to.tags.set(int(i), hashOf(p.seed, those[0].kind, []byte(those[0].key)))
		var c *choice
		if len(those) > 1 || those[0].conditions != nil {
			c, to.choices = chain(those, place), to.choices|1<<i
		}
		m.choices = append(m.choices, c)
	}
	m.enter(p, alike[to.tagged:], place)
	for _, f := range expressed {
		m.express(f, place[f.route])
	}
	if to.choices != 0 || m.entries != nil || m.regexes != nil {
		to.more = m
	}
	return order
}

// orderOf is how a band has its routes: the first of each key, then the others. The
// second result is where each of them is.
func orderOf(alike [][]findable, expressed []findable) (order []int, place map[int]uint32) {
	for _, those := range alike {
		order = append(order, those[0].route)
	}
	for _, those := range alike {
		for _, f := range those[1:] {
			order = append(order, f.route)
		}
	}
	for _, f := range expressed {
		order = append(order, f.route)
	}
	place = make(map[int]uint32, len(order))
	for i, route := range order {
		place[route] = uint32(i)
	}
	return order, place
}

// enter lays out the entries that have no tag.
func (m *more) enter(p *parts, alike [][]findable, place map[int]uint32) {
	if len(alike) == 0 {
		return
	}
	m.slots = make([]slot, tableSize(len(alike)))
	for i, those := range alike {
		m.entries = append(m.entries, entry{p.write(those[0].key), uint32(len(p.texts)), *chain(those, place)})
		hash := hashOf(p.seed, those[0].kind, []byte(those[0].key))
		at := hash
		for m.slots[at&uint64(len(m.slots)-1)].at != 0 {
			at++
		}
		m.slots[at&uint64(len(m.slots)-1)] = slot{uint32(hash >> 32), uint32(i + 1)}
	}
}

func (m *more) express(f findable, place uint32) {
	re, err := config.CompilePattern(f.pattern)
	if err != nil {
		return // compile has refused it
	}
	literal, _ := regexp.MustCompile(f.pattern).LiteralPrefix()
	m.regexes = append(m.regexes, expression{choice{conditions: f.conditions, route: place}, re, []byte(literal)})
}

// chain makes a choice of routes in their order.
func chain(all []findable, place map[int]uint32) (first *choice) {
	for _, f := range slices.Backward(all) {
		first = &choice{f.conditions, place[f.route], first}
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
