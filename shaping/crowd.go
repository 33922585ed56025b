package shaping

import (
	"errors"
	"sync"
	"sync/atomic"
)

// ErrCrowd: as many calls of one tenant as may be inside the function at once are.
var ErrCrowd = errors.New("too many calls of one tenant at once")

// A Crowd knows how many calls of each key are inside. A key of which none is costs
// nothing, so that there are never more keys than calls. The zero value is ready; all
// methods may be called from any goroutine.
type Crowd struct {
	shards [16]struct {
		mu     sync.Mutex // guards inside
		inside map[Key]int
		_      [48]byte // so that no two are in one cache line
	}
	refused atomic.Int64
}

// Enter counts a call in, or returns ErrCrowd if most of its key are inside already. Who
// entered owes a Leave.
func (c *Crowd) Enter(key Key, most int) error {
	s := &c.shards[uint64(key)%uint64(len(c.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside[key] >= most {
		c.refused.Add(1)
		return ErrCrowd
	}
	if s.inside == nil {
		s.inside = map[Key]int{}
	}
	s.inside[key]++
	return nil
}

// Leave says that a call has left.
func (c *Crowd) Leave(key Key) {
	s := &c.shards[uint64(key)%uint64(len(c.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	switch n := s.inside[key]; {
	case n > 1:
		s.inside[key] = n - 1
	case n == 1:
		delete(s.inside, key)
	default:
		panic("BUG: a call left the crowd twice")
	}
}

// Refused is how many calls were not let in.
func (c *Crowd) Refused() int { return int(c.refused.Load()) }
