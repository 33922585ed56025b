package config

import (
	"net/url"
	"strings"
)

// discovery checks where endpoints are learned from.
func (c *checker) discovery(p *path, dis Discovery) {
	if strings.ContainsRune(dis.Remember, 0) {
		c.fail(p.key("remember"), "", "has a NUL in it")
	}
	if dis.Consul != nil {
		c.consul(p.key("consul"), *dis.Consul)
	}
	if dis.File != nil {
		c.file(p.key("file"), *dis.File)
	}
	c.dns(p.key("dns"), dis.DNS)
	if dis.HTTP != nil {
		c.http(p.key("http"), *dis.HTTP)
	}
}

func (c *checker) consul(p *path, consul Consul) {
	c.agent(p.key("address"), consul.Address)
	if consul.TLS != nil {
		at := p.key("tls")
		if c.d.sound(p.key("address")) && !strings.HasPrefix(consul.Address, HTTPS) {
			c.fail(at, "say address: https://host:port, or take it out", "is of no use: address does not begin with https://")
		}
		c.upstreamTLS(at, consul.TLS)
	}
	if strings.ContainsRune(consul.TokenFile, 0) {
		c.fail(p.key("token_file"), "", "has a NUL in it")
	}
	regions := map[string]*path{}
	for _, region := range sortedKeys(consul.Datacenters) {
		at, dc := p.key("datacenters").entry(region), consul.Datacenters[region]
		c.name(at, region)
		switch first := regions[dc]; {
		case !validName.MatchString(dc):
			c.fail(at, "say the region, then the datacenter: us-east: dc1", "is not the name of a datacenter: %q", dc)
		case first != nil:
			c.fail(at, "a datacenter is in one region", "%q is the datacenter of the region at %s already", dc, c.d.where(first))
		}
		regions[dc] = at
	}
	const fewest = 4
	if consul.MaxConnections < fewest {
		c.fail(p.key("max_connections"), "", "must be %d or more, not %d", fewest, consul.MaxConnections)
	}
}

// agent checks where an agent of Consul is.
func (c *checker) agent(p *path, text string) {
	const form = "write it as in 127.0.0.1:8500, https://consul.internal:8501 or unix:///run/consul.sock"
	if file, ok := strings.CutPrefix(text, "unix://"); ok {
		if !strings.HasPrefix(file, "/") {
			c.fail(p, form, "is not an absolute path: %q", file)
		}
		return
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		c.address(p, text, true)
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || scheme != "http" && scheme != "https":
		c.fail(p, form, "is not the address of an agent: %q", text)
	case u.User != nil:
		c.fail(p, "say CONSUL_HTTP_AUTH in the environment", "has a password in it, which would be shown and logged")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		c.fail(p, form, "has more than host and port: %q", text)
	default:
		c.address(p, strings.TrimSuffix(rest, "/"), true)
	}
}

// service checks what a function is called in the registry.
func (c *checker) service(p *path, fn Function) {
	at := p.key("service")
	switch {
	case fn.Service == "":
		if len(fn.ServiceTags) > 0 {
			c.fail(p.key("service_tags"), "add service: "+fn.Name, "are of no service")
		}
		return
	case strings.ContainsFunc(fn.Service, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '/' }) || len(fn.Service) > 255:
		c.fail(at, "", "is not the name of a service: %q", fn.Service)
	default:
		c.source(at, fn)
	}
	for i, tag := range fn.ServiceTags {
		if tag == "" {
			c.fail(p.key("service_tags").item(i), "", "is empty")
		}
	}
}
