package config

import "net/netip"

// Peers are the routers that share limits with this one, itself among them. Who
// they are is learned as the endpoints of a function are, and each router has to
// be told the same. Several addresses of one router count as several routers, for
// itself too, so that the parts of all are one whole.
type Peers struct {
	// Service under which a source of discovery has the routers: weir in Consul,
	// file:weir, http:weir, dns:weir.internal:8080. weir does not register itself.
	// Those with weight 0 take no calls, and do not count.
	Service string `yaml:"service"`
	// ServiceTags that a router must have, all of them.
	ServiceTags []string `yaml:"service_tags"`
	// Addresses of routers, as host:port, that always count.
	Addresses []string `yaml:"addresses"`
	// Self is this router's address, IP:port, as the others have it. Without it,
	// those are its own whose port is that of a listener or of admin, at an address
	// of this machine; so it has to be said behind a translation of addresses, and
	// in a container with published ports. If nobody lists it, it counts all the
	// same.
	Self string `yaml:"self"`
}

// Function is how a source of discovery is asked for the routers.
func (p *Peers) Function() Function {
	fn := Function{Name: "_peers", Service: p.Service, ServiceTags: p.ServiceTags, ServiceScheme: "http"}
	for _, address := range p.Addresses {
		fn.Endpoints = append(fn.Endpoints, Endpoint{Address: address, Weight: 1})
	}
	return fn
}

func (c *checker) peers(p *path, peers *Peers) {
	if peers == nil {
		return
	}
	if peers.Service == "" && len(peers.Addresses) == 0 {
		c.missing(p.key("service"), "say service: weir, or addresses: [10.0.0.1:8080, 10.0.0.2:8080]")
	}
	fn := peers.Function()
	fn.Name = "weir" // for who has to be told what a service could be called
	c.service(p, fn)
	seen := map[string]*path{}
	for i, address := range peers.Addresses {
		at := p.key("addresses").item(i)
		c.address(at, address, true)
		if first := seen[address]; first != nil {
			c.fail(at, "", "%q is listed already at %s", address, c.d.where(first))
		}
		seen[address] = at
	}
	if peers.Self == "" {
		return
	}
	if _, err := netip.ParseAddrPort(peers.Self); err != nil {
		c.fail(p.key("self"), "write it as in 10.0.0.1:8080", "is not IP:port: %q", peers.Self)
	}
}
