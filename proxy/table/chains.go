package table

import "bytes"

// chains are flights by their questions, in at least as many lists as there are flights.
// In a map what comes and goes with each call took as long as all else of a flight. The
// zero value has none.
type chains struct {
	all []*Flight // by the last bits of their questions: a power of two
	len int       // flights
}

const leastChains = 64

func (c *chains) of(q question) **Flight { return &c.all[uint64(q)&uint64(len(c.all)-1)] }

// find is the flight of those who ask that, nil if there is none.
func (c *chains) find(q question, to *Route, text []byte) *Flight {
	if c.len == 0 {
		return nil
	}
	for fl := *c.of(q); fl != nil; fl = fl.next {
		if fl.question == q && fl.to == to && bytes.Equal(fl.text, text) {
			return fl
		}
	}
	return nil
}

func (c *chains) add(fl *Flight) {
	if c.len == len(c.all) {
		c.grow()
	}
	chain := c.of(fl.question)
	fl.next, *chain = *chain, fl
	c.len++
}

func (c *chains) grow() {
	before := c.all
	*c = chains{all: make([]*Flight, max(leastChains, 2*len(before)))}
	for _, fl := range before {
		for fl != nil {
			next := fl.next
			c.add(fl)
			fl = next
		}
	}
}

// remove takes a flight out, and tells whether it was there.
func (c *chains) remove(fl *Flight) bool {
	if c.len == 0 {
		return false
	}
	for at := c.of(fl.question); *at != nil; at = &(*at).next {
		if *at == fl {
			*at, fl.next = fl.next, nil
			c.len--
			return true
		}
	}
	return false
}
