package config

import (
	"slices"
	"strings"
)

// whileCold checks what callers of a function are told while it is down, where
// they are told it.
func (c *checker) whileCold(p *path, w *WhileCold, fn Function) {
	if w == nil {
		return
	}
	scaler := (*path)(nil).key("functions").entry(fn.Name).key("cold_start").key("scaler")
	if fn.ColdStart.Scaler == "" && c.d.sound(p, scaler) {
		c.fail(p, "add cold_start: { scaler: process } to the function, or take it out",
			"is about function %q, which nothing raises: it is never cold", fn.Name)
	}
	for i, rule := range w.WakeFilter {
		c.wakeRule(p.key("wake_filter").item(i), rule)
	}
	if w.Fallback != nil {
		c.instead(p.key("fallback"), w.Fallback.Function, w.Fallback.Status, w.Fallback.Body, fn.Name)
	}
}

// instead checks what has a call instead of the function called self: another one, or
// a fixed answer.
func (c *checker) instead(p *path, other string, code int, text, self string) {
	function, status, body := p.key("function"), p.key("status"), p.key("body")
	answers := c.d.isGiven(status.String()) || c.d.isGiven(body.String())
	switch {
	case other == "" && !answers:
		if c.d.isGiven(p.String()) && c.d.sound(function, status, body) {
			c.fail(p, "say function: NAME, or status: 503 and body: TEXT", "has nothing to fall back to")
		}
	case other == "":
		c.staticAnswer(p, code, text)
	case answers:
		c.fail(function, "say one of them", "is there, and a fixed answer too")
	case other == self:
		c.fail(function, "name another", "is the function itself")
	default:
		c.leadsTo(function, other)
	}
}

// mostStaticBody is the longest text that weir answers by itself: a line or two.
const mostStaticBody = 4 << 10

func (c *checker) wakeRule(p *path, rule WakeRule) {
	if len(rule.Methods) == 0 && rule.PathPrefix == "" && len(rule.UserAgents) == 0 && len(rule.Headers) == 0 && c.d.sound(p) {
		c.fail(p, "say methods, path_prefix, user_agents or headers", "holds for every call: nothing would start the function")
	}
	for i, method := range rule.Methods {
		if !validField.MatchString(method) || method != strings.ToUpper(method) {
			c.fail(p.key("methods").item(i), "say methods: [GET, HEAD]", "is not a method: %q", method)
		}
	}
	if rule.PathPrefix != "" {
		c.prefix(p.key("path_prefix"), rule.PathPrefix)
	}
	for _, name := range sortedKeys(rule.Headers) {
		if !validField.MatchString(name) {
			c.fail(p.key("headers").entry(name), "", "is not the name of a field")
		}
	}
	c.staticAnswer(p, rule.Status, rule.Body)
}

// staticAnswer checks an answer that weir gives by itself.
func (c *checker) staticAnswer(p *path, status int, body string) {
	switch {
	case status < 200 || status > 599:
		c.fail(p.key("status"), "say status: 200, or status: 503", "must be from 200 to 599, not %d", status)
	case slices.Contains([]int{204, 205, 304}, status) && body != "":
		c.fail(p.key("body"), "take it out, or say status: 200", "cannot be there with status %d", status)
	}
	if len(body) > mostStaticBody {
		c.fail(p.key("body"), "", "is longer than %v", Size(mostStaticBody))
	}
}
