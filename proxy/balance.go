package proxy

import (
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// Which endpoint a call would rather have.

// choose draws an endpoint by the function's policy; r is a random number. The
// set is not empty.
func (c *Call) choose(set *table.Set, r uint64, now moment.Moment) *table.Endpoint {
	if len(set.Endpoints) == 1 {
		return set.Endpoints[0]
	}
	switch set.Policy {
	case table.RoundRobin:
		ep := set.NextTurn()
		if c.fn.Hedging != nil && ep.Outrun.Last(now) {
			ep = set.NextTurn() // once: all may be
		}
		return ep
	case table.ConsistentHash:
		if key, ok := c.fn.HashKey(&c.Request, c.Client.Text); ok {
			return c.hashed(set, key, now)
		}
	}
	// Two random choices: Mitzenmacher, "The Power of Two Choices in Randomized
	// Load Balancing", 2001.
	ep, other := set.DrawTwo(r)
	if c.fn.Hedging != nil && ep.Outrun.Last(now) != other.Outrun.Last(now) {
		if ep.Outrun.Last(now) {
			return other
		}
		return ep
	}
	if set.Policy == table.PeakEWMA {
		if set.Cost(other, now) < set.Cost(ep, now) {
			return other
		}
	} else if set.Even() && other.Link.Slots.InFlight() < ep.Link.Slots.InFlight() || !set.Even() && lessBusy(other, ep) {
		return other
	}
	return ep
}

// zone picks the part of a region for a call; of those with a key always the same while
// the parts stay.
func (c *Call) zone(z *table.Zones, r uint64) *table.Set {
	if c.fn.LoadBalancing.Policy == "consistent_hash" {
		if key, ok := c.fn.HashKey(&c.Request, c.Client.Text); ok {
			r = key
		}
	}
	return z.DrawFor(r)
}

// hashed is the endpoint that a key belongs to, or of those after it the first
// that fares well and has no more than its share (Mirrokni, Thorup, Zadimoghaddam,
// "Consistent Hashing with Bounded Loads", 2016).
func (c *Call) hashed(set *table.Set, key uint64, now moment.Moment) *table.Endpoint {
	inside, _ := c.fn.Gate.Inside()
	first := set.Owner(key, 0)
	for i := range set.Steps() {
		ep := set.Owner(key, i)
		if ep.Well(now) && !c.hasTried(ep) &&
			ep.Link.Slots.InFlight() < set.Bound(ep, inside, c.fn.LoadBalancing.BoundedLoad) {
			return ep
		}
	}
	return first
}

// sticky is the endpoint that the client's cookie names, if that is here.
func (c *Call) sticky(set *table.Set) *table.Endpoint {
	value := table.CookieValue(c.Request.Fields, c.fn.StickyCookie)
	if len(value) != len(table.Mark{}) {
		return nil
	}
	ep := set.Marked(table.Mark(value))
	if ep != nil && set.Split != nil && !set.Split.Keeps(ep) {
		return nil
	}
	return ep
}

var nameSetCookie = []byte("Set-Cookie")

// addCookie names the endpoint of the answer, if the client's cookie does not.
func (c *Call) addCookie(fields []message.Field) []message.Field {
	if c.fn.StickyCookie == nil || !c.relayed || c.last == nil || c.last.Cookie == nil || c.kept || c.heldBy != nil { // else the holder has named it
		return fields
	}
	return append(fields, message.Field{Name: nameSetCookie, Value: c.last.Cookie})
}
