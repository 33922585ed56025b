package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"
)

// implied is the scaler that may be used without declaring it: it needs no
// settings, and the smallest file with a process should stay small.
const implied = "process"

// override lets the environment go before the document, from memory or file.
func override(cfg *Config, d *document, env lookup) {
	set := func(variable string, p *path, target *string) {
		if value, _ := env(variable); value != "" {
			*target = value
			d.from[p.String()] = variable
		}
	}
	var top *path
	set("WEIR_REGION", top.key("region"), &cfg.Region)
	set("WEIR_ZONE", top.key("zone"), &cfg.Zone)
	set("WEIR_ADMIN_ADDRESS", top.key("admin").key("address"), &cfg.Admin.Address)
	overrideTracing(&cfg.Telemetry.Tracing, d, env)
	if file := top.key("admin").key("overrides_file"); cfg.Admin.OverridesFile != "" {
		cfg.Admin.OverridesFile = absolute(d.base(file), cfg.Admin.OverridesFile)
	} else if dir, _ := env("STATE_DIRECTORY"); dir != "" {
		dir, _, _ = strings.Cut(dir, ":")
		cfg.Admin.OverridesFile = filepath.Join(dir, "overrides.json")
	}
	if consul := cfg.Discovery.Consul; consul != nil {
		set("CONSUL_HTTP_ADDR", top.key("discovery").key("consul").key("address"), &consul.Address)
	}
}

// complete fills in what follows from other values. Names of files are relative
// to the one that says them.
func complete(cfg *Config, d *document) {
	for i := range cfg.Listeners {
		if l := &cfg.Listeners[i]; l.Name == "" {
			l.Name = l.Address
		}
	}
	var top *path
	completeDiscovery(cfg, d, top.key("discovery"))
	completeGeography(cfg, d, top.key("geography"))
	cfg.spread = &Spread{Regions: cfg.Regions, Failover: cfg.Failover}
	if cfg.Peers != nil {
		cfg.Peers.Service = completeService(cfg.Peers.Service, cfg.Discovery)
	}
	for name, fn := range cfg.Functions {
		fn.Name = name
		completeFunction(cfg, fn, d, top.key("functions").entry(name))
	}
	for name, s := range cfg.Scalers {
		cfg.Scalers[name] = completeScaler(s, cfg, d, top.key("scalers").entry(name))
	}
	for i := range cfg.Routes {
		at := top.key("routes").item(i)
		completeRoute(cfg, &cfg.Routes[i], func(key string) bool { return d.isGiven(at.key(key).String()) })
	}
}

func completeFunction(cfg *Config, fn *Function, d *document, at *path) {
	given := func(block string) func(string) bool {
		return func(key string) bool { return d.isGiven(at.key(block).key(key).String()) }
	}
	inherit(&fn.Timeouts, &cfg.Defaults.Timeouts, given("timeouts"))
	completeWhileCold(fn.WhileCold)
	completeLastResort(fn.Fallback)
	for i := range fn.RateLimit {
		if r := &fn.RateLimit[i]; !d.isGiven(d.limit(at.key("rate_limit"), i).key("burst").String()) {
			r.Burst = r.Requests
		}
	}
	if r := fn.Retries; r != nil && !given("retries")("retry_on") {
		r.RetryOn = []string{"connect_failure", "reset"}
	}
	if s := fn.Collapse; s != nil && !given("collapse")("vary") {
		s.Vary = usualVary
	}
	inherit(&fn.Deadline, &cfg.Defaults.Deadline, given("deadline"))
	if !given("cold_start")("min_up") {
		fn.ColdStart.MinUp = minUp(fn.ColdStart.IdleAfter)
	}
	if fn.ColdStart.ReadyPath != "" && !given("cold_start")("ready_probe") {
		fn.ColdStart.ReadyProbe = "http"
	}
	for i := range fn.Endpoints {
		completeEndpoint(&fn.Endpoints[i], cfg.Region)
	}
	completeRegions(cfg, fn, d, at.key("regions"))
	fn.Service = completeService(fn.Service, cfg.Discovery)
	completeTLS(cfg, fn, d, at.key("tls"))
	for i, trailer := range fn.Trailers {
		fn.Trailers[i] = strings.ToLower(trailer)
	}
	if fn.Process != nil {
		completeProcess(fn.Process, d, at.key("process"))
	}
	if fn.ColdStart.Scaler == implied {
		imply(cfg)
	}
}

func completeRoute(cfg *Config, r *Route, given func(key string) bool) {
	fn := cfg.Functions[r.Function]
	if fn == nil { // a mistake, and told, or a route that has none
		fn = &Function{}
	}
	if r.Priority == "" && r.Split == nil { // each function of a split keeps its own
		r.Priority = cmp.Or(fn.Priority, "normal")
	}
	completeWhileCold(r.WhileCold)
	completeLastResort(r.Fallback)
	if r.Fallback == nil {
		r.Fallback = fn.Fallback
	}
	if !given("respond_async") {
		r.RespondAsync = fn.RespondAsync
	}
	if r.WhileCold == nil {
		r.WhileCold = fn.WhileCold
	}
	if kind, _ := r.PathRule(); kind != PrefixPath && !given("path_prefix") {
		r.PathPrefix = "" // its default is for routes that say nothing of paths
	}
	for j, host := range r.Hosts {
		r.Hosts[j] = strings.ToLower(host)
	}
	for j := range r.Headers {
		r.Headers[j].Name = strings.ToLower(r.Headers[j].Name)
	}
}

// inherit copies what was not given from one struct to another.
func inherit[T any](to, from *T, given func(key string) bool) {
	target, source := reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem()
	for i, key := range keysOf(target.Type()) {
		if !given(key) {
			target.Field(i).Set(source.Field(i))
		}
	}
}

// minUp is the smaller of 30 s and idleAfter, of which 0 is never.
func minUp(idleAfter time.Duration) time.Duration {
	if idleAfter == 0 {
		return 30 * time.Second
	}
	return min(30*time.Second, idleAfter)
}

func completeEndpoint(ep *Endpoint, region string) {
	if ep.Region == "" {
		ep.Region = region
	}
	if address, bad := readEndpoint(ep.Address); bad == nil {
		ep.Address = address
	}
}

// completeProcess makes paths absolute. A program without a slash is left to
// PATH.
func completeProcess(p *Process, d *document, at *path) {
	if len(p.Command) > 0 && strings.Contains(p.Command[0], "/") {
		p.Command[0] = absolute(d.base(at.key("command").item(0)), p.Command[0])
	}
	p.Dir = absolute(d.base(at.key("dir")), p.Dir)
}

// absolute is the name of a file, which is relative to base.
func absolute(base, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(base, name)
}

// completeScaler says where a webhook's platform calls back, as long as that
// can be known beforehand, and which containers are ours.
func completeScaler(s Scaler, cfg *Config, d *document, at *path) Scaler {
	if s.TokenFile != "" && !filepath.IsAbs(s.TokenFile) {
		s.TokenFile = filepath.Join(d.base(at.key("token_file")), s.TokenFile)
	}
	if s.Type == "docker" && s.Gateway == "" {
		name, _ := os.Hostname()
		sum := sha256.Sum256([]byte(name + "\n" + filepath.Join(d.main().base, filepath.Base(d.main().name))))
		s.Gateway = "weir-" + hex.EncodeToString(sum[:6])
	}
	host, port, err := net.SplitHostPort(cfg.Admin.Address)
	if s.Type != "webhook" || s.CallbackURL != "" || err != nil || port == "0" {
		return s
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	s.CallbackURL = "http://" + net.JoinHostPort(host, port)
	return s
}

// completeWhileCold brings into lower case what is compared without case.
func completeWhileCold(w *WhileCold) {
	if w == nil {
		return
	}
	for i := range w.WakeFilter {
		rule := &w.WakeFilter[i]
		for j, pattern := range rule.UserAgents {
			rule.UserAgents[j] = strings.ToLower(pattern)
		}
		for name, pattern := range rule.Headers {
			rule.Headers[name] = strings.ToLower(pattern)
		}
	}
}

func imply(cfg *Config) {
	if _, declared := cfg.Scalers[implied]; declared {
		return
	}
	if cfg.Scalers == nil {
		cfg.Scalers = map[string]Scaler{}
	}
	cfg.Scalers[implied] = Scaler{Type: "process"}
}
