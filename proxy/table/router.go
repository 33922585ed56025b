package table

import (
	"bytes"
	"math/bits"
	"strings"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/shaping"
)

// maxDepth is how many segments a path prefix may have.
const maxDepth = 32

// A router finds the route for a host and a path. The most specific rule
// wins: an exact host before a wildcard, the longer wildcard before the
// shorter, any wildcard before no host, and within a host the longest path
// prefix. A host whose own rules do not match the path falls back to the next
// less specific one.
//
// Prefixes lie in one map for each host and are looked up whole, the deepest
// first, at the depths that occur: mostly one lookup. A tree of segments took
// one for each segment and 280 ns among 10,000 routes, this takes 120
// (BenchmarkMatch, 2 vCPU AMD EPYC, 2026-11-23).
type router struct {
	exact    map[string]*prefixes // api.example.com
	wildcard map[string]*prefixes // example.com for *.example.com
	any      *prefixes
}

// prefixes are the path prefixes of one host.
type prefixes struct {
	root     *Route // of the prefix /
	byPrefix map[string]*Route
	depths   uint64 // bit n: there is a prefix of n segments
}

func buildRouter(routes []config.Route, functions map[string]*Function) router {
	r := router{exact: map[string]*prefixes{}, wildcard: map[string]*prefixes{}, any: &prefixes{}}
	for _, route := range routes {
		fn := functions[route.Function]
		if fn == nil || depth(route.PathPrefix) > maxDepth {
			continue // build has refused it
		}
		to := &Route{fn, shaping.NewAccess(route.Access), route.RawPath, route.EncodedSlash, priorityOf(route.Priority)}
		if len(route.Hosts) == 0 {
			r.any.add(route.PathPrefix, to)
		}
		for _, host := range route.Hosts {
			r.host(host).add(route.PathPrefix, to)
		}
	}
	return r
}

// priorityOf is what the configuration calls so.
func priorityOf(name string) coldstart.Priority {
	switch name {
	case "high":
		return coldstart.High
	case "low":
		return coldstart.Low
	}
	return coldstart.Normal
}

// host returns the prefixes of a host, made if need be.
func (r *router) host(host string) *prefixes {
	hosts := r.exact
	if below, ok := strings.CutPrefix(host, "*."); ok {
		hosts, host = r.wildcard, below
	}
	if hosts[host] == nil {
		hosts[host] = &prefixes{}
	}
	return hosts[host]
}

// depth is how many segments a prefix has.
func depth(prefix string) int { return strings.Count(strings.TrimRight(prefix, "/"), "/") }

func (p *prefixes) add(prefix string, to *Route) {
	prefix = strings.TrimRight(prefix, "/")
	if prefix == "" {
		p.root = to
		return
	}
	if p.byPrefix == nil {
		p.byPrefix = map[string]*Route{}
	}
	p.byPrefix[prefix] = to
	p.depths |= 1 << depth(prefix)
}

func (r *router) match(host, path []byte) *Route {
	if p := r.exact[string(host)]; p != nil {
		if to := p.match(path); to != nil {
			return to
		}
	}
	if len(r.wildcard) > 0 {
		for rest := host; ; {
			dot := bytes.IndexByte(rest, '.')
			if dot < 0 {
				break
			}
			rest = rest[dot+1:]
			if p := r.wildcard[string(rest)]; p != nil {
				if to := p.match(path); to != nil {
					return to
				}
			}
		}
	}
	return r.any.match(path)
}

// match finds where the path's segments end, as far down as there are
// prefixes, and looks the prefixes up from there.
func (p *prefixes) match(path []byte) *Route {
	if p.depths == 0 || len(path) < 2 {
		return p.root
	}
	deepest := bits.Len64(p.depths) - 1
	var ends [maxDepth + 1]uint32
	n := 0
	for at := 0; n < deepest && at < len(path); {
		next := bytes.IndexByte(path[at+1:], '/')
		if next < 0 {
			at = len(path)
		} else {
			at += 1 + next
		}
		n++
		ends[n] = uint32(at)
	}
	for ; n > 0; n-- {
		if p.depths&(1<<n) == 0 {
			continue
		}
		if to := p.byPrefix[string(path[:ends[n]])]; to != nil {
			return to
		}
	}
	return p.root
}
