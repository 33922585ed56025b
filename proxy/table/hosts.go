package table

import (
	"hash/maphash"
	"maps"
	"slices"
	"strings"
)

// hosts finds the bands of a host: open addressing over hashes, so that a call
// looks at one slot and then at the band.
type hosts struct {
	slots []hostSlot // a power of two; nil if there are none
}

type hostSlot struct {
	hash uint64
	band *band // the first; nil: nobody is here
}

// newHosts lays out the routes of hosts. What a call reads of them lies as close
// together as can be: what is spread over many pages costs a walk through the
// page tables besides.
func (p *parts) newHosts(routes map[string][]*Route) (h hosts) {
	if len(routes) == 0 {
		return h
	}
	names := slices.Sorted(maps.Keys(routes))
	text, count := strings.Join(names, ""), 0
	for _, all := range routes {
		count += len(all)
	}
	bands, places := make([]band, 0, len(names)), make([]*Route, 0, count)
	h.slots = make([]hostSlot, tableSize(len(names)))
	for _, name := range names {
		start := len(places)
		places = append(places, routes[name]...)
		name, text = text[:len(name)], text[len(name):]
		bands = append(bands, *p.newBands(name, places[start:]))
		hash := maphash.String(p.seed, name)
		at := hash
		for h.at(at).band != nil {
			at++
		}
		*h.at(at) = hostSlot{hash, &bands[len(bands)-1]}
	}
	return h
}

func (h hosts) at(i uint64) *hostSlot { return &h.slots[i&uint64(len(h.slots)-1)] }

// find returns the first band of a host; nil if there is none.
func (h hosts) find(seed maphash.Seed, host []byte) *band {
	if h.slots == nil {
		return nil
	}
	hash := maphash.Bytes(seed, host)
	for at := hash; ; at++ {
		s := h.at(at)
		if s.band == nil || s.hash == hash && s.band.host == string(host) {
			return s.band
		}
	}
}
