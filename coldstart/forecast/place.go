package forecast

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// Place orders those who may hold a function's one warm instance, the best
// first: by rendezvous hashing (Thaler and Ravishankar, "Using name-based
// mappings to increase hit rates", 1998), so that all routers who know the same
// names agree without asking each other, and a name that comes or goes moves
// only the functions that are its own. It is the seam for C36: with one router
// there is nothing to choose.
func Place(function string, names []string) []string {
	type scored struct {
		name  string
		score uint64
	}
	all := make([]scored, len(names))
	for i, name := range names {
		all[i] = scored{name, score(function, name)}
	}
	slices.SortFunc(all, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.name, b.name))
	})
	placed := make([]string, len(all))
	for i, s := range all {
		placed[i] = s.name
	}
	return slices.Compact(placed)
}

// score is the same everywhere and for ever: FNV-1a over both names with a byte
// between that neither can have, and then mixed, because of FNV the last byte
// decides too much (the finalizer of SplitMix64).
func score(function, name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(function + "\x00" + name))
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
