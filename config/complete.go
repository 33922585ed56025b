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
	set("WEIR_ADMIN_ADDRESS", top.key("admin").key("address"), &cfg.Admin.Address)
}

// complete fills in what follows from other values. Paths of processes and of
// certificates are relative to base.
func complete(cfg *Config, d *document, base string) {
	for i := range cfg.Listeners {
		if l := &cfg.Listeners[i]; l.Name == "" {
			l.Name = l.Address
		}
	}
	var top *path
	for name, fn := range cfg.Functions {
		fn.Name = name
		at := top.key("functions").entry(name)
		given := func(block string) func(string) bool {
			return func(key string) bool { return d.given[at.key(block).key(key).String()] }
		}
		inherit(&fn.Timeouts, &cfg.Defaults.Timeouts, given("timeouts"))
		inherit(&fn.Deadline, &cfg.Defaults.Deadline, given("deadline"))
		if !d.given[at.key("cold_start").key("min_up").String()] {
			fn.ColdStart.MinUp = minUp(fn.ColdStart.IdleAfter)
		}
		for i := range fn.Endpoints {
			completeEndpoint(&fn.Endpoints[i], cfg.Region)
		}
		completeTLS(&fn, d, at.key("tls"), base)
		for i, trailer := range fn.Trailers {
			fn.Trailers[i] = strings.ToLower(trailer)
		}
		if fn.Process != nil {
			completeProcess(fn.Process, base)
		}
		if fn.ColdStart.Scaler == implied {
			imply(cfg)
		}
		cfg.Functions[name] = fn
	}
	for name, s := range cfg.Scalers {
		cfg.Scalers[name] = completeScaler(s, cfg, base, d.name)
	}
	for i := range cfg.Routes {
		if r := &cfg.Routes[i]; r.Priority == "" {
			r.Priority = cmp.Or(cfg.Functions[r.Function].Priority, "normal")
		}
		for j, host := range cfg.Routes[i].Hosts {
			cfg.Routes[i].Hosts[j] = strings.ToLower(host)
		}
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
func completeProcess(p *Process, base string) {
	if len(p.Command) > 0 && strings.Contains(p.Command[0], "/") {
		p.Command[0] = absolute(base, p.Command[0])
	}
	p.Dir = absolute(base, p.Dir)
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
func completeScaler(s Scaler, cfg *Config, base, file string) Scaler {
	if s.TokenFile != "" && !filepath.IsAbs(s.TokenFile) {
		s.TokenFile = filepath.Join(base, s.TokenFile)
	}
	if s.Type == "docker" && s.Gateway == "" {
		name, _ := os.Hostname()
		sum := sha256.Sum256([]byte(name + "\n" + filepath.Join(base, filepath.Base(file))))
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

func imply(cfg *Config) {
	if _, declared := cfg.Scalers[implied]; declared {
		return
	}
	if cfg.Scalers == nil {
		cfg.Scalers = map[string]Scaler{}
	}
	cfg.Scalers[implied] = Scaler{Type: "process"}
}
