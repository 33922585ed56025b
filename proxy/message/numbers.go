package message

import (
	"sync"
	"sync/atomic"
)

// Names that the configuration says, and not weir itself, are numbered: the field of a
// request is told apart by its name once, when it is read, and not again by each station
// that looks for it (30 ns of a call with everything configured, 2026-11-27).
//
// A number is a name's for as long as the process lives, so that a request that was read
// before a reload means the same after it; one that has none yet is found by its name.

// A Number is a name of the configuration; 0 is none. What has an ID has no number.
type Number uint8

// numbered are the names with a number, by their length. Frozen.
type numbered struct {
	lengths uint64 // a bit for each, modulo 64
	byLen   [LongestName + 1][]numberedName
	last    Number
}

type numberedName struct {
	name   []byte
	number Number
}

// LongestName is how long the name of a field may be in the configuration.
const LongestName = 64

var (
	numbers   atomic.Pointer[numbered] // nil: there are none
	numbersMu sync.Mutex               // of who adds to them
)

// NumberOf is the number of a field's name.
func NumberOf(name []byte) Number {
	n := numbers.Load()
	if n == nil || len(name) > LongestName || n.lengths>>(len(name)%64)&1 == 0 { // most fields have none
		return 0
	}
	for i := range n.byLen[len(name)] {
		if of := &n.byLen[len(name)][i]; EqualNames(of.name, name) {
			return of.number
		}
	}
	return 0
}

// numberFor is NumberOf, and numbers a name that has none. It is 0 for what has an ID, and
// when there are no numbers left.
func numberFor(name []byte) Number {
	if len(name) == 0 || len(name) > LongestName || Lookup(name) != Other {
		return 0
	}
	numbersMu.Lock()
	defer numbersMu.Unlock()
	if n := NumberOf(name); n != 0 {
		return n
	}
	next := &numbered{}
	if was := numbers.Load(); was != nil {
		*next = *was
	}
	if next.last++; next.last == 0 {
		return 0
	}
	next.lengths |= 1 << (len(name) % 64)
	same := next.byLen[len(name)]
	next.byLen[len(name)] = append(same[:len(same):len(same)], numberedName{name, next.last})
	numbers.Store(next)
	return next.last
}

// A Key is the name of a field that is looked for. The zero value is nobody's.
type Key struct {
	Name   []byte
	Number Number
}

// NewKey makes the Key of a name, which is best written as most clients do.
func NewKey(name []byte) Key { return Key{name, numberFor(name)} }

// Find is where the first of the fields is that passes and has the Key's name; -1 if there
// is none.
func (k *Key) Find(fields []Field) int {
	for i := range fields {
		if f := &fields[i]; len(f.Name) == len(k.Name) && !f.Drop && k.Is(f) {
			return i
		}
	}
	return -1
}

// Is tells whether the field has that name, whatever its case.
func (k *Key) Is(f *Field) bool {
	if k.Number != 0 && f.Number != 0 {
		return k.Number == f.Number
	}
	return EqualNames(f.Name, k.Name)
}
