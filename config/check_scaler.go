package config

import (
	"fmt"
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
			if k.kind != s.Type && k.said && c.d.given[at.key(k.key).String()] {
				c.fail(at.key(k.key), "", "is for scalers of type %s, and this is one of type %s", k.kind, s.Type)
			}
		}
		if s.Type == "webhook" {
			c.webhook(at, s)
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
	if name == "webhook" {
		hint = "add scalers: { webhook: { type: webhook, url: http://127.0.0.1:7070/scale } }"
	}
	c.fail(p, hint, "%q is not under scalers", name)
}
