package table

import (
	"hash/maphash"
	"maps"
	"slices"
)

// hosts finds the bands of a host: open addressing over hashes. What a slot says
// is all that a call needs in order to fetch the rest at once: the name that it
// compares, the plan and the routes do not wait for one another.
type hosts struct {
	slots []hostSlot // a power of two; nil if there are none
}

// A hostSlot is 16 bytes, so that the slots of 10,000 hosts are in the second-level
// cache.
type hostSlot struct {
	band          // the first; the zero one: nobody is here
	name   uint32 // where it begins in the texts
	length uint16 // of the name
	hash   uint16 // its highest bits
}

// newHosts lays out the routes of hosts, each name beside the keys of its paths.
func (p *parts) newHosts(routes map[string][]*Route) (h hosts) {
	if len(routes) == 0 {
		return h
	}
	h.slots = make([]hostSlot, tableSize(len(routes)))
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		hash := maphash.String(p.seed, name)
		at := hash
		for h.at(at).plan != 0 {
			at++
		}
		start := p.write(name)
		*h.at(at) = hostSlot{p.newBands(routes[name]), start, uint16(len(name)), uint16(hash >> 48)}
	}
	return h
}

func (h hosts) at(i uint64) *hostSlot { return &h.slots[i&uint64(len(h.slots)-1)] }

// find returns the first band of a host; the zero one if there is none.
func (h hosts) find(r *router, host []byte) band {
	if h.slots == nil {
		return band{}
	}
	hash := maphash.Bytes(r.seed, host)
	for at := hash; ; at++ {
		s := h.at(at)
		if s.plan == 0 || s.hash == uint16(hash>>48) && r.texts[s.name:s.name+uint32(s.length)] == string(host) {
			return s.band
		}
	}
}
