package shaping

import (
	"errors"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/weir-gateway/weir/config"
)

// ErrLimited: as many calls as may come under a key have.
var ErrLimited = errors.New("too many calls under one key")

// A Quota is what is left to a key after a call came.
type Quota struct {
	Left int           // calls that may come at once
	Full time.Duration // until as many may come at once as ever
	Next time.Duration // until the next may come; 0: now
}

// A Limiter has a token bucket for each key, and no more of them than it may.
// The zero value has no limit. All methods may be called from any goroutine.
//
// A key is a hash: of 64 bits with a seed of its own, so that nobody can choose
// one that meets another's, and two of a million meet with a chance of 1 in 30
// million. Its text is not kept, however long.
type Limiter struct {
	buckets atomic.Pointer[buckets] // nil: no limit
	limited atomic.Int64
}

// A Key is whose calls are counted together.
type Key uint64

// Whole is the key of all calls of a function.
const Whole Key = 0

var seed = maphash.MakeSeed()

// KeyOf is the key that a text is.
func KeyOf(text []byte) Key { return Key(maphash.Bytes(seed, text)) }

// Configure sets the limit, nil is none, and which part of it is this router's
// from the moment now on, if it is shared. Where the limit changes the buckets are
// full again; where the part does, they keep what they have as far as it fits. One
// goroutine calls it.
func (l *Limiter) Configure(c *config.RateLimit, part Part, now time.Time) {
	if c == nil {
		l.buckets.Store(nil)
		return
	}
	if !c.Shared {
		part = Part{}
	}
	b := l.buckets.Load()
	if b == nil || b.RateLimit != *c {
		b = newBuckets(*c)
		b.portion.Store(newPortion(c, part))
		l.buckets.Store(b)
		return
	}
	if was := b.portion.Load(); was.Part != part {
		next := newPortion(c, part)
		next.since, next.era = now, was.era+1
		b.portion.Store(next)
	}
}

// Portion is what of the limit each key has: calls per second, and at once. 0 of a
// limiter without one.
func (l *Limiter) Portion() (perSecond float64, burst int) {
	b := l.buckets.Load()
	if b == nil {
		return 0, 0
	}
	p := b.portion.Load()
	return p.perSecond, p.burst
}

// Take lets a call in at the moment now, or returns ErrLimited, and tells what is
// left to its key. It allocates for a key that is new.
func (l *Limiter) Take(key Key, now time.Time) (Quota, error) {
	b := l.buckets.Load()
	if b == nil {
		return Quota{}, nil
	}
	p := b.portion.Load()
	s := &b.shards[uint64(key)%uint64(len(b.shards))]
	s.mu.Lock()
	bucket := s.findLocked(key, p)
	s.mu.Unlock()
	allowed := bucket.AllowN(now, 1)
	q := p.quota(bucket.TokensAt(now))
	if !allowed {
		l.limited.Add(1)
		return q, ErrLimited
	}
	return q, nil
}

// Limited is how many calls were not let in.
func (l *Limiter) Limited() int { return int(l.limited.Load()) }

// Keys is for how many keys there are buckets.
func (l *Limiter) Keys() (n int) {
	b := l.buckets.Load()
	if b == nil {
		return 0
	}
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		n += len(s.entries)
		s.mu.Unlock()
	}
	return n
}

// buckets are those of all keys, under one limit.
type buckets struct {
	config.RateLimit
	portion atomic.Pointer[portion]
	shards  []shard
}

// A portion is what of a limit is this router's for a while: its era. A bucket of
// an older one is adjusted when its key comes next, so that a change costs the same
// for one key and for a million.
type portion struct {
	Part
	perSecond float64
	burst     int
	since     time.Time
	era       uint32
}

func newPortion(c *config.RateLimit, part Part) *portion {
	return &portion{Part: part, perSecond: part.rate(float64(c.Requests) / c.Window.Seconds()), burst: part.burst(c.Burst)}
}

// mostShards keep calls on different keys out of each other's way.
const mostShards = 64

func newBuckets(c config.RateLimit) *buckets {
	n := min(mostShards, (c.MaxKeys+mostShards-1)/mostShards)
	b := &buckets{RateLimit: c, shards: make([]shard, n)}
	for i := range b.shards {
		b.shards[i].most = c.MaxKeys / n
		b.shards[i].places = map[Key]uint32{}
	}
	return b
}

func (p *portion) quota(tokens float64) Quota {
	q := Quota{Left: int(max(0, tokens)), Full: p.refill(float64(p.burst) - tokens)}
	if tokens < 1 {
		q.Next = p.refill(1 - tokens)
	}
	return q
}

// refill is how long it takes until so many tokens have come.
func (p *portion) refill(tokens float64) time.Duration {
	return time.Duration(math.Ceil(max(0, tokens) / p.perSecond * float64(time.Second)))
}

// A shard has some of the buckets. When it is full, a hand goes round and takes
// the first that was not used since it came by last (CLOCK, an approximation of
// least recently used).
type shard struct {
	mu      sync.Mutex // guards all below
	most    int
	places  map[Key]uint32 // in entries
	entries []entry
	hand    int
}

type entry struct {
	key    Key
	bucket *rate.Limiter
	era    uint32 // of the portion that the bucket has
	used   bool   // since the hand came by
}

func (s *shard) findLocked(key Key, p *portion) *rate.Limiter {
	if at, ok := s.places[key]; ok {
		e := &s.entries[at]
		e.used = true
		if int32(p.era-e.era) > 0 { //nolint:gosec // a difference; never back: another call may have a newer portion
			e.bucket.SetLimitAt(p.since, rate.Limit(p.perSecond))
			e.bucket.SetBurstAt(p.since, p.burst)
			e.era = p.era
		}
		return e.bucket
	}
	e := entry{key: key, bucket: rate.NewLimiter(rate.Limit(p.perSecond), p.burst), era: p.era}
	if len(s.entries) < s.most {
		s.places[key] = uint32(len(s.entries)) //nolint:gosec // a number of keys
		s.entries = append(s.entries, e)
		return e.bucket
	}
	for s.entries[s.hand].used {
		s.entries[s.hand].used = false
		s.hand = (s.hand + 1) % s.most
	}
	delete(s.places, s.entries[s.hand].key)
	s.entries[s.hand] = e
	s.places[key] = uint32(s.hand) //nolint:gosec // a number of keys
	s.hand = (s.hand + 1) % s.most
	return e.bucket
}
