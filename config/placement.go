package config

import (
	"net/netip"
	"slices"
)

// placement checks that the routers of a function that one of them holds can hand calls
// to one another.
func (c *checker) placement(p *path, cs ColdStart) {
	var top *path
	at, peers, listeners := p.key("placement"), top.key("peers"), top.key("listeners")
	if cs.Placement != "one_router" || !c.d.sound(at) {
		return
	}
	switch {
	case cs.Scaler == "" && c.d.sound(p.key("scaler")):
		c.fail(at, "add scaler: process, or take it out", "is for a function that calls raise, and nothing raises this one")
	case c.cfg.Peers == nil && c.d.sound(peers):
		c.fail(at, "say who they are: peers: { service: weir }", "is one_router, but there are no peers")
	case c.cfg.Peers != nil && c.d.sound(peers, listeners):
		if stranger, is := c.strangerAmong(c.cfg.Peers.Addresses); is {
			c.fail(at, "add the routers to trusted_proxies of the listeners", "is one_router, but peers do not believe one another: %s", stranger)
		}
	}
}

// strangerAmong tells which of the addresses of peers no listener trusts; those that are
// names, and those of a registry, weir finds out as they come.
func (c *checker) strangerAmong(peers []string) (stranger string, is bool) {
	trusted := func(ip netip.Addr) bool {
		return slices.ContainsFunc(c.cfg.Listeners, func(l Listener) bool {
			return slices.ContainsFunc(l.TrustedProxies, func(n netip.Prefix) bool { return n.Contains(ip.Unmap()) })
		})
	}
	if !slices.ContainsFunc(c.cfg.Listeners, func(l Listener) bool { return len(l.TrustedProxies) > 0 }) {
		return "no listener has trusted_proxies", true
	}
	for _, address := range peers {
		if at, err := netip.ParseAddrPort(address); err == nil && !trusted(at.Addr()) {
			return "no listener trusts " + at.Addr().String(), true
		}
	}
	return "", false
}
