package config

import (
	"slices"
	"strconv"
	"time"
)

// mostAttempts is how many tries may follow the first: what ten endpoints do not
// answer, an eleventh will not.
const mostAttempts = 10

func (c *checker) retries(p *path, r *Retries) {
	if r == nil {
		return
	}
	if r.Attempts > mostAttempts {
		c.fail(p.key("attempts"), "", "must be from 0 to %d, not %d", mostAttempts, r.Attempts)
	}
	if r.RetryOn != nil && len(r.RetryOn) == 0 {
		c.fail(p.key("retry_on"), "say retry_on: [connect_failure, reset, 502, 503], or attempts: 0", "is empty")
	}
	for i, reason := range r.RetryOn {
		if !validReason(reason) {
			c.fail(p.key("retry_on").item(i), didYouMean(reason, retryReasons),
				"must be connect_failure, reset, 5xx or a status from 400 to 599, not %q", reason)
		}
	}
	c.backoff(p.key("backoff"), r.Backoff)
	c.percent(p.key("budget").key("percent"), r.Budget.Percent)
}

var retryReasons = []string{"connect_failure", "reset", "5xx"}

func validReason(reason string) bool {
	n, err := strconv.Atoi(reason)
	return slices.Contains(retryReasons, reason) || err == nil && len(reason) == 3 && n >= 400 && n <= 599
}

// mostBackoff is longer than any client waits.
const mostBackoff = time.Hour

func (c *checker) backoff(p *path, b Backoff) {
	switch {
	case b.Base > b.Max:
		c.fail(p.key("base"), "lower it, or raise max", "%v is over max %v", b.Base, b.Max)
	case b.Max > mostBackoff:
		c.fail(p.key("max"), "", "must be up to %v, not %v", mostBackoff, b.Max)
	}
}

func (c *checker) percent(p *path, n int) {
	if n > 100 {
		c.fail(p, "", "must be from 0 to 100, not %d", n)
	}
}
