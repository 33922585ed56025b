package table

import (
	"bytes"
	"math"
	"math/rand/v2"
	"sync/atomic"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// A split shares the calls of a route out among functions. All but turn is
// frozen; Pick may be called from any goroutine.
type split struct {
	shares []share
	order  []uint8 // whose turn it is, over and over
	turn   atomic.Uint64
	header []byte // whose value keeps a client with its function
	cookie []byte
	yields bool // who has no endpoint leaves its calls to the others
}

// A share is what one function has of a split.
type share struct {
	to     *Route
	weight float64
	hash   uint64 // of the function's name
}

// newSplit makes a split of routes that differ only in their function.
func newSplit(routes []*Route, weights []int, sticky *config.Sticky) *split {
	s := &split{order: turns(weights)}
	for i, to := range routes {
		s.shares = append(s.shares, share{to, float64(weights[i]), hash([]byte(to.Name))})
	}
	if sticky != nil && sticky.Header != "" {
		s.header = []byte(sticky.Header)
	}
	if sticky != nil && sticky.Cookie != "" {
		s.cookie = []byte(sticky.Cookie)
	}
	// Anywhere: a table that is rebuilt a hundred times a second would else
	// always begin with the same function.
	s.turn.Store(rand.Uint64N(uint64(len(s.order))))
	return s
}

// turns is a sequence in which everyone has their exact share, and after any
// number of turns nobody is a whole turn ahead or behind: Tijdeman, "The
// chairman assignment problem", 1980. It is as long as the sum of the weights.
func turns(weights []int) []uint8 {
	sum, divisor, chairs := 0, 0, 0
	for _, w := range weights {
		sum += w
		divisor = gcd(divisor, w)
		if w > 0 {
			chairs++
		}
	}
	length := sum / divisor
	order := make([]uint8, 0, length)
	had := make([]float64, len(weights))
	slack := 1 / math.Max(1, float64(2*chairs-2))
	for k := 1; k <= length; k++ {
		best, least := -1, math.Inf(1)
		for i, w := range weights {
			part := float64(w) / float64(sum)
			due := part*float64(k) - had[i]
			if w == 0 || due < slack-1e-9 {
				continue
			}
			if until := (1 - slack - due) / part; until < least-1e-9 {
				best, least = i, until
			}
		}
		had[best]++
		order = append(order, uint8(best))
	}
	return order
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Pick returns the route with the function that a request goes to: itself, if
// it is no split.
func (to *Route) Pick(r *message.Request) *Route {
	s := to.split
	if s == nil {
		return to
	}
	if value := s.sticks(r); len(value) > 0 {
		return s.byHash(hash(value))
	}
	to = s.shares[s.order[(s.turn.Add(1)-1)%uint64(len(s.order))]].to
	if s.yields && to.idle() {
		to = s.other(to)
	}
	return to
}

// idle tells whether nobody serves the route's function.
func (to *Route) idle() bool {
	return to.State != nil && to.Start == nil && len(to.Set().Endpoints) == 0
}

// other finds one with an endpoint; if there is none, it is to.
func (s *split) other(to *Route) *Route {
	from := int(s.turn.Load() % uint64(len(s.shares)))
	for i := range s.shares {
		if next := s.shares[(from+i)%len(s.shares)].to; !next.idle() {
			return next
		}
	}
	return to
}

// byHash is weighted rendezvous hashing: each function draws a number that the
// value and its name decide, weighed, and the largest wins. A change of one
// weight changes one function's numbers only, so calls move only to it or from
// it. Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005.
func (s *split) byHash(value uint64) *Route {
	var to *Route
	best := math.Inf(-1)
	for i := range s.shares {
		if s.shares[i].weight == 0 {
			continue
		}
		drawn := (float64(mix(value^s.shares[i].hash)>>11) + 0.5) / (1 << 53)
		if score := -s.shares[i].weight / math.Log(drawn); score > best {
			to, best = s.shares[i].to, score
		}
	}
	return to
}

// sticks returns the value that keeps a client with its function.
func (s *split) sticks(r *message.Request) (value []byte) {
	switch {
	case s.header != nil:
		return FieldValue(r.Fields, s.header)
	case s.cookie != nil:
		return CookieValue(r.Fields, s.cookie)
	}
	return nil
}

// FieldOf is the value of the first field that is the Key's; nil if there is none.
func FieldOf(fields []message.Field, key *message.Key) []byte {
	if i := key.Find(fields); i >= 0 {
		return fields[i].Value
	}
	return nil
}

// FieldValue is FieldOf for a name without a number.
func FieldValue(fields []message.Field, name []byte) []byte {
	return FieldOf(fields, &message.Key{Name: name})
}

// CookieValue is that of the first cookie with a name; nil if there is none.
func CookieValue(fields []message.Field, name []byte) []byte {
	for i := range fields {
		if cookies := cookiesIn(&fields[i]); len(cookies) > len(name) {
			if value, ok := cookieIn(cookies, name); ok {
				return value
			}
		}
	}
	return nil
}

func cookieIn(cookies, name []byte) (value []byte, ok bool) {
	if !bytes.Contains(cookies, name) { // most clients have others only
		return nil, false
	}
	for len(cookies) > 0 {
		var pair []byte
		pair, cookies = cutAt(cookies, ';')
		pair = message.Trim(pair)
		if n := len(name); len(pair) > n && pair[n] == '=' && bytes.Equal(pair[:n], name) {
			return unquoted(pair[n+1:]), true
		}
	}
	return nil, false
}

// hash is FNV-1a, which every weir computes alike, mixed (mix).
func hash(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return mix(h)
}

// mix is the end of SplitMix64: every bit of h decides about every bit of the
// result.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// A Share is what a function has of a route's calls, in percent.
type Share struct {
	Function string
	Percent  float64
}

// Shares are those of a split; of any other route its one function.
func (to *Route) Shares() (shares []Share) {
	if to.split == nil {
		return []Share{{to.Name, 100}}
	}
	sum := 0.0
	for _, s := range to.split.shares {
		sum += s.weight
	}
	for _, s := range to.split.shares {
		shares = append(shares, Share{s.to.Name, 100 * s.weight / sum})
	}
	return shares
}
