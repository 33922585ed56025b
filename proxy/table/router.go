package table

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// A router finds the first route that matches a request. The order of routes is
// total (compare in order.go, docs/routing.md): precedence, how specific the
// host is, how specific the path is, the number of conditions, the place in the
// configuration. A route whose conditions do not hold leaves the request to the
// next one, also to one of a less specific path or host.
type router struct {
	layout
	seed     maphash.Seed
	exact    hosts // api.example.com
	wildcard hosts // example.com for *.example.com
	any      band
	highest  int               // precedence of any route
	methods  []string          // that routes ask for; their places are the bits of Methods
	pages    map[string][]page // by function: the routes that show a waiting page
	async    bool              // one lets clients come back for the answer
}

// buildRouter makes the router of the routes whose functions are there, and
// tells which it does without.
func buildRouter(cfg *config.Config, functions map[string]*Function) (r router, refused []Refusal) {
	routes := cfg.Routes
	p := newParts()
	r = router{seed: p.seed, pages: map[string][]page{}}
	exact, wildcard := map[string][]*Route{}, map[string][]*Route{}
	var all []*Route
	for i := range routes {
		to, errs := r.compile(p, i, &routes[i], functions)
		for _, err := range errs {
			kind, pattern := routes[i].PathRule()
			refused = append(refused, Refusal{fmt.Sprintf("route %s %s", kind, pattern), err.Error()})
		}
		if to == nil {
			continue
		}
		if to.split != nil {
			to.split.yields = cfg.RouteFromRegistry(i)
		}
		for _, one := range to.each() {
			r.async = r.async || one.RespondAsync
			if w := one.WhileCold; w != nil && w.WaitingPage != nil {
				r.pages[one.Name] = append(r.pages[one.Name], page{routes[i].Hosts, one})
			}
		}
		if len(routes[i].Hosts) == 0 {
			all = append(all, to)
		}
		for _, host := range routes[i].Hosts {
			if below, ok := strings.CutPrefix(host, "*."); ok {
				wildcard[below] = append(wildcard[below], to)
			} else {
				exact[host] = append(exact[host], to)
			}
		}
		r.highest = max(r.highest, to.precedence)
	}
	r.exact, r.wildcard = p.newHosts(exact), p.newHosts(wildcard)
	r.any = p.newBands(all)
	r.layout = p.layout()
	return r, refused
}

// A search is one look for a route.
type search struct {
	request    *message.Request
	path       []byte // normalized
	segments   segments
	router     *router
	precedence int     // of the route that was found
	method     Methods // the request's own bit, once it was needed
	known      bool    // it was
	allowed    Methods // of routes that only the method kept from matching
}

func (r *router) match(s *search) *Route {
	s.router = r
	host := s.request.Host
	best := s.match(r.exact.find(r, host), -1)
	if best != nil && s.precedence == r.highest {
		return best // no less specific host can have one that goes before
	}
	if r.wildcard.slots != nil {
		for rest := host; ; {
			dot := bytes.IndexByte(rest, '.')
			if dot < 0 {
				break
			}
			rest = rest[dot+1:]
			if best = s.better(r.wildcard.find(r, rest), best); best != nil && s.precedence == r.highest {
				return best
			}
		}
	}
	return s.better(r.any, best)
}

// better finds a route of a host that goes before best, or else is best.
func (s *search) better(b band, best *Route) *Route {
	above := -1
	if best != nil {
		above = s.precedence
	}
	if to := s.match(b, above); to != nil {
		return to
	}
	return best
}

// Methods is a set of the methods that the routes of a table ask for.
type Methods uint64

// bit is the method's own, added to the known ones if need be; 0 if there are
// too many.
func (r *router) bit(method string) Methods {
	i := slices.Index(r.methods, method)
	if i < 0 {
		if i = len(r.methods); i == 64 {
			return 0
		}
		r.methods = append(r.methods, method)
	}
	return 1 << i
}

// appendMethods writes a set as Allow has it, RFC 9110 section 10.2.1.
func (r *router) appendMethods(b []byte, set Methods) []byte {
	start := len(b)
	for i, method := range r.methods {
		if set&(1<<i) == 0 {
			continue
		}
		if len(b) > start {
			b = append(b, ", "...)
		}
		b = append(b, method...)
	}
	return b
}
