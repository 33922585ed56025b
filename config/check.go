package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// A checker holds a complete Config against what is possible. It changes
// nothing, so a Config that passed once passes always.
type checker struct {
	cfg *Config
	d   *document // where things are, and what was complained about already
}

func (c *checker) check() {
	var top *path
	if v := c.cfg.Version; v != 1 {
		c.fail(top.key("version"), "only version 1 exists", "is %d", v)
	}
	c.name(top.key("region"), c.cfg.Region)
	c.listeners(top.key("listeners"))
	c.admin(top.key("admin").key("address"))
	if strings.ContainsRune(c.cfg.Admin.OverridesFile, 0) {
		c.fail(top.key("admin").key("overrides_file"), "", "has a NUL in it")
	}
	c.discovery(top.key("discovery"), c.cfg.Discovery)
	c.peers(top.key("peers"), c.cfg.Peers)
	c.timeouts(top.key("defaults").key("timeouts"), c.cfg.Defaults.Timeouts, Timeouts{-1, -1, -1, -1, -1})
	c.fieldName(top.key("defaults").key("deadline").key("header"), c.cfg.Defaults.Deadline.Header)
	c.regions(top.key("regions"))
	c.failover(top.key("failover"), c.cfg.Failover)
	c.geography(top.key("geography"), c.cfg.Geography)
	c.tenants(top.key("tenants"), c.cfg.Tenants)
	for _, name := range sortedKeys(c.cfg.Functions) {
		c.function(top.key("functions").entry(name), *c.cfg.Functions[name])
	}
	c.positive(top.key("async").key("keep"), c.cfg.Async.Keep)
	c.scalers(top.key("scalers"))
	c.routes(top.key("routes"))
	c.accessLog(top.key("telemetry").key("access_log").key("output"))
	c.tracing(tracingPath(), c.cfg.Telemetry.Tracing)
}

// fail reports a mistake about a path; format goes on after its name.
func (c *checker) fail(p *path, hint, format string, args ...any) {
	c.d.fail(p, p.String()+" "+fmt.Sprintf(format, args...), hint)
}

// missing reports a key that has to be there. If something else in the same
// block was wrong, that was probably it.
func (c *checker) missing(p *path, hint string) {
	if c.d.sound(p.up) {
		c.fail(p, hint, "is missing")
	}
}

// validName is what can stand in a label, in a URL of the admin interface and,
// as in us-east=50, on the command line.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func (c *checker) name(p *path, name string) {
	if !validName.MatchString(name) {
		c.fail(p, "use up to 63 letters, digits, dots, dashes and underscores", "has an impossible name: %q", name)
	}
}

func (c *checker) listeners(p *path) {
	if len(c.cfg.Listeners) == 0 {
		c.missing(p, `weir needs at least one: listeners: [{ address: ":8080" }]`)
	}
	names, sockets := map[string]*path{}, map[string]*path{}
	for i, l := range c.cfg.Listeners {
		at := p.item(i)
		if l.Address == "" {
			c.missing(at.key("address"), `say address: ":8080"`)
			continue
		}
		c.address(at.key("address"), l.Address, false)
		c.limits(at.key("limits"), l.Limits)
		c.access(at.key("access"), l.Access)
		c.proxyProtocol(at.key("proxy_protocol"), l.ProxyProtocol)
		s := socket(l.Address)
		if s == "" {
			continue // each its own port
		}
		if first := sockets[s]; first != nil {
			c.fail(at.key("address"), "", "%q is taken by the listener at %s", l.Address, c.d.where(first))
		} else if first := names[l.Name]; first != nil {
			c.fail(at.key("name"), "", "%q is the name of the listener at %s already", l.Name, c.d.where(first))
		}
		sockets[s], names[l.Name] = at.key("address"), at.key("name")
	}
}

func (c *checker) address(p *path, address string, called bool) {
	if bad := readHostPort(address, called); bad != nil {
		c.fail(p, bad.hint, "%s", bad.what)
	}
}

func (c *checker) limits(p *path, l Limits) {
	const least, most = 1 << 10, 1 << 20
	if l.HeadBytes < least || l.HeadBytes > most {
		c.fail(p.key("head_bytes"), "", "must be from %v to %v, not %v", Size(least), Size(most), l.HeadBytes)
	}
	if l.Fields < 1 || l.Fields > 1000 {
		c.fail(p.key("fields"), "", "must be from 1 to 1000, not %d", l.Fields)
	}
}

// access refuses a list that is there and empty: whoever made it from a
// variable meant nobody, and would get everybody.
func (c *checker) access(p *path, a Access) {
	for key, list := range map[string][]netip.Prefix{"allow": a.Allow, "deny": a.Deny} {
		if list != nil && len(list) == 0 && c.d.sound(p.key(key)) {
			c.fail(p.key(key), "leave the key out, or say whom it is about", "is empty")
		}
	}
}

// proxyProtocol refuses one that nobody speaks.
func (c *checker) proxyProtocol(p *path, pp ProxyProtocol) {
	if pp.Header == "optional" && len(pp.From) == 0 {
		c.missing(p.key("from"), "say whose headers are believed: from: [10.0.0.0/8]")
	}
}

func (c *checker) admin(p *path) {
	admin := c.cfg.Admin.Address
	c.address(p, admin, false)
	s := socket(admin)
	for i, l := range c.cfg.Listeners {
		if s != "" && socket(l.Address) == s {
			var top *path
			at := top.key("listeners").item(i).key("address")
			c.fail(p, "the admin interface needs an address of its own", "%q is taken by the listener at %s", admin, c.d.where(at))
		}
	}
}

// timeouts of 0 would turn every call away. Who wants none says 24h. What was
// inherited was checked where it comes from.
func (c *checker) timeouts(p *path, t, inherited Timeouts) {
	if t.Connect != inherited.Connect {
		c.positive(p.key("connect"), t.Connect)
	}
	if t.Request != inherited.Request {
		c.positive(p.key("request"), t.Request)
	}
	if t.Idle != inherited.Idle {
		c.positive(p.key("idle"), t.Idle)
	}
}

func (c *checker) positive(p *path, d time.Duration) {
	if d <= 0 {
		c.fail(p, "", "must be more than 0")
	}
}

func (c *checker) accessLog(p *path) {
	output := c.cfg.Telemetry.AccessLog.Output
	words := []string{"stdout", "stderr", "none"}
	switch near := closest(output, words); {
	case output == "":
		c.fail(p, "say stdout, stderr, none or the path of a file", "is empty")
	case strings.ContainsRune(output, 0):
		c.fail(p, "", "has a NUL in it: %q", output)
	case near != "" && near != output: // a file of that name is not what was meant
		c.fail(p, fmt.Sprintf("did you mean %q? A file of that name would be \"./%s\"", near, output), "is almost a word of ours: %q", output)
	}
}
