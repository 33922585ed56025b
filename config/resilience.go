package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// CircuitBreaker turns calls of a function away at once after it has failed too
// often, so that nobody waits for what does not answer and the endpoints can
// recover. A try has failed if no connection could be made, it broke, what came
// is no HTTP, it ran into a timeout of weir's, or the answer was a 5xx. It opens
// by either of the two rules.
type CircuitBreaker struct {
	// ConsecutiveFailures open it. 0: not by this rule.
	ConsecutiveFailures int `yaml:"consecutive_failures" default:"5"`
	// FailureRatio of the tries of the last ten seconds opens it, from 0 to 1. 0:
	// not by this rule.
	FailureRatio float64 `yaml:"failure_ratio" default:"0.5"`
	// MinRequests is how many tries there must have been for the ratio to count.
	MinRequests int `yaml:"min_requests" default:"20"`
	// OpenFor is how long it stays open; then some calls try it out.
	OpenFor time.Duration `yaml:"open_for" default:"10s"`
	// HalfOpenRequests is how many calls try it out at once, and how many must go
	// well to close it. One that fails opens it again.
	HalfOpenRequests int `yaml:"half_open_requests" default:"3"`
}

// OutlierDetection sets an endpoint aside that fails again and again while
// others may not. It is worse than being set aside for a refused connection, which
// happens without it too, for a second at first.
type OutlierDetection struct {
	// Consecutive5xx is after how many failures in a row: a 5xx, or no answer.
	Consecutive5xx int `yaml:"consecutive_5xx" default:"5"`
	// BaseEjectionTime is for how long, times how often in a row it was. An
	// endpoint that fared well for that long is forgiven one time.
	BaseEjectionTime time.Duration `yaml:"base_ejection_time" default:"30s"`
	// MaxEjectionTime bounds that.
	MaxEjectionTime time.Duration `yaml:"max_ejection_time" default:"5m"`
	// MaxEjectionPercent of the function's endpoints are aside at once at most.
	MaxEjectionPercent int `yaml:"max_ejection_percent" default:"50"`
}

// RateLimits are one RateLimit, or a list of them: a call comes in if all let it in, and
// one that is turned away has taken nothing from any.
type RateLimits []RateLimit

// MostLimits is how many a function may have.
const MostLimits = 8

// Names are how clients are told of each: by its key, with a number where there are
// several by the same; the only one is the default.
func (l RateLimits) Names() []string {
	names := make([]string, len(l))
	times := map[string]int{}
	for i := range l {
		names[i] = l[i].Key
		if times[names[i]]++; times[names[i]] > 1 {
			names[i] += "-" + strconv.Itoa(times[names[i]])
		}
	}
	if len(l) == 1 {
		names[0] = "default"
	}
	return names
}

// RateLimit bounds how many calls may come. Each key has a bucket that holds Burst
// calls and is refilled with Requests per Window. Beyond it 429. Answers say in
// RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers) what is
// left.
type RateLimit struct {
	// Requests per Window.
	Requests int `yaml:"requests"`
	// Window in which they may come.
	Window time.Duration `yaml:"window" default:"1s"`
	// Burst is how many may come at once; as many as Requests if not given.
	Burst int `yaml:"burst"`
	// Key says whose calls are counted together: all of the function's (function),
	// those of one client (client: an address, or of IPv6 one /64), those of one
	// tenant (tenant, see Config.Tenants), or those with the same value of a field
	// (header:x-api-key). Those without a tenant, or the field, are together too.
	Key string `yaml:"key" default:"function"`
	// MaxKeys is for how many keys there are buckets, about 140 bytes each. Beyond
	// it those that have not been used for long are forgotten.
	MaxKeys int `yaml:"max_keys" default:"1000000"`
	// Shared divides Requests and Burst evenly among this router and its peers, so
	// that all of them together let in what the limit says if calls are spread
	// evenly among them. Otherwise each lets in the whole.
	Shared bool `yaml:"shared" default:"false"`
}

// Text is the limit as people say it.
func (r *RateLimit) Text() string {
	return fmt.Sprintf("%d per %s, %d at once, by %s", r.Requests, durationText(r.Window), r.Burst, r.Key)
}

// Header is the name of the field that the key is, in lower case; empty if it is
// none.
func (r *RateLimit) Header() string {
	return strings.ToLower(cutKind(r.Key, "header:"))
}

// HealthCheck asks each endpoint whether it is well, without waiting for a call
// to find out. One that is not gets calls only if none is. It is well with a
// status from 200 to 299.
type HealthCheck struct {
	// Path that is asked for; without one it is enough that a connection stands.
	Path string `yaml:"path"`
	// Interval between two checks of one endpoint, a tenth more or less.
	Interval time.Duration `yaml:"interval" default:"5s"`
	// Timeout of one check.
	Timeout time.Duration `yaml:"timeout" default:"1s"`
	// HealthyThreshold is how many checks in a row it has to pass to be well again.
	HealthyThreshold int `yaml:"healthy_threshold" default:"2"`
	// UnhealthyThreshold is how many in a row it has to fail to be unwell. An
	// endpoint that has just come is held to be well.
	UnhealthyThreshold int `yaml:"unhealthy_threshold" default:"3"`
}

// Concurrency bounds the calls of one function that are in flight. It does not
// bound those that are held for a start: cold_start.max_pending and max_wait do.
type Concurrency struct {
	// MaxRequests is how many calls may be in flight at the function's endpoints at
	// once, from this weir. 0 is no limit. With adaptive it is the most that the limit
	// may become; 0 is 10,000 then.
	MaxRequests int `yaml:"max_requests" default:"0"`
	// MaxPending is how many more may wait until one ends, in the order of their
	// priority. Beyond it 503. They wait for slots of the endpoints by the same
	// rules, unless a start may bring more of these.
	MaxPending int `yaml:"max_pending" default:"0"`
	// QueueTimeout is how long one of them waits. Then 503.
	QueueTimeout time.Duration `yaml:"queue_timeout" default:"250ms"`
	// PerTenant is how many calls of one tenant (see Config.Tenants) may be inside the
	// function at once, those that wait included. Beyond it 429. 0 is no limit.
	PerTenant int `yaml:"per_tenant" default:"0"`
	// Adaptive has weir find the limit.
	Adaptive *Adaptive `yaml:"adaptive"`
}

// Adaptive is a limit that follows what the function can do: it rises as long as
// answers come as fast as with fewer calls, and falls by as much as they come slower.
// What is measured is the time to the head of an answer. Now and then the limit is
// lowered by a quarter for a moment, to see how fast that is. It begins with 20.
type Adaptive struct {
	// MinRequests is the least that the limit may become.
	MinRequests int `yaml:"min_requests" default:"4"`
}
