package table

// tagged is how many entries of a band have a tag: most bands have no more.
const tagged = 16

// tags are a byte of the hash of each of the first entries: which of them a key
// can be at is told without looking at them.
type tags [2]uint64

const everyByte = 0x0101010101010101

func (t *tags) set(i int, hash uint64) { t[i/8] |= hash >> 56 << (i % 8 * 8) }

// like returns a bit for each tag that is the hash's. Those of entries that are
// not there may be among them.
func (t *tags) like(hash uint64) uint16 {
	wanted := hash >> 56 * everyByte
	return zeros(t[0]^wanted) | zeros(t[1]^wanted)<<8
}

// zeros returns a bit for each byte of a word that is zero.
func zeros(word uint64) uint16 {
	const low = 0x7f * everyByte
	found := ^((word&low + low) | word | low) // 0x80 in each
	return uint16(found >> 7 * 0x0102040810204080 >> 56)
}
