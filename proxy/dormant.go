package proxy

import (
	"errors"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// errDormant: the function is down, and the call is none that starts it.
var errDormant = errors.New("the function is down, and this call does not start it")

// filter looks whether the call is one that does not start its function. While
// that is down it is answered here; while it is up the call goes on, but does
// not keep it up.
func (c *Call) filter() error {
	rule := c.wakeRule()
	if rule == nil {
		return nil
	}
	c.unseen = true
	if c.fn.Start.Status().State == "warm" {
		return nil
	}
	c.dormant, c.coldAs = true, &coldDormant
	if rule.Status == 503 && rule.Body == "" { // which is the fault's answer
		return errDormant
	}
	c.ours = static{rule.Status, rule.Body}
	return nil
}

// wakeRule is the first one that the call meets; nil if there is none.
func (c *Call) wakeRule() *config.WakeRule {
	rules := c.to.WhileCold.WakeFilter
	for i := range rules {
		if c.meets(&rules[i]) {
			return &rules[i]
		}
	}
	return nil
}

func (c *Call) meets(rule *config.WakeRule) bool {
	r := &c.Request
	return isOneOf(r.Method, rule.Methods) &&
		(rule.PathPrefix == "" || isBelow(r.Path, rule.PathPrefix)) &&
		(len(rule.UserAgents) == 0 || meetsOneOf(message.Get(r.Fields, message.UserAgent), rule.UserAgents)) &&
		meetsAll(r.Fields, rule.Headers)
}

func isOneOf(method []byte, methods []string) bool {
	for _, m := range methods {
		if string(method) == m {
			return true
		}
	}
	return len(methods) == 0
}

// isBelow tells whether the path begins with all segments of the prefix.
func isBelow(path []byte, prefix string) bool {
	n := len(prefix)
	if prefix[n-1] == '/' {
		n--
	}
	return len(path) >= n && string(path[:n]) == prefix[:n] && (len(path) == n || path[n] == '/')
}

func meetsOneOf(value []byte, patterns []string) bool {
	for _, p := range patterns {
		if meetsPattern(value, p) {
			return true
		}
	}
	return false
}

func meetsAll(fields []message.Field, patterns map[string]string) bool {
	for name, pattern := range patterns {
		if !hasField(fields, name, pattern) {
			return false
		}
	}
	return true
}

// hasField tells whether one of the fields of that name meets the pattern.
func hasField(fields []message.Field, name, pattern string) bool {
	for i := range fields {
		if message.EqualNames(fields[i].Name, []byte(name)) && meetsPattern(fields[i].Value, pattern) {
			return true
		}
	}
	return false
}

// meetsPattern tells whether all of value is as the pattern, given in lower
// case, says: * is any text. It goes back to the last * only, so it takes no
// more than the product of both lengths.
func meetsPattern(value []byte, pattern string) bool {
	v, p, star, from := 0, 0, -1, 0
	for v < len(value) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, v
			p++
		case p < len(pattern) && lower(value[v]) == pattern[p]:
			v++
			p++
		case star >= 0: // let it stand for one more
			from++
			v, p = from, star+1
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b | 0x20
	}
	return b
}
