package telemetry

import (
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/table"
)

// writeResilience writes what a function shows of what it does against failures,
// as far as it is configured.
func writeResilience(p *page, function string, fn *table.Function, now moment.Moment) {
	if fn.Retry != nil {
		p.gauge(fn.Budget.Left(&fn.Calls, now), "weir_retry_budget_remaining", "function", function)
		p.gauge(fn.Budget.Refused(), "weir_retries_refused_total", "function", function)
	}
	if fn.Hedging != nil {
		won, lost := fn.HedgesEnded()
		p.gauge(won, "weir_hedges_total", "function", function, "won", "true")
		p.gauge(lost, "weir_hedges_total", "function", function, "won", "false")
		p.gauge(fn.Hedges.Refused(), "weir_hedges_refused_total", "function", function)
	}
	if fn.Collapse != nil {
		calls, bytes := fn.Flights.Waiting()
		p.gauge(calls, "weir_collapse_followers", "function", function)
		p.gauge(bytes, "weir_collapse_bytes", "function", function)
	}
	if fn.HealthCheck != nil {
		well, failed := fn.HealthChecks()
		p.gauge(well, "weir_health_checks_total", "function", function, "result", "ok")
		p.gauge(failed, "weir_health_checks_total", "function", function, "result", "failed")
	}
	if fn.Places != nil {
		p.gauge(fn.Places.Limit(), "weir_concurrency_limit", "function", function)
		p.gauge(fn.Places.InFlight(), "weir_concurrency_in_flight", "function", function)
	}
	if fn.Concurrency.PerTenant > 0 {
		p.gauge(fn.Crowd.Refused(), "weir_tenant_limited_total", "function", function)
	}
	if limits := fn.Limiter.Limits(); limits != nil {
		p.gauge(fn.Limiter.Limited(), "weir_rate_limited_total", "function", function)
		p.gauge(fn.Limiter.Keys(), "weir_rate_limit_keys", "function", function)
		for _, l := range limits.Each {
			if l.Shared {
				perSecond, _ := l.Portion()
				p.number(perSecond*l.Window.Seconds()/float64(l.Requests), "weir_rate_limit_share", "function", function)
				break // the part is the same of all that are
			}
		}
	}
	if fn.CircuitBreaker != nil {
		p.gauge(fn.Breaker.State(), "weir_circuit_state", "function", function)
		p.gauge(fn.Breaker.Trips(), "weir_circuit_trips_total", "function", function)
	}
	for result := range table.NumMirrored {
		if n := fn.Mirrors.Ended(result); n > 0 {
			p.gauge(n, "weir_mirrored_total", "function", function, "result", result.String())
		}
	}
	for _, why := range table.Reasons() {
		if n := fn.Ejections(why); n > 0 || why == table.Consecutive && fn.OutlierDetection != nil {
			p.gauge(n, "weir_ejections_total", "function", function, "reason", why.String())
		}
	}
}
