package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// scalers checks what raises instances.
func (c *checker) scalers(p *path) {
	for _, name := range sortedKeys(c.cfg.Scalers) {
		at := p.entry(name)
		c.name(at, name)
		s := c.cfg.Scalers[name]
		if s.Type == "" {
			c.missing(at.key("type"), "say type: process")
			continue
		}
		for _, k := range keysByType(s) {
			if k.kind != s.Type && k.said && c.d.isGiven(at.key(k.key).String()) {
				c.fail(at.key(k.key), "", "is for scalers of type %s, and this is one of type %s", k.kind, s.Type)
			}
		}
		switch s.Type {
		case "webhook":
			c.webhook(at, s)
		case "docker":
			c.name(at.key("gateway"), s.Gateway)
			c.engine(at.key("host"), s.Host)
		}
	}
}

// A typedKey is one that only scalers of a type have; said tells that it is more
// than what every scaler has when it is shown.
type typedKey struct {
	key, kind string
	said      bool
}

func keysByType(s Scaler) []typedKey {
	usual := fresh(reflect.TypeFor[Scaler]()).Interface().(Scaler)
	return []typedKey{
		{"host", "docker", s.Host != ""},
		{"gateway", "docker", s.Gateway != ""},
		{"url", "webhook", s.URL != ""},
		{"token_file", "webhook", s.TokenFile != ""},
		{"timeout", "webhook", s.Timeout != 0 && s.Timeout != usual.Timeout},
		{"refresh", "webhook", s.Refresh != 0 && s.Refresh != usual.Refresh},
		{"callback_url", "webhook", s.CallbackURL != ""},
	}
}

func (c *checker) webhook(p *path, s Scaler) {
	if s.URL == "" {
		c.missing(p.key("url"), "say url: http://127.0.0.1:7070/scale")
	} else {
		c.httpURL(p.key("url"), s.URL)
	}
	if s.CallbackURL != "" {
		c.httpURL(p.key("callback_url"), s.CallbackURL)
	}
	c.positive(p.key("timeout"), s.Timeout)
	if s.Refresh < time.Second {
		c.fail(p.key("refresh"), "", "must be 1s or more, not %v", s.Refresh)
	}
	if strings.ContainsRune(s.TokenFile, 0) {
		c.fail(p.key("token_file"), "", "has a NUL in it")
	}
}

// engine checks where an engine is.
func (c *checker) engine(p *path, host string) {
	scheme, rest, ok := strings.Cut(host, "://")
	switch {
	case host == "":
	case !ok || rest == "" || scheme != "unix" && scheme != "tcp":
		c.fail(p, "write it as in unix:///var/run/docker.sock or tcp://10.0.0.5:2375", "is not the place of an engine: %q", host)
	case scheme == "tcp":
		c.address(p, rest, true)
	}
}

// docker checks what is run as a container.
func (c *checker) docker(p *path, d *Docker) {
	switch {
	case d.Image == "":
		c.missing(p.key("image"), `say image: "checkout:1.4"`)
	case strings.ContainsAny(d.Image, " \t\n\x00"):
		c.fail(p.key("image"), "", "is not the name of an image: %q", d.Image)
	}
	switch {
	case d.Port == 0:
		c.missing(p.key("port"), "say port: 8080, where the function listens in its container")
	case d.Port > 65535:
		c.fail(p.key("port"), "", "must be from 1 to 65535, not %d", d.Port)
	}
	if d.Network == "host" || d.Network == "none" || strings.HasPrefix(d.Network, "container:") {
		c.fail(p.key("network"), "each instance needs an address of its own", "cannot be %q", d.Network)
	}
	if _, err := netip.ParseAddr(d.Publish); d.Publish != "" && err != nil {
		c.fail(p.key("publish"), "say publish: 127.0.0.1", "is not an address: %q", d.Publish)
	}
	for _, name := range sortedKeys(d.Env) {
		at := p.key("env").entry(name)
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(d.Env[name], 0) {
			c.fail(at, "", "is not a variable")
		}
		if name == "PORT" {
			c.fail(at, "take it out", "is set by weir itself")
		}
	}
	for _, name := range sortedKeys(d.Labels) {
		if strings.HasPrefix(name, "weir.") {
			c.fail(p.key("labels").entry(name), "labels that begin with weir. are weir's own", "cannot be set")
		}
	}
	const least = 6 << 20 // the engine's own
	if m := d.Limits.Memory; m != 0 && m < least {
		c.fail(p.key("limits").key("memory"), "say memory: 64MiB", "must be %v or more, not %v", Size(least), m)
	}
	c.instanceLimits(p.key("limits"), InstanceLimits{CPUs: d.Limits.CPUs})
}

func (c *checker) httpURL(p *path, text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		c.fail(p, "write it as in http://127.0.0.1:7070/scale", "is not a URL: %q", text)
	case u.User != nil:
		c.fail(p, "requests are signed with the secret in token_file", "has a password in it, which would be shown and logged")
	case u.Fragment != "":
		c.fail(p, "", "has a fragment, which is never sent: %q", text)
	}
}

// runs are the blocks of a function that say what is to be run, and the type of
// scaler that each is for.
var runs = []struct {
	block string
	there func(Function) bool
	hint  string // if it has to be there and is not
}{
	{"process", func(fn Function) bool { return fn.Process != nil }, `add process: { command: ["./server"] }`},
	{"docker", func(fn Function) bool { return fn.Docker != nil }, `add docker: { image: "checkout:1.4", port: 8080 }`},
	{"webhook", func(fn Function) bool { return len(fn.Webhook) > 0 }, ""},
}

// scaler checks that what raises instances and what is raised fit together.
func (c *checker) scaler(p *path, fn Function) {
	at := p.key("cold_start").key("scaler")
	name := fn.ColdStart.Scaler
	scaler, declared := c.cfg.Scalers[name]
	if name != "" && !declared {
		c.undeclared(at, name)
		return
	}
	for _, r := range runs {
		block := p.key(r.block)
		switch there := r.there(fn); {
		case there && name == "":
			if c.d.sound(p, p.key("cold_start"), at) {
				c.fail(block, fmt.Sprintf("add cold_start: { scaler: %s }", c.aScaler(r.block)), "says what to run, but nothing runs it")
			}
		case there && scaler.Type != r.block && scaler.Type != "":
			c.fail(block, "", "is for scalers of type %s, but %s is %q, one of type %s", r.block, at, name, scaler.Type)
		case !there && scaler.Type == r.block && r.hint != "":
			if c.d.sound(p, block) {
				c.fail(at, r.hint, "is %q, but %s does not say what to run", name, p)
			}
		}
	}
}

// aScaler names one of a type.
func (c *checker) aScaler(kind string) string {
	for _, name := range sortedKeys(c.cfg.Scalers) {
		if c.cfg.Scalers[name].Type == kind {
			return name
		}
	}
	return kind
}

func (c *checker) undeclared(p *path, name string) {
	exist := sortedKeys(c.cfg.Scalers)
	if _, ok := c.cfg.Scalers[implied]; !ok {
		exist = append(exist, implied)
	}
	hint := didYouMean(name, exist)
	if hint == "" {
		hint = thereIs(exist)
	}
	switch name {
	case "docker":
		hint = "add scalers: { docker: { type: docker } }"
	case "webhook":
		hint = "add scalers: { webhook: { type: webhook, url: http://127.0.0.1:7070/scale } }"
	}
	c.fail(p, hint, "%q is not under scalers", name)
}
