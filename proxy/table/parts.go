package table

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"slices"

	"github.com/weir-gateway/weir/config"
)

// parts are what routes and hosts have in common, while a router is built: ten
// thousand hosts mostly have the same few paths and conditions.
type parts struct {
	seed       maphash.Seed
	drafts     map[string]draft
	lists      map[string]uint32 // of shapes
	conditions map[string]*conditions

	// As in layout.
	texts  []byte
	plans  []plan
	routes []*Route
	shapes [][]shape
	below  map[uint32]band
}

func newParts() *parts {
	return &parts{
		seed: maphash.MakeSeed(), drafts: map[string]draft{}, lists: map[string]uint32{}, conditions: map[string]*conditions{},
		plans: make([]plan, 1), shapes: make([][]shape, 1), below: map[uint32]band{},
	}
}

// layout is what has been laid out. Nothing is added after that.
func (p *parts) layout() layout {
	return layout{string(p.texts), slices.Clone(p.plans), slices.Clone(p.routes), p.shapes, p.below}
}

// write adds a text, and returns where it begins.
func (p *parts) write(text string) uint32 {
	start := len(p.texts)
	p.texts = append(p.texts, text...)
	if uint64(len(p.texts)) > math.MaxUint32 {
		panic("BUG: the hosts and the paths of routes are over 4 GiB")
	}
	return uint32(start)
}

// shapesOf returns where those shapes are, 0 if there are none.
func (p *parts) shapesOf(shapes []shape) uint32 {
	if len(shapes) == 0 {
		return 0
	}
	var key []byte
	for _, s := range shapes {
		key = binary.AppendUvarint(binary.AppendUvarint(key, uint64(s.segments)), uint64(s.variables))
	}
	at, ok := p.lists[string(key)]
	if !ok {
		at = uint32(len(p.shapes))
		p.lists[string(key)] = at
		p.shapes = append(p.shapes, shapes)
	}
	return at
}

// draftOf returns the plan of routes in their order, made if there is none yet.
func (p *parts) draftOf(routes []*Route) draft {
	key := binary.AppendUvarint(nil, uint64(routes[0].precedence))
	for _, to := range routes {
		key = append(key, byte(to.kind))
		key = binary.AppendUvarint(key, uint64(len(to.pattern)))
		key = append(key, to.pattern...)
		serial := 0
		if to.conditions != nil {
			serial = to.conditions.serial
		}
		key = binary.AppendUvarint(key, uint64(serial))
	}
	d, ok := p.drafts[string(key)]
	if !ok {
		d = p.newPlan(routes)
		p.drafts[string(key)] = d
	}
	return d
}

// sameConditions returns those that were made for a route that asks for the same;
// nil if there are none yet. They are kept under the key.
func (p *parts) sameConditions(route *config.Route) (c *conditions, key string) {
	b := fmt.Appendf(nil, "%q", route.Methods)
	for _, list := range [][]config.Condition{route.Headers, route.Query, route.Cookies} {
		for _, one := range list {
			b = fmt.Appendf(b, "%q^%q~%q", one.Name, one.Prefix, one.Regex)
			if one.Exact != nil {
				b = fmt.Appendf(b, "=%q", *one.Exact)
			}
			if one.Present != nil {
				b = fmt.Appendf(b, "?%t", *one.Present)
			}
		}
		b = append(b, ';')
	}
	key = string(b)
	return p.conditions[key], key
}
