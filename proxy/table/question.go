package table

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"
)

// A Question is what a call asks for, as far as others are answered with it: the request's
// own memory, and a hash. It is written down (appendText) only where two calls meet, as
// most meet nobody: to do so for each took 50 ns of a call (2026-11-27). The zero value
// asks for nothing.
type Question struct {
	Method, Authority, Path []byte
	Proto, Host, Port       []byte // what the endpoint is told of how it has come
	NewHost, NewPath, Query []byte // nil: none
	Priority                int8
	hash                    question
	parts                   []part // the fields that make a difference
}

// A question is the hash of one. Those of one hash need not be the same.
type question uint64

// A part is the value of a field.
type part struct {
	place int
	value []byte
}

// manyParts is more than there usually are; room for more is not kept.
const manyParts = 16

// begin gives it its hash, and no fields. The hash is of what many calls differ by.
func (q *Question) begin() {
	if q.parts = q.parts[:0]; cap(q.parts) > manyParts {
		q.parts = nil
	}
	q.hash = hashOfPart(0, q.Path) + hashOfPart(-3, q.Authority) // a function may have thousands of hosts
	if q.NewPath != nil {
		q.hash += hashOfPart(-1, q.NewPath)
	}
	if q.Query != nil {
		q.hash += hashOfPart(-2, q.Query)
	}
}

// add adds the value of a field. Several of one place count in their order, whatever comes
// between.
func (q *Question) add(place int, value []byte) {
	q.parts = append(q.parts, part{place, value})
	q.hash += hashOfPart(place, value)
}

// Forget lets go of the request's memory.
func (q *Question) Forget() {
	clear(q.parts[:cap(q.parts)])
	*q = Question{parts: q.parts[:0]}
}

// appendText writes the Question down: two are the same if their texts are.
func (q *Question) appendText(b []byte) []byte {
	b = append(b, byte(q.Priority)) //nolint:gosec // its bits
	for _, value := range [...][]byte{q.Method, q.Authority, q.Path, q.Proto, q.Host, q.Port, q.NewHost, q.NewPath, q.Query} {
		if value == nil {
			b = append(b, 0)
			continue
		}
		b = append(binary.AppendUvarint(b, 1+uint64(len(value))), value...)
	}
	slices.SortStableFunc(q.parts, func(a, b part) int { return cmp.Compare(a.place, b.place) })
	for _, p := range q.parts {
		b = binary.AppendVarint(b, int64(p.place))
		b = append(binary.AppendUvarint(b, uint64(len(p.value))), p.value...)
	}
	return b
}

var questionSeed = maphash.MakeSeed()

// hashOfPart is the hash of a value in its place: the same two values in each other's place
// have another sum.
func hashOfPart(place int, value []byte) question {
	return question(maphash.Bytes(questionSeed, value)) * question(2*place+1) //nolint:gosec // its bits
}
