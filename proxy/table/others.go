package table

import "slices"

// withOthers is a router of the same routes for functions some of which are others
// than before; ok is false if it has to be built. A change of one function among
// many goes over the routes once then and compiles none of them.
func (r *router) withOthers(before, now map[string]*Function, changed []string) (next router, ok bool) {
	others := make(map[*Function]*Function, len(changed))
	for _, name := range changed {
		was, is := before[name], now[name]
		if was == nil || is == nil {
			return router{}, false
		}
		if was != is {
			others[was] = is
		}
	}
	if r.spread(others) {
		return router{}, false
	}
	next = *r
	next.routes = slices.Clone(r.routes)
	made := map[*Route]*Route{} // a route is there for each of its hosts
	for i, to := range r.routes {
		fn := others[to.Function]
		if fn == nil {
			continue
		}
		if made[to] == nil {
			leads := *to
			leads.Function = fn
			made[to] = &leads
		}
		next.routes[i] = made[to]
	}
	return next, true
}

// spread tells whether functions are in more than the routes that lead to them: in a
// split, a mirror or a waiting page.
func (r *router) spread(functions map[*Function]*Function) bool {
	if len(functions) == 0 {
		return false
	}
	for _, to := range r.routes {
		if to.Mirror != nil && functions[to.Mirror.Function] != nil {
			return true
		}
		if to.split == nil {
			continue
		}
		for _, s := range to.split.shares {
			if functions[s.to.Function] != nil {
				return true
			}
		}
	}
	for fn := range functions {
		if len(r.pages[fn.Name]) > 0 {
			return true
		}
	}
	return false
}
