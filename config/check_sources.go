package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// source checks the one that has a function's service.
func (c *checker) source(p *path, fn Function) {
	var top *path
	block := top.key("discovery")
	source, name := fn.Source()
	dis := c.cfg.Discovery
	switch {
	case !c.d.sound(block, block.key(source)):
	case source == FromConsul && dis.Consul == nil && name == fn.Service && !strings.Contains(name, ":") && dis.File != nil && dis.HTTP != nil:
		c.fail(p, "say which: file:"+name+" or http:"+name, "is %q, which could be in file or in http", fn.Service)
	case source == FromConsul && dis.Consul == nil:
		hint := "add discovery: { consul: { address: 127.0.0.1:8500 } }"
		if prefix, _, ok := strings.Cut(name, ":"); ok {
			hint = didYouMean(prefix, allSources)
		}
		c.fail(p, hint, "is %q, but there is no registry to ask", fn.Service)
	case !dis.has(source):
		c.fail(p, "", "is %q, but there is no discovery.%s", fn.Service, source)
	case source == FromDNS:
		c.nameOfService(p, name)
	case name == "":
		c.fail(p, "say service: "+source+":checkout", "has no name: %q", fn.Service)
	}
}

// nameOfService checks what is asked of name servers.
func (c *checker) nameOfService(p *path, name string) {
	const form = "write it as in dns:checkout.internal:8080, or without a port for SRV: dns:_http._tcp.checkout.internal"
	host := name
	if strings.Contains(name, ":") {
		if bad := readHostPort(name, true); bad != nil {
			c.fail(p, form, "%s", bad.what)
			return
		}
		host, _, _ = net.SplitHostPort(name)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		c.fail(p, "list it under endpoints", "is an address and no name: %q", host)
	} else if host == "" || !isHost(host) {
		c.fail(p, form, "is not a name that name servers know: %q", host)
	}
}

func (c *checker) file(p *path, f FileDiscovery) {
	switch {
	case f.Path == "":
		c.missing(p.key("path"), "say path: endpoints.yaml")
	case strings.ContainsRune(f.Path, 0):
		c.fail(p.key("path"), "", "has a NUL in it")
	}
}

func (c *checker) dns(p *path, d DNSDiscovery) {
	for i, server := range d.Servers {
		at := p.key("servers").item(i)
		if bad := readHostPort(server, true); bad != nil {
			c.fail(at, "write it as in 10.0.0.2:53", "%s", bad.what)
			continue
		}
		if host, _, _ := net.SplitHostPort(server); host != "" {
			if _, err := netip.ParseAddr(host); err != nil {
				c.fail(at, "write its address, as in 10.0.0.2:53", "has a name for a host, which nobody can look up: %q", server)
			}
		}
	}
	c.positive(p.key("timeout"), d.Timeout)
	c.positive(p.key("min_ttl"), d.MinTTL)
	if d.MaxTTL < d.MinTTL {
		c.fail(p.key("max_ttl"), "raise it, or lower min_ttl", "%v is under min_ttl %v", d.MaxTTL, d.MinTTL)
	}
}

func (c *checker) http(p *path, h HTTPDiscovery) {
	u, err := url.Parse(h.URL)
	switch at := p.key("url"); {
	case h.URL == "":
		c.missing(at, "say url: https://cmdb.internal/endpoints")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		c.fail(at, "write it as in https://cmdb.internal/endpoints", "is no URL with http:// or https://: %q", h.URL)
	case u.User != nil:
		c.fail(at, "say token_file", "has a password in it, which would be shown")
	}
	c.positive(p.key("interval"), h.Interval)
	c.positive(p.key("timeout"), h.Timeout)
	const least, most = 1 << 10, 1 << 30
	if h.MaxBytes < least || h.MaxBytes > most {
		c.fail(p.key("max_bytes"), "", "must be from %v to %v, not %v", Size(least), Size(most), h.MaxBytes)
	}
}
