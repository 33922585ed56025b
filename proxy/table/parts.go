package table

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"

	"github.com/weir-gateway/weir/config"
)

// parts are what routes and hosts have in common, while a router is built: ten
// thousand hosts mostly have the same few paths and conditions.
type parts struct {
	seed       maphash.Seed
	plans      map[string]*plan
	conditions map[string]*conditions
}

func newParts() *parts {
	return &parts{seed: maphash.MakeSeed(), plans: map[string]*plan{}, conditions: map[string]*conditions{}}
}

// planOf returns the plan of routes in their order, made if there is none yet.
func (p *parts) planOf(routes []*Route) *plan {
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
	to := p.plans[string(key)]
	if to == nil {
		to = p.newPlan(routes)
		p.plans[string(key)] = to
	}
	return to
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
