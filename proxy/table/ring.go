package table

import (
	"math/bits"
	"slices"
)

// A ring has the endpoints of a set at many points of a circle each; a key
// belongs to the next one. An endpoint that leaves gives its own keys to the
// others, and those keep theirs (Karger, "Consistent Hashing and Random Trees",
// 1997). Frozen.
type ring struct {
	points []uint64 // in order: a hash, with the index of the endpoint in the lowest bits
	shift  int      // of a hash, to where its neighbourhood begins
	begins []uint32 // for each neighbourhood the first point in it or after it
}

const (
	indexBits = 24
	indexMask = 1<<indexBits - 1

	// manyPoints spreads the keys to a tenth; a set of thousands spreads by itself,
	// and would take long to be put in order.
	manyPoints, fewPoints = 160, 24
	manyEndpoints         = 1000
)

// newRing makes the ring of endpoints that weigh so much together.
func newRing(endpoints []*Endpoint, weight int) *ring {
	each := manyPoints
	if len(endpoints) > manyEndpoints {
		each = fewPoints
	}
	r := &ring{}
	for i, ep := range endpoints {
		n := max(1, each*ep.Pull()*len(endpoints)/max(weight, 1))
		h := hash([]byte(ep.ID))
		for range min(n, 100*each) {
			h = mix(h + 0x9e3779b97f4a7c15)
			r.points = append(r.points, h&^indexMask|uint64(i&indexMask)) //nolint:gosec // an index
		}
	}
	slices.Sort(r.points)
	r.shift = 64 - bits.Len(uint(len(r.points)))
	r.begins = make([]uint32, 1<<(64-r.shift))
	at := 0
	for i := range r.begins {
		for at < len(r.points) && r.points[at]>>r.shift < uint64(i) { //nolint:gosec // an index
			at++
		}
		r.begins[i] = uint32(at) //nolint:gosec // an index
	}
	return r
}

// at is where on the ring a key is.
func (r *ring) at(key uint64) int {
	i := int(r.begins[key>>r.shift])
	for i < len(r.points) && r.points[i] < key&^indexMask {
		i++
	}
	if i == len(r.points) {
		return 0
	}
	return i
}

// endpoint is the index of that at a place; places go on at the begin.
func (r *ring) endpoint(at int) int { return int(r.points[at%len(r.points)] & indexMask) }
