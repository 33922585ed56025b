package telemetry

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/table"
)

// writeScene writes what is read from the living state.
func (t *Telemetry) writeScene(p *page, scene Scene) {
	p.gauge(scene.InFlight, "weir_http_requests_in_flight")
	p.gauge(int(scene.HeldBytes), "weir_held_bytes")
	p.gauge(scene.Async.UnderWay, "weir_async_calls", "state", "under_way")
	p.gauge(scene.Async.Answered, "weir_async_calls", "state", "answered")
	p.gauge(scene.Async.Bytes, "weir_async_bytes")
	for _, l := range scene.Listeners {
		p.gauge(l.Open, "weir_open_connections", "listener", l.Name)
		for _, reason := range slices.Sorted(maps.Keys(l.Refused)) {
			p.gauge(l.Refused[reason], "weir_connections_refused_total", "listener", l.Name, "reason", reason)
		}
		for _, reason := range slices.Sorted(maps.Keys(l.Evicted)) {
			p.gauge(l.Evicted[reason], "weir_connections_evicted_total", "listener", l.Name, "reason", reason)
		}
	}
	p.gauge(max(1, len(scene.Routers)), "weir_peers")
	p.gauge(1, "weir_build_info", "version", scene.Version, "revision", scene.Revision)
	writeSources(p, scene, time.Now())
	reloaded := 1
	if t.reloadFailed.Load() {
		reloaded = 0
	}
	p.gauge(reloaded, "weir_config_last_reload_successful")
	if tracer := t.tracer.Load(); tracer != nil {
		exported, full, failed := (*tracer).Spans()
		p.gauge(exported, "weir_trace_spans_exported_total")
		p.gauge(full, "weir_trace_spans_dropped_total", "reason", "full")
		p.gauge(failed, "weir_trace_spans_dropped_total", "reason", "failed")
	}
	if scene.Table == nil {
		return
	}
	p.gauge(1, "weir_config_info", "hash", scene.Table.Config.Hash)
	p.gauge(int(scene.Table.Version), "weir_table_version")
	p.gauge(len(scene.Table.Refused), "weir_table_refused")
	p.gauge(len(scene.Refused), "weir_discovery_refused")
	t.writeFunctions(p, scene.Table, time.Now())
}

// A place is what endpoints are counted by.
type place struct{ function, region, state string }

// An ending is what the ends of connections are counted by.
type ending struct {
	function string
	why      table.End
}

// states are those of endpoints that a function with any shows.
var states = []string{table.Healthy, table.Unhealthy, table.Ejected}

// writeFunctions writes what functions show of themselves. Those without series of their
// own are added up.
func (t *Telemetry) writeFunctions(p *page, tab *table.Table, now time.Time) {
	active, home := 0, t.region()
	held := map[string]int{}
	watching, doors := map[string]int{}, map[string]int{}
	endpoints := map[place]int{}
	opened, closed := map[string]int{}, map[ending]int{}
	for name, fn := range tab.Functions {
		if m, ok := fn.Meter.(*Meter); ok {
			name = m.function
		}
		held[name] += fn.Hold.Len()
		if fn.Start != nil {
			watching[name] += fn.Start.Watching()
			doors[name] = max(doors[name], fn.Start.Status().Breaker(now))
		}
		opened[name] += int(fn.Account.Opened())
		for _, end := range table.Ends() {
			closed[ending{name, end}] += int(fn.Account.Closed(end))
		}
		set := fn.Set()
		if len(set.Endpoints) > 0 {
			active++
		} else {
			endpoints[place{name, home, "healthy"}] += 0 // a function with nobody is worth an alert
		}
		for _, ep := range set.Endpoints {
			for _, state := range states {
				endpoints[place{name, ep.Region, state}] += 0
			}
			if fn.LoadBalancing.SlowStart != nil {
				endpoints[place{name, ep.Region, table.Rising}] += 0
			}
			endpoints[place{name, ep.Region, set.StateOf(ep, now)}]++
		}
		for region, n := range fn.Leaving() {
			endpoints[place{name, region, table.Draining}] += n
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tab.Functions)) {
		fn := tab.Functions[name]
		if m, ok := fn.Meter.(*Meter); ok && m.function == name { // it has series of its own
			writeResilience(p, name, fn, moment.Of(now))
			writeRegions(p, name, fn)
		}
	}
	p.gauge(active, "weir_active_functions")
	for _, function := range slices.Sorted(maps.Keys(held)) {
		p.gauge(held[function], "weir_held", "function", function)
	}
	for _, function := range slices.Sorted(maps.Keys(doors)) {
		p.gauge(watching[function], "weir_watching", "function", function)
		p.gauge(doors[function], "weir_start_breaker_state", "function", function)
	}
	for _, function := range slices.Sorted(maps.Keys(opened)) {
		p.gauge(opened[function], "weir_upstream_connections_opened_total", "function", function)
		for _, end := range table.Ends() {
			n := closed[ending{function, end}]
			if n == 0 {
				continue // most never come: ten thousand functions would show ninety thousand zeros
			}
			p.gauge(n, "weir_upstream_connections_closed_total", "function", function, "reason", end.String())
		}
	}
	for _, at := range slices.SortedFunc(maps.Keys(endpoints), comparePlaces) {
		p.gauge(endpoints[at], "weir_endpoints", "function", at.function, "region", at.region, "state", at.state)
	}
}

func comparePlaces(a, b place) int {
	return cmp.Or(cmp.Compare(a.function, b.function), cmp.Compare(a.region, b.region), cmp.Compare(b.state, a.state))
}
