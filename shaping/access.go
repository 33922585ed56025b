package shaping

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/weir-gateway/weir/config"
)

// An Access tells by a client's address whether it may come in. Frozen: read it
// from any goroutine. The nil Access lets everyone in.
//
// Of the networks that an address is in, the most specific one decides; where
// the same network is allowed and denied, it is denied. An address in none of
// them may come in unless there is a list of those who may.
//
// The networks are laid flat when it is made: addresses in order, each of which
// begins a stretch of one verdict, so that one binary search answers however
// the networks nest. It does not allocate.
type Access struct {
	v4, v6    stretches
	otherwise bool // of what has no address
}

// NewAccess lays rules flat; nil if there are none.
func NewAccess(rules config.Access) *Access {
	if len(rules.Allow) == 0 && len(rules.Deny) == 0 {
		return nil
	}
	return newAccess(rules.Allow, rules.Deny, len(rules.Allow) == 0)
}

// Only makes an Access for the addresses in some networks, and nobody else:
// where there are none, nobody at all.
func Only(networks []netip.Prefix) *Access { return newAccess(networks, nil, false) }

func newAccess(allow, deny []netip.Prefix, otherwise bool) *Access {
	var v4, v6 []network
	sort := func(prefixes []netip.Prefix, allow bool) {
		for _, p := range prefixes {
			n := network{from: keyOf(p.Addr()), bits: p.Bits(), allow: allow}
			if p.Addr().Is4() {
				n.to = n.from.fill(96 + n.bits)
				v4 = append(v4, n)
			} else {
				n.to = n.from.fill(n.bits)
				v6 = append(v6, n)
			}
		}
	}
	sort(allow, true)
	sort(deny, false)
	return &Access{v4: flatten(v4, otherwise), v6: flatten(v6, otherwise), otherwise: otherwise}
}

// Allows tells whether an address may come in. IPv4 in the clothes of IPv6 is
// IPv4; a zone makes no difference.
func (a *Access) Allows(addr netip.Addr) bool {
	switch {
	case a == nil:
		return true
	case !addr.IsValid():
		return a.otherwise
	case addr.Is4() || addr.Is4In6():
		return a.v4.at(keyOf(addr.Unmap()))
	}
	return a.v6.at(keyOf(addr))
}

// A key is an address as a number; that of IPv4 is in its last 32 bits.
type key struct{ high, low uint64 }

func keyOf(addr netip.Addr) key {
	if addr.Is4() {
		b := addr.As4()
		return key{low: uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := addr.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (k key) compare(other key) int {
	return cmp.Or(cmp.Compare(k.high, other.high), cmp.Compare(k.low, other.low))
}

// fill sets all bits after the first n of 128.
func (k key) fill(n int) key {
	switch {
	case n >= 128:
	case n >= 64:
		k.low |= ^uint64(0) >> (n - 64)
	default:
		k.high, k.low = k.high|^uint64(0)>>n, ^uint64(0)
	}
	return k
}

// next is the address after k; ok is false after the last one.
func (k key) next() (n key, ok bool) {
	n = key{k.high, k.low + 1}
	if n.low == 0 {
		n.high++
	}
	return n, n != key{}
}

// A network is a prefix with its verdict, from its first address to its last.
type network struct {
	from, to key
	bits     int
	allow    bool
}

// stretches are verdicts from one address to the next; the first begins at 0.
type stretches struct {
	from  []key
	allow []bool
}

// flatten walks the networks in the order of their first addresses; those that
// the walk is inside lie on a stack, the innermost on top.
func flatten(networks []network, otherwise bool) (s stretches) {
	slices.SortFunc(networks, func(a, b network) int {
		if order := cmp.Or(a.from.compare(b.from), cmp.Compare(a.bits, b.bits)); order != 0 || a.allow == b.allow {
			return order
		}
		if a.allow { // the denied one comes after it, and lies on top
			return -1
		}
		return 1
	})
	s.begin(key{}, otherwise)
	var inside []network
	leave := func() {
		last := inside[len(inside)-1]
		inside = inside[:len(inside)-1]
		verdict := otherwise
		if n := len(inside); n > 0 {
			verdict = inside[n-1].allow
		}
		if next, ok := last.to.next(); ok {
			s.begin(next, verdict)
		}
	}
	for _, n := range networks {
		for len(inside) > 0 && inside[len(inside)-1].to.compare(n.from) < 0 {
			leave()
		}
		inside = append(inside, n)
		s.begin(n.from, n.allow)
	}
	for len(inside) > 0 {
		leave()
	}
	return s
}

// begin begins a stretch, where another may just have.
func (s *stretches) begin(from key, allow bool) {
	n := len(s.from)
	switch {
	case n > 0 && s.from[n-1] == from:
		s.allow[n-1] = allow
	case n > 0 && s.allow[n-1] == allow:
	default:
		s.from, s.allow = append(s.from, from), append(s.allow, allow)
	}
}

// at finds the stretch that k is in: the last that does not begin after it. The
// search has no branch to guess wrong: 80 ns and not 95 among 2,600 networks
// (BenchmarkAccess, 2 vCPU AMD EPYC, 2026-11-25).
func (s *stretches) at(k key) bool {
	base := 0
	for n := len(s.from); n > 1; {
		half := n / 2
		f := &s.from[base+half]
		_, borrow := bits.Sub64(k.low, f.low, 0)
		_, borrow = bits.Sub64(k.high, f.high, borrow)
		base += half & (int(borrow) - 1) // nothing if k < f
		n -= half
	}
	return s.allow[base]
}
