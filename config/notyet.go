package config

// notYet tells whether a key is documented in the interface but not obeyed by
// this version. Such a key is refused by name: ignoring it would be a lie, and
// calling it unknown would be another. Whoever makes weir obey a key adds it to
// the structs and takes it off this list; a test compares the two.
func notYet(pattern string) bool {
	switch pattern {
	case "include", "discovery", "regions", "failover", "geography",

		"listeners[].tls", "listeners[].timeouts",

		"defaults.timeouts.per_try",

		"functions.*.service", "functions.*.load_balancing", "functions.*.geography", "functions.*.regions",
		"functions.*.retries", "functions.*.circuit_breaker", "functions.*.outlier_detection",
		"functions.*.rate_limit", "functions.*.health_check",
		"functions.*.timeouts.per_try",
		"functions.*.concurrency.max_pending", "functions.*.concurrency.queue_timeout",
		"functions.*.cold_start.prefer_warm_region",

		"routes[].rewrite", "routes[].split",

		"telemetry.metrics", "telemetry.tracing":
		return true
	}
	return false
}
