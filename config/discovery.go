package config

import "time"

// Discovery is where the endpoints of functions are learned from, beside those
// that stand in the configuration and those that scalers raise.
type Discovery struct {
	// Consul is asked for the functions whose service names no other source.
	Consul *Consul `yaml:"consul"`
	// File is a file, or a folder of them, for those with file:NAME.
	File *FileDiscovery `yaml:"file"`
	// DNS is how name servers are asked, for those with dns:NAME:PORT (A and
	// AAAA) or dns:NAME (SRV).
	DNS DNSDiscovery `yaml:"dns"`
	// HTTP is a web server that is asked, for those with http:NAME.
	HTTP *HTTPDiscovery `yaml:"http"`
	// Remember is a folder in which is kept what sources have said last: the
	// endpoints, the routes that services declare (tag_routes) and Consul's keys
	// (config_prefix). A weir that is started while they are away serves with it.
	// Relative to the configuration file; without it nothing is kept.
	Remember string `yaml:"remember"`
}

// A Consul is an agent of Consul. What it does not say comes from the
// environment as with every client of Consul's: CONSUL_HTTP_ADDR (which goes
// before address), CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE, CONSUL_HTTP_SSL,
// CONSUL_CACERT and so on.
type Consul struct {
	// Address of the agent: host:port, http://host:port, https://host:port or
	// unix:///path.
	Address string `yaml:"address" default:"127.0.0.1:8500"`
	// TokenFile has the ACL token; docs/consul.md has the rights that it needs. It
	// is read anew for each query, so that a rotated one takes effect. One that
	// may not read something takes nothing away: what is known stands.
	TokenFile string `yaml:"token_file"`
	// TLS is how an agent at https:// is met; what it does not say comes from the
	// environment. With insecure_skip_verify whoever answers there is believed,
	// and is sent the token.
	TLS *UpstreamTLS `yaml:"tls"`
	// Datacenters that are asked, each by the region its instances are in.
	// Each fails by itself. None: the agent's own, as this weir's region.
	Datacenters map[string]string `yaml:"datacenters"`
	// AllowStale lets any server answer and not just the leader: cheaper, and
	// answers while there is no leader. What it gives up is milliseconds.
	AllowStale bool `yaml:"allow_stale" default:"true"`
	// MaxStale is how long the server that answers may have been without word
	// from the leader. Beyond it the leader is asked. 0 is no bound.
	MaxStale time.Duration `yaml:"max_stale" default:"10s"`
	// Warning is what instances are with a check in warning: "weigh" gives them
	// their warning weight, as Consul's own DNS does, "exclude" leaves them
	// out.
	Warning string `yaml:"warning" default:"weigh" enum:"weigh,exclude"`
	// ProbeNew is how long an instance that has just been registered, and has
	// not passed its checks yet, is connected to by weir itself, and called if it
	// accepts: only while the function has no other in the datacenter. A cold
	// start would wait for the first check otherwise. 0 is never.
	ProbeNew time.Duration `yaml:"probe_new" default:"1m"`
	// EmptyAfter is how long weir goes on with the endpoints it knows after
	// Consul was away, or has lost its memory, and answers without them. What is
	// new is used at once.
	EmptyAfter time.Duration `yaml:"empty_after" default:"10s"`
	// ConfigPrefix is where keys are that lie over the files, in the agent's own
	// datacenter: weir/config/functions/checkout/timeouts/request. Whoever may
	// write them may say which calls go where, not what weir runs.
	// docs/configuration.md. Empty: there are none.
	ConfigPrefix string `yaml:"config_prefix" default:"weir/config"`
	// TagRoutes has services declare routes of themselves, by tags
	// (weir.route=HOST/PATH, and urlprefix-HOST/PATH as Fabio has them), beneath
	// those of the configuration. Whoever may register a service may then have
	// the calls that no route of the configuration is for. docs/discovery.md.
	TagRoutes bool `yaml:"tag_routes"`
	// MaxConnections to the agent. Each watched service takes one; with more
	// services than that, those that have not changed for longest are asked in
	// turns, every second or, beyond a hundred of them, less often. Agents let
	// in 200 for each client address (limits.http_max_conns_per_client), of
	// which others need some.
	MaxConnections int `yaml:"max_connections" default:"128"`
}

// completeDiscovery makes paths absolute, and reads the files with certificates.
func completeDiscovery(cfg *Config, d *document, at *path) {
	dis := &cfg.Discovery
	if dis.Remember != "" {
		dis.Remember = absolute(d.base(at.key("remember")), dis.Remember)
	}
	if f := dis.File; f != nil && f.Path != "" {
		f.Path = absolute(d.base(at.key("file").key("path")), f.Path)
	}
	if h := dis.HTTP; h != nil && h.TokenFile != "" {
		h.TokenFile = absolute(d.base(at.key("http").key("token_file")), h.TokenFile)
	}
	if c := dis.Consul; c != nil && c.TokenFile != "" {
		c.TokenFile = absolute(d.base(at.key("consul").key("token_file")), c.TokenFile)
	}
	if c := dis.Consul; c != nil && c.TLS != nil {
		readTLS(cfg, c.TLS, d, at.key("consul").key("tls"))
	}
}
