package config

import (
	"strings"
	"time"
)

// LoadBalancing says which of a function's endpoints has a call.
type LoadBalancing struct {
	// Policy is how one is chosen. least_request: the one with fewer calls in flight
	// of two that are drawn at random. round_robin: one after the other, as often as
	// its weight says, evenly spread. peak_ewma: of two at random the one that
	// promises the earlier answer, by its answers of late and the calls on it;
	// a slow answer counts at once, fast ones only by and by. consistent_hash: the
	// same one for the same hash_key as long as it is there, so that what it keeps in
	// memory is of use, unless it has too many calls (bounded_load).
	Policy string `yaml:"policy" default:"least_request" enum:"least_request,round_robin,peak_ewma,consistent_hash"`
	// HashKey is what consistent_hash goes by: header:NAME, cookie:NAME, path or
	// client (its address). Calls without it go by least_request.
	HashKey string `yaml:"hash_key" default:"client"`
	// BoundedLoad is how many calls, in percent of its share, an endpoint has at
	// most before the next one has the key.
	BoundedLoad int `yaml:"bounded_load" default:"125"`
	// Regions is how the region of a call is chosen: by their weights, or of each
	// priority the nearest to the client that can take it (geography). Calls of
	// clients whose place is not known go by the weights.
	Regions string `yaml:"regions" default:"weights" enum:"weights,nearest"`
	// Zones says whether endpoints of this weir's own zone are preferred. prefer: of the
	// calls that are for its region as many stay in its zone as leave each endpoint
	// its due, if all zones have the same calls come in: all, where the zones weigh the
	// same. ignore: every endpoint of the region is as near.
	Zones string `yaml:"zones" default:"ignore" enum:"ignore,prefer"`
	// SlowStart lets an endpoint that comes or comes back have its calls by and by, as
	// failover.slow_start does for a region: it has (t / window) ^ (1 / aggression) of
	// its weight, in steps of a twentieth. consistent_hash has none: keys would move
	// twice. Without it an endpoint has all at once.
	SlowStart *SlowStart `yaml:"slow_start"`
	// Sticky brings a client back to the endpoint that it was at, by a cookie.
	Sticky *StickyEndpoint `yaml:"sticky"`
}

// StickyEndpoint is a cookie that weir sets. It says neither address nor name of the
// endpoint. If that one is not there, does not fare well or is full, another has
// the call, and the cookie from then on.
type StickyEndpoint struct {
	// Cookie is its name.
	Cookie string `yaml:"cookie" default:"weir"`
	// TTL is how long a browser keeps it; 0 is until it is closed.
	TTL time.Duration `yaml:"ttl" default:"0s"`
}

// HashHeader is the name of the field that HashKey is; empty if it is none.
func (l *LoadBalancing) HashHeader() string { return cutKind(l.HashKey, "header:") }

// HashCookie is the name of the cookie that HashKey is; empty if it is none.
func (l *LoadBalancing) HashCookie() string { return cutKind(l.HashKey, "cookie:") }

func cutKind(key, kind string) string {
	name, found := strings.CutPrefix(key, kind)
	if !found {
		return ""
	}
	return name
}

func (c *checker) loadBalancing(p *path, l LoadBalancing) {
	if l.HashKey != "client" && l.HashKey != "path" && !validField.MatchString(l.HashHeader()) && !validField.MatchString(l.HashCookie()) {
		c.fail(p.key("hash_key"), "say header:x-user, cookie:session, path or client", "is nothing to go by: %q", l.HashKey)
	}
	if l.BoundedLoad < 100 || l.BoundedLoad > 100_000 {
		c.fail(p.key("bounded_load"), "say bounded_load: 125 for a quarter more than its share", "must be from 100 to 100000, not %d", l.BoundedLoad)
	}
	if l.Zones == "prefer" && c.cfg.Zone == "" {
		c.fail(p.key("zones"), "say where this weir is: zone: a, or WEIR_ZONE in its environment", "is prefer, but this weir has no zone")
	}
	if s := l.SlowStart; s != nil {
		at := p.key("slow_start")
		if l.Policy == "consistent_hash" {
			c.fail(at, "take it out", "does nothing with consistent_hash: keys would move twice")
		}
		c.slowStart(at, *s)
	}
	if s := l.Sticky; s != nil && !validField.MatchString(s.Cookie) {
		c.fail(p.key("sticky").key("cookie"), "say cookie: weir", "is not the name of a cookie: %q", s.Cookie)
	}
}
