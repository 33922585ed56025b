package shaping

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"
	"net/textproto"
	"slices"
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

// A Limiter has the limits of one function; the zero value has none. All methods may be
// called from any goroutine.
type Limiter struct {
	limits  atomic.Pointer[Limits] // nil: none
	limited atomic.Int64
	made    int // limits; of who configures it
}

// Limits are those of a function at one moment. A call is let in if all of them let it
// in, and takes from all of them; if one does not, it takes from none. That is exact, in
// whatever order calls come and however many at once: all buckets that a call is in are
// locked while it is decided, so that none is turned away for what another holds for a
// moment and then gives back. A limit that is alone needs no lock for that (take); when
// another joins it by a reload, calls that are inside take just then may be let in beyond.
type Limits struct {
	Each []*Limit
	// Policy is what clients are told of them, and Left, of each, what they are told before
	// what is left of it.
	Policy []byte
	Left   [][]byte

	order []int // in which they are locked: that of their making, which is the same in all Limits
	of    *Limiter
}

// A Limit has a token bucket for each key, and no more of them than it may.
//
// A key is a hash: of 64 bits with a seed of its own, so that nobody can choose
// one that meets another's, and two of a million meet with a chance of 1 in 30
// million. Its text is not kept, however long.
type Limit struct {
	config.RateLimit
	Field   []byte // the name of that whose value is the key; nil if the key is another
	portion atomic.Pointer[portion]
	limited atomic.Int64
	shards  []shard
	made    int // as which of its Limiter's
}

// A Key is whose calls are counted together.
type Key uint64

// Whole is the key of all calls of a function.
const Whole Key = 0

var seed = maphash.MakeSeed()

// KeyOf is the key that a text is.
func KeyOf(text []byte) Key { return Key(maphash.Bytes(seed, text)) }

// Configure sets the limits, and which part of them is this router's from the moment
// now on, as far as they are shared. A limit that was there before keeps its buckets, in
// whatever place; one that is new, or another now, has full ones. Where the part changes
// the buckets keep what they have as far as it fits. One goroutine calls it.
func (l *Limiter) Configure(c config.RateLimits, policy []byte, part Part, now time.Time) {
	if len(c) == 0 {
		l.limits.Store(nil)
		return
	}
	next := &Limits{Policy: policy, of: l}
	before, separator := l.limits.Load(), ""
	for _, name := range c.Names() {
		next.Left = append(next.Left, fmt.Appendf(nil, "%s\"%s\";r=", separator, name))
		separator = ", "
	}
	for _, r := range c {
		limit := before.find(r, next)
		if limit == nil {
			limit = newLimit(r)
			l.made++
			limit.made = l.made
		}
		limit.divide(part, now)
		next.Each = append(next.Each, limit)
		next.order = append(next.order, len(next.order))
	}
	slices.SortFunc(next.order, func(a, b int) int { return cmp.Compare(next.Each[a].made, next.Each[b].made) })
	l.limits.Store(next)
}

// find is the limit that was set by the same words; nil if there is none that next does
// not have already.
func (s *Limits) find(r config.RateLimit, next *Limits) *Limit {
	if s == nil {
		return nil
	}
	for _, limit := range s.Each {
		if limit.RateLimit == r && !slices.Contains(next.Each, limit) {
			return limit
		}
	}
	return nil
}

// divide gives this router a part of the limit, if it is shared.
func (b *Limit) divide(part Part, now time.Time) {
	if !b.Shared {
		part = Part{}
	}
	was := b.portion.Load()
	if was != nil && was.Part == part {
		return
	}
	next := newPortion(&b.RateLimit, part)
	if was != nil {
		next.since, next.era = now, was.era+1
	}
	b.portion.Store(next)
}

// Limits are the present ones; nil if there are none.
func (l *Limiter) Limits() *Limits { return l.limits.Load() }

// All are the limits, if there are any.
func (s *Limits) All() []*Limit {
	if s == nil {
		return nil
	}
	return s.Each
}

// Limited is how many calls were not let in.
func (l *Limiter) Limited() int { return int(l.limited.Load()) }

// Keys is for how many keys there are buckets, of all limits together.
func (l *Limiter) Keys() (n int) {
	s := l.limits.Load()
	if s == nil {
		return 0
	}
	for _, limit := range s.Each {
		n += limit.keys()
	}
	return n
}

// Portion is what of the limit each key has: calls per second, and at once.
func (b *Limit) Portion() (perSecond float64, burst int) {
	p := b.portion.Load()
	return p.perSecond, p.burst
}

// Limited is how many calls it did not let in.
func (b *Limit) Limited() int { return int(b.limited.Load()) }

func (b *Limit) keys() (n int) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		n += len(s.buckets)
		s.mu.Unlock()
	}
	return n
}

// Take lets a call in at the moment now, with a key for each limit, or returns
// ErrLimited, and writes what is left to each key. by is the limit that turned it away;
// of several the one that will do so for the longest. It allocates for a key that is new.
func (s *Limits) Take(keys []Key, now time.Time, left []Quota) (by int, err error) {
	if len(s.Each) == 1 { // most have one: 20 ns of a call less than below (2026-11-27)
		if in := s.Each[0].take(keys[0], now, &left[0]); !in {
			return 0, s.turnedAway(0)
		}
		return -1, nil
	}
	var buckets [config.MostLimits]*bucket
	for _, i := range s.order {
		limit := s.Each[i]
		shard := limit.shard(keys[i])
		shard.mu.Lock()
		buckets[i] = shard.findLocked(keys[i], limit.portion.Load())
	}
	by = -1
	var tokens [config.MostLimits]float64
	for i, limit := range s.Each {
		p := limit.portion.Load()
		tokens[i] = buckets[i].TokensAt(now)
		if p.covers(tokens[i]) {
			continue
		}
		if left[i] = p.quota(tokens[i]); by < 0 || left[i].Next > left[by].Next {
			by = i
		}
	}
	for i := range s.Each {
		if by < 0 && buckets[i].AllowN(now, 1) {
			tokens[i]--
		}
	}
	for _, i := range s.order {
		s.Each[i].shard(keys[i]).mu.Unlock()
	}
	for i, limit := range s.Each {
		left[i] = limit.portion.Load().quota(tokens[i])
	}
	if by < 0 {
		return by, nil
	}
	return by, s.turnedAway(by)
}

func (s *Limits) turnedAway(by int) error {
	s.Each[by].limited.Add(1)
	s.of.limited.Add(1)
	return ErrLimited
}

// take lets a call in by this limit alone, which a bucket decides in one step.
func (b *Limit) take(key Key, now time.Time, left *Quota) (in bool) {
	p := b.portion.Load()
	bucket := b.shard(key).find(key, p)
	in = bucket.AllowN(now, 1)
	*left = p.quota(bucket.TokensAt(now))
	return in
}

func (b *Limit) shard(key Key) *shard {
	at, _ := bits.Mul64(uint64(key), uint64(len(b.shards))) // a key is a hash
	return &b.shards[at]
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

func newLimit(c config.RateLimit) *Limit {
	n := min(mostShards, (c.MaxKeys+mostShards-1)/mostShards)
	b := &Limit{RateLimit: c, shards: make([]shard, n)}
	if name := c.Header(); name != "" {
		b.Field = []byte(textproto.CanonicalMIMEHeaderKey(name)) // as most clients write it
	}
	for i := range b.shards {
		b.shards[i].most = c.MaxKeys / n
		b.shards[i].places = map[Key]uint32{}
	}
	return b
}

// covers tells whether so many tokens let a call in, up to a nanosecond as a bucket does.
func (p *portion) covers(tokens float64) bool { return tokens >= 1 || (1-tokens)/p.perSecond*1e9 < 1 }

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
	last    atomic.Pointer[bucket] // that was asked for under the lock
	mu      sync.Mutex             // guards all below
	most    int
	places  map[Key]uint32 // in buckets
	buckets []*bucket
	hand    int
}

type bucket struct {
	*rate.Limiter
	key  Key
	era  atomic.Uint32 // of the portion that it has; written under the lock
	used bool          // since the hand came by; guarded by the lock
}

// find is the bucket of a key, made if there is none. For a key that nobody came after it
// takes no lock (10 to 16 ns of a call, 2026-11-27): its bucket is not the next to go
// either, as the hand only moves for another key.
func (s *shard) find(key Key, p *portion) *bucket {
	if b := s.last.Load(); b != nil && b.key == key && b.era.Load() == p.era {
		return b
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.findLocked(key, p)
}

func (s *shard) findLocked(key Key, p *portion) *bucket {
	at, known := s.places[key]
	if !known {
		at = s.makeLocked(key, p)
	}
	b := s.buckets[at]
	b.used = known
	if int32(p.era-b.era.Load()) > 0 { //nolint:gosec // a difference; never back: another call may have a newer portion
		b.SetLimitAt(p.since, rate.Limit(p.perSecond))
		b.SetBurstAt(p.since, p.burst)
		b.era.Store(p.era)
	}
	s.last.Store(b)
	return b
}

// makeLocked makes a bucket, in the place of another one if the shard is full.
func (s *shard) makeLocked(key Key, p *portion) (at uint32) {
	b := &bucket{Limiter: rate.NewLimiter(rate.Limit(p.perSecond), p.burst), key: key}
	b.era.Store(p.era)
	if len(s.buckets) < s.most {
		s.buckets = append(s.buckets, b)
		at = uint32(len(s.buckets) - 1) //nolint:gosec // a number of keys
	} else {
		for ; s.buckets[s.hand].used; s.hand = (s.hand + 1) % s.most {
			s.buckets[s.hand].used = false
		}
		at = uint32(s.hand) //nolint:gosec // a number of keys
		delete(s.places, s.buckets[at].key)
		s.buckets[at] = b
		s.hand = (s.hand + 1) % s.most
	}
	s.places[key] = at
	return at
}
