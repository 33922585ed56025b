package config

import (
	"slices"
	"strings"
)

func (c *checker) trailers(p *path, names []string) {
	for i, name := range names {
		at := p.item(i)
		switch {
		case name == "*":
			c.fail(at, "name them: an endpoint may merge whatever comes into the head", "cannot be every trailer")
		case name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
			c.fail(at, "", "is not the name of a field: %q", name)
		case slices.Contains(names[:i], name):
			c.fail(at, "", "%q is listed already", name)
		case neverTrailer(name):
			c.fail(at, "it frames, routes, or says who somebody is (RFC 9110 section 6.5.1)", "%q can not be a trailer", name)
		}
	}
}

// neverTrailer are the fields that mean something before the body is read, and
// so must not come behind it.
func neverTrailer(name string) bool {
	name = strings.NewReplacer("_", "-", ".", "-").Replace(name)
	if strings.HasPrefix(name, "x-forwarded-") || strings.HasPrefix(name, "if-") || strings.HasPrefix(name, "proxy-") ||
		strings.HasPrefix(name, "content-") && !strings.HasPrefix(name, "content-digest") && name != "content-md5" {
		return true
	}
	switch name {
	case "accept", "age", "authorization", "cache-control", "connection", "cookie", "date", "expect", "expires",
		"forwarded", "host", "idempotency-key", "keep-alive", "location", "max-forwards", "pragma", "proxy", "range",
		"retry-after", "set-cookie", "te", "trailer", "transfer-encoding", "true-client-ip", "upgrade", "user-agent",
		"vary", "via", "warning", "www-authenticate", "x-client-ip", "x-cluster-client-ip", "x-original-url",
		"x-real-ip", "x-request-id", "x-rewrite-url", "x-weir-cold", "x-weir-handed", "x-weir-overflow",

		"grpc-timeout", "prefer", "priority", "x-envoy-expected-rq-timeout-ms", "x-envoy-upstream-rq-timeout-ms",
		"traceparent", "tracestate", "x-request-timeout-ms":
		return true
	}
	return false
}
