package telemetry

import (
	"maps"
	"slices"
	"time"
)

// A Source is where endpoints are learned from, and how it fares.
type Source struct {
	Provider   string
	Region     string // of its instances
	Datacenter string // as the source calls it; "": its own

	Watched     int // services
	Guarded     int // of them, those whose last endpoints stand although the source does not name them any more
	Updates     uint64
	Queries     uint64 // that were answered
	Failures    map[string]int64
	LastSuccess time.Time // zero: never
	FailingFrom time.Time // zero: all that is asked is answered
}

// A Recall is what weir remembers from before it was started, and no source has
// confirmed.
type Recall struct {
	Function string // whose endpoints; "": declared routes, or keys
	Learned  time.Time
}

// Published counts the time from a report of a source to the set that follows
// from it.
func (t *Telemetry) Published(lag time.Duration) { t.lag.Update(lag.Seconds()) }

func writeSources(p *page, scene Scene, now time.Time) {
	for _, s := range scene.Sources {
		labels := []string{"provider", s.Provider, "region", s.Region}
		p.gauge(s.Watched, "weir_discovery_watched", labels...)
		p.gauge(s.Guarded, "weir_discovery_guarded", labels...)
		p.gauge(int(s.Updates), "weir_discovery_updates_total", labels...)
		p.gauge(int(s.Queries), "weir_discovery_queries_total", labels...)
		for _, reason := range slices.Sorted(maps.Keys(s.Failures)) {
			p.gauge(int(s.Failures[reason]), "weir_discovery_failures_total", append(labels, "reason", reason)...)
		}
		stale := 0
		if !s.FailingFrom.IsZero() {
			stale = int(now.Sub(s.FailingFrom).Seconds())
		}
		p.gauge(stale, "weir_discovery_staleness_seconds", labels...)
		if !s.LastSuccess.IsZero() {
			p.gauge(int(s.LastSuccess.Unix()), "weir_discovery_last_success_timestamp_seconds", labels...)
		}
	}
	oldest, functions := 0, 0
	for _, r := range scene.Recalls {
		if r.Function != "" {
			functions++
		}
		oldest = max(oldest, int(now.Sub(r.Learned).Seconds()))
	}
	p.gauge(functions, "weir_discovery_recalled_functions")
	p.gauge(len(scene.Recalls)-functions, "weir_discovery_recalled_declarations")
	p.gauge(oldest, "weir_discovery_recalled_age_seconds")
}
