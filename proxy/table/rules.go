package table

import (
	"bytes"
	"math/bits"

	"github.com/weir-gateway/weir/config"
)

// match finds the first route of a band, or of those of the same host below it, with
// a precedence over above.
func (s *search) match(b band, above int) *Route {
	for b.plan != 0 {
		p := &s.router.plans[b.plan]
		if p.precedence <= above {
			return nil
		}
		if to := s.matchPath(b, p); to != nil {
			s.precedence = p.precedence
			return to
		}
		if len(s.router.below) == 0 {
			return nil
		}
		b = s.router.below[b.routes]
	}
	return nil
}

func (s *search) matchPath(b band, p *plan) *Route {
	if p.exact {
		if to := s.look(b, p, exactKey, s.path); to != nil {
			return to
		}
	}
	if p.shapes != 0 {
		if to := s.matchTemplates(b, p); to != nil {
			return to
		}
	}
	if p.more != nil {
		for i := range p.more.regexes {
			e := &p.more.regexes[i]
			if bytes.HasPrefix(s.path, e.literal) && e.re.Match(s.path) {
				if to := e.to.first(s, b); to != nil {
					return to
				}
			}
		}
	}
	if p.depths != 0 {
		return s.matchPrefixes(b, p)
	}
	return nil
}

// look finds the first route with the key whose conditions hold.
func (s *search) look(b band, p *plan, kind uint64, key []byte) *Route {
	r := s.router
	hash := hashOf(r.seed, kind, key)
	for may := p.tags.like(hash); may != 0; may &= may - 1 {
		i := bits.TrailingZeros16(may)
		if i >= int(p.tagged) || r.texts[p.bounds[i]:p.bounds[i+1]] != string(key) {
			continue
		}
		if p.choices&(1<<i) != 0 {
			return p.more.choices[i].first(s, b)
		}
		return r.routes[b.routes+uint32(i)]
	}
	if p.more == nil || p.more.slots == nil {
		return nil
	}
	return s.lookFurther(b, p.more, hash, key)
}

// lookFurther is look among the entries that have no tag.
func (s *search) lookFurther(b band, m *more, hash uint64, key []byte) *Route {
	for at := hash; ; at++ {
		sl := m.slots[at&uint64(len(m.slots)-1)]
		if sl.at == 0 {
			return nil
		}
		if sl.hash != uint32(hash>>32) {
			continue
		}
		if e := &m.entries[sl.at-1]; s.router.texts[e.start:e.end] == string(key) {
			return e.first(s, b)
		}
	}
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
func (s *search) matchPrefixes(b band, p *plan) *Route {
	s.segments.of(s.path)
	depths := p.depths & (1<<(s.segments.n+1) - 1)
	for depths != 0 {
		n := bits.Len64(depths) - 1
		depths &^= 1 << n
		if to := s.look(b, p, prefixKey, s.path[:s.segments.ends[n]]); to != nil {
			return to
		}
	}
	return nil
}

// matchTemplates looks the path up in each shape of its length, with the
// variables' segments blanked out.
func (s *search) matchTemplates(b band, p *plan) *Route {
	s.segments.of(s.path)
	if s.segments.more || s.path[0] != '/' {
		return nil
	}
	shapes := s.router.shapes[p.shapes]
	for i := range shapes {
		sh := &shapes[i]
		if sh.segments != s.segments.n {
			continue
		}
		var key [config.MaxTemplate]byte
		if k := sh.key(s.path, &s.segments, key[:0]); k != nil {
			if to := s.look(b, p, templateKey, k); to != nil {
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
func (c *choice) first(s *search, b band) *Route {
	for ; c != nil; c = c.next {
		if c.conditions == nil || s.meets(c.conditions) {
			return s.router.routes[b.routes+c.route]
		}
	}
	return nil
}
