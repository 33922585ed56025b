package config

import (
	"strings"
	"time"
)

func (c *checker) circuitBreaker(p *path, b *CircuitBreaker) {
	if b == nil {
		return
	}
	switch ratio := p.key("failure_ratio"); {
	case b.FailureRatio > 1:
		c.fail(ratio, "say failure_ratio: 0.5 for half of the tries", "must be from 0 to 1, not %v", b.FailureRatio)
	case b.FailureRatio == 0 && b.ConsecutiveFailures == 0 && c.d.sound(p):
		c.fail(p, "say consecutive_failures or failure_ratio, or take the block out", "never opens")
	}
	c.atLeastOne(p.key("min_requests"), b.MinRequests)
	c.atLeastOne(p.key("half_open_requests"), b.HalfOpenRequests)
	c.positive(p.key("open_for"), b.OpenFor)
}

func (c *checker) outlierDetection(p *path, o *OutlierDetection) {
	if o == nil {
		return
	}
	c.atLeastOne(p.key("consecutive_5xx"), o.Consecutive5xx)
	c.positive(p.key("base_ejection_time"), o.BaseEjectionTime)
	c.percent(p.key("max_ejection_percent"), o.MaxEjectionPercent)
	if o.BaseEjectionTime > o.MaxEjectionTime {
		c.fail(p.key("base_ejection_time"), "lower it, or raise max_ejection_time", "%v is over max_ejection_time %v", o.BaseEjectionTime, o.MaxEjectionTime)
	}
}

// defaultQueue may be said without calls that wait: a configuration as it is shown
// says everything.
const defaultQueue = 250 * time.Millisecond

func (c *checker) concurrency(p *path, l Concurrency) {
	pending, timeout := p.key("max_pending"), p.key("queue_timeout")
	switch {
	case l.MaxPending > 0 && l.MaxRequests == 0 && l.Adaptive == nil && c.d.sound(p.key("max_requests")):
		c.fail(pending, "say max_requests or adaptive too", "is for calls over max_requests, of which there is none")
	case l.MaxPending == 0 && l.QueueTimeout != defaultQueue && c.d.isGiven(timeout.String()) && c.d.sound(pending):
		c.fail(timeout, "say how many may wait: max_pending", "is for calls that wait, of which there may be none")
	}
	c.positive(timeout, l.QueueTimeout)
	if l.PerTenant > 0 {
		c.byTenant(p.key("per_tenant"), "is for each tenant")
	}
	if l.Adaptive == nil {
		return
	}
	least := p.key("adaptive").key("min_requests")
	c.atLeastOne(least, l.Adaptive.MinRequests)
	if l.MaxRequests > 0 && l.Adaptive.MinRequests > l.MaxRequests {
		c.fail(least, "lower it, or raise max_requests", "%d is over max_requests %d", l.Adaptive.MinRequests, l.MaxRequests)
	}
}

func (c *checker) atLeastOne(p *path, n int) {
	if n < 1 {
		c.fail(p, "", "must be 1 or more, not %d", n)
	}
}

// mostRequests and longestWindow are beyond what anybody counts.
const (
	mostRequests  = 1_000_000_000
	longestWindow = 24 * time.Hour
)

func (c *checker) rateLimits(p *path, all RateLimits) {
	if len(all) > MostLimits {
		c.fail(p, "", "has %d limits, and may have %d", len(all), MostLimits)
	}
	for i := range all {
		at := c.d.limit(p, i)
		if all[i] == (RateLimit{}) {
			continue // it says nothing, and that was told
		}
		c.rateLimit(at, &all[i])
		for _, before := range all[:i] {
			if r := all[i]; r.Key == before.Key && r.Window == before.Window && c.d.sound(at) {
				c.fail(at, "say one of them, or another window", "counts by %s per %s, and so does one before it", r.Key, durationText(r.Window))
			}
		}
	}
}

// limit is the way to one of the limits of rate_limit, which is a list or only one.
func (d *document) limit(p *path, i int) *path {
	if item := p.item(i); d.isGiven(item.String()) {
		return item
	}
	return p
}

func (c *checker) rateLimit(p *path, r *RateLimit) {
	if r.Requests == 0 && !c.d.isGiven(p.key("requests").String()) {
		c.missing(p.key("requests"), "say requests: 100, and window: 1s")
	} else if r.Requests < 1 || r.Requests > mostRequests {
		c.fail(p.key("requests"), "", "must be from 1 to %d, not %d", mostRequests, r.Requests)
	}
	c.positive(p.key("window"), r.Window)
	if r.Window > longestWindow {
		c.fail(p.key("window"), "", "must be up to %v, not %v", longestWindow, r.Window)
	}
	if r.Burst != r.Requests && (r.Burst < 1 || r.Burst > mostRequests) {
		c.fail(p.key("burst"), "leave it out for as many as requests", "must be from 1 to %d, not %d", mostRequests, r.Burst)
	}
	switch {
	case r.Key == "tenant":
		c.byTenant(p.key("key"), "is tenant")
	case r.Key != "function" && r.Key != "client" && !validField.MatchString(r.Header()):
		c.fail(p.key("key"), "say key: function, key: client, key: tenant or key: header:x-api-key", "is nobody's: %q", r.Key)
	}
	c.atLeastOne(p.key("max_keys"), r.MaxKeys)
	if r.Shared && c.cfg.Peers == nil {
		var top *path
		if c.d.sound(top.key("peers")) {
			c.fail(p.key("shared"), "say who they are: peers: { service: weir }", "is true, but there are no peers")
		}
	}
}

// shortestInterval is what an endpoint can be asked without being kept from work.
const shortestInterval = 10 * time.Millisecond

func (c *checker) healthCheck(p *path, h *HealthCheck) {
	if h == nil {
		return
	}
	if h.Path != "" && (h.Path[0] != '/' || strings.ContainsAny(h.Path, " #\t\r\n\x00") || !isASCII(h.Path)) {
		c.fail(p.key("path"), "say path: /healthz", "is not a path: %q", h.Path)
	}
	if h.Interval < shortestInterval {
		c.fail(p.key("interval"), "", "must be %v or more, not %v", shortestInterval, h.Interval)
	}
	c.positive(p.key("timeout"), h.Timeout)
	c.atLeastOne(p.key("healthy_threshold"), h.HealthyThreshold)
	c.atLeastOne(p.key("unhealthy_threshold"), h.UnhealthyThreshold)
}
