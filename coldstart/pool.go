package coldstart

import "sync/atomic"

// leastShare is how many calls every function may hold as long as there is
// room at all.
const leastShare = 16

// A Pool bounds how many calls are held over all functions, and how much memory
// they take. It shares both out: a line may grow as long as it is shorter than
// what is still free. So one function alone gets half of the pool, two a third
// each, n the (n+1)th part; there is always room for one that holds nothing
// yet, and nobody counts functions (Choudhury and Hahne, "Dynamic Queue Length
// Thresholds for Shared-Memory Packet Switches", 1998).
type Pool struct {
	limit, held     atomic.Int64
	maxBytes, bytes atomic.Int64 // maxBytes 0: no limit
}

// NewPool makes a pool of limit places, without a limit to memory.
func NewPool(limit int) *Pool {
	p := &Pool{}
	p.SetLimit(limit)
	return p
}

// SetLimit changes how many places there are. Those who are in stay.
func (p *Pool) SetLimit(limit int) { p.limit.Store(int64(limit)) }

// SetMaxBytes changes how much memory held calls may take; 0 is no limit.
func (p *Pool) SetMaxBytes(n int64) { p.maxBytes.Store(n) }

// Held tells how many places are taken.
func (p *Pool) Held() int { return int(p.held.Load()) }

// Bytes tells how much memory held calls take.
func (p *Pool) Bytes() int64 { return p.bytes.Load() }

// take takes a place, and memory, for a line that has size places and so many
// bytes. It changes nothing if it returns an error.
func (p *Pool) take(size, lineBytes, bytes int) error {
	small := size < leastShare
	if err := takeFrom(&p.held, p.limit.Load(), 1, int64(size), small); err != nil {
		return err
	}
	most := p.maxBytes.Load()
	if most == 0 {
		p.bytes.Add(int64(bytes))
		return nil
	}
	err := takeFrom(&p.bytes, most, int64(bytes), int64(lineBytes), small)
	if err != nil {
		p.held.Add(-1)
	}
	if err == ErrPoolFull {
		return ErrBytesFull
	}
	return err
}

// takeFrom adds n to used, unless that is over the limit, or the line that asks
// has as much as is free and is not small. It is exact: not one that could be
// in is turned away.
func takeFrom(used *atomic.Int64, limit, n, mine int64, small bool) error {
	for {
		was := used.Load()
		switch free := limit - was; {
		case n > free:
			return ErrPoolFull
		case !small && mine >= free:
			return ErrShare
		}
		if used.CompareAndSwap(was, was+n) {
			return nil
		}
	}
}

// force takes a place whether there is one or not.
func (p *Pool) force(bytes int) {
	p.held.Add(1)
	p.bytes.Add(int64(bytes))
}

func (p *Pool) giveBack(bytes int) {
	p.held.Add(-1)
	p.bytes.Add(-int64(bytes))
}
