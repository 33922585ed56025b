package telemetry

import "strings"

// A family is a metric with all its series.
type family struct{ name, kind, help string }

// families are all that weir publishes, in the order of the page. It is also
// the page of the documentation.
var families = []family{
	{"weir_http_requests_total", "counter", "Calls that have ended, by function, region of the endpoint, status code and method."},
	{"weir_http_request_duration_seconds", "histogram", "Time from the end of a request's head to the end of its answer, waiting for a start included."},
	{"weir_http_requests_in_flight", "gauge", "Calls inside weir now, held ones included."},
	{"weir_http_errors_total", "counter", "Calls that ended with a fault, by its cause: the log's field of the same name."},
	{"weir_http_request_bytes_total", "counter", "Bytes of request bodies that were read from clients."},
	{"weir_http_response_bytes_total", "counter", "Bytes of answers' bodies that were passed on to clients."},
	{"weir_open_connections", "gauge", "Clients connected now, by listener."},
	{"weir_connections_refused_total", "counter", "Connections that were closed before they had a call, by listener and reason: access (the access rules), connections, connections_per_client (the limits), descriptors (they have run out), proxy_header (missing, malformed or too slow)."},
	{"weir_connections_evicted_total", "counter", "Idle connections that were closed to make room, by listener and what was short: connections, descriptors."},
	{"weir_upstream_request_duration_seconds", "histogram", "Time from the begin of a call's last try to the head of the endpoint's answer."},
	{"weir_upstream_attempts_total", "counter", "Tries by how they ended: ok, connect_failed, reset, malformed, timeout, canceled, busy (no connection came free in time), broken (in the middle of the body)."},
	{"weir_upstream_connections_opened_total", "counter", "Connections to endpoints that have stood."},
	{"weir_upstream_connections_closed_total", "counter", "Connections to endpoints that weir has closed, by reason: idle (unused for too long), stale (the endpoint had closed it), unsolicited (the endpoint sent something while it idled), extra_bytes (more came than the response), used (the response did not allow another, or it was a tunnel), canceled (the client left, or something took too long), broken (it ended in the middle, or what came is no HTTP), unsent (the endpoint answered before it had the whole request), dismissed (the endpoint has left, or its settings have changed)."},
	{"weir_retries_total", "counter", "Tries after a call's first one."},
	{"weir_retry_budget_remaining", "gauge", "Further tries that the budget of a function's retries allows now."},
	{"weir_retries_refused_total", "counter", "Further tries that the budget of a function's retries did not allow."},
	{"weir_hedges_total", "counter", "Second tries beside a call's first, by won: whether theirs was the answer that counted."},
	{"weir_hedges_refused_total", "counter", "Second tries that the budget of a function's hedging did not allow."},
	{"weir_health_checks_total", "counter", "Health checks of a function's endpoints, by result: ok, failed."},
	{"weir_concurrency_limit", "gauge", "Calls of a function that may be in flight at once."},
	{"weir_concurrency_in_flight", "gauge", "Calls of a function with such a limit that are in flight now; weir_held are those that wait."},
	{"weir_tenant_limited_total", "counter", "Calls that were not let into a function because as many of their tenant's as may be were inside (concurrency.per_tenant)."},
	{"weir_rate_limited_total", "counter", "Calls that a function's rate limits did not let in."},
	{"weir_rate_limit_keys", "gauge", "Keys that a function's rate limits count."},
	{"weir_rate_limit_share", "gauge", "This router's part of a function's shared rate limits, from 0 to 1."},
	{"weir_peers", "gauge", "Addresses of routers among which shared limits are divided, this one's included; 1 if there are no others."},
	{"weir_circuit_state", "gauge", "The circuit of a function: 0 closed, 1 some calls try it out, 2 open."},
	{"weir_circuit_trips_total", "counter", "Times that the circuit of a function opened."},
	{"weir_ejections_total", "counter", "Times that endpoints were set aside, by reason: connection (none stood, or it broke), consecutive_5xx (failures in a row, by the operator's rules)."},
	{"weir_mirrored_total", "counter", "Copies of calls for a function that mirrors others, by result: answered, answered_5xx, failed (no answer, or one that broke off), unavailable (no endpoint could take it at once), full (max_in_flight were under way), body (the call's was too long, or had not come as a whole)."},

	{"weir_region_weight", "gauge", "Weight of a region for a function."},
	{"weir_region_share", "gauge", "Part of a function's calls that go to a region, from 0 to 1."},
	{"weir_region_available_ratio", "gauge", "How much of its share a region can carry, from 0 to 1: its healthy part times failover.overprovisioning_factor."},
	{"weir_region_draining", "gauge", "1 if a region is drained: no new call goes there."},
	{"weir_region_disabled", "gauge", "1 if a region is disabled: no new call goes there, and no health check."},
	{"weir_zone_kept_ratio", "gauge", "Part, from 0 to 1, of the calls for this region that stay in this weir's zone (load_balancing.zones: prefer)."},
	{"weir_panic", "gauge", "1 if too few endpoints of a function are healthy in any region, so that all of them get calls (failover.panic_threshold)."},

	{"weir_active_functions", "gauge", "Functions that have an endpoint now."},
	{"weir_coldstarts_total", "counter", "Starts that have ended, by trigger (demand, min_scale, schedule, predict, chain) and result: ok, failed, timeout."},
	{"weir_coldstart_duration_seconds", "histogram", "Duration of successful starts by phase: trigger (until the platform was asked), provision (until it had taken note), boot (until the first endpoint was seen to be ready), detect (until it was published), release (until the first held call was on its way to it). The place is that of the first instance: region, dc (its zone), rack and node, as far as its platform says."},
	{"weir_held", "gauge", "Calls that stand in line for a function now."},
	{"weir_watching", "gauge", "Waiting pages that are told how far the start of a function is now."},
	{"weir_held_bytes", "gauge", "Memory that the heads of held calls, and what has come of their bodies, take now."},
	{"weir_async_calls", "gauge", "Calls kept for clients that do not wait, by state: under_way, answered (and the answer not fetched, or not long ago)."},
	{"weir_async_bytes", "gauge", "Memory that they and their answers take now."},
	{"weir_hold_seconds", "histogram", "Time that held calls stood in line, by outcome: served, waiting_page (which the call will come again from), fallback, timeout, queue_timeout (the limit of calls in flight kept them waiting too long), failed, client_gone, removed, shut_down."},
	{"weir_hold_rejected_total", "counter", "Calls that were not let into the line, by reason: line_full, pool_full and bytes_full (over all functions), share (of these), overloaded (as many calls are in flight as may be, and as many wait), no_start (the last start has just failed), deadline (the caller's is before the start usually ends), dormant (a wake filter let it start nothing)."},
	{"weir_fallbacks_total", "counter", "Calls that went to the fallback of the function they were for, by that: the name of a function, or answer for a fixed one."},
	{"weir_collapsed_total", "counter", "Calls that waited for the answer to another that asked the same, by result: shared (they were given a copy), unshared (it was not for others, or failed, and they went by themselves)."},
	{"weir_collapse_followers", "gauge", "Calls that wait for the answer to another one now."},
	{"weir_collapse_bytes", "gauge", "Memory that the bodies of answers take which are given to several calls."},
	{"weir_overflow_total", "counter", "Calls that went to another region because their own, from, was cold or just back from that (prefer_warm_region)."},
	{"weir_handed_total", "counter", "Calls that were handed to the router that holds the function (placement: one_router), by direction: out, in."},
	{"weir_scaler_requests_total", "counter", "Requests to platforms, by scaler and result: ok, failed, timeout, repeated (what it was told before, and took)."},
	{"weir_start_coalesced_total", "counter", "Calls that waited for a start which another call had caused."},
	{"weir_start_breaker_state", "gauge", "Whether starts of a function are tried: 0 yes, 1 the next one decides, 2 not for a while, because the last ones failed."},
	{"weir_prewarm_total", "counter", "Starts ahead of a call, by kind (schedule, predict, chain) and whether a call came while the instances were up."},
	{"weir_prewarm_wasted_seconds_total", "counter", "Seconds that instances stood which were started ahead of a call that did not come, by kind: a second of two is two."},
	{"weir_stops_total", "counter", "Times that a function's instances were put back, by reason."},
	{"weir_endpoints", "gauge", "Endpoints of a function by region and state: healthy, unhealthy (by its health checks), ejected (set aside after failures), slow_start (it has its calls by and by), draining (it has left, and calls are still on it)."},

	{"weir_discovery_refused", "gauge", "Entries of sources of endpoints that weir does without, and sources that do not answer."},
	{"weir_discovery_watched", "gauge", "Services that a registry is asked about, by region of the instances."},
	{"weir_discovery_guarded", "gauge", "Services whose last endpoints stand for a while although the registry does not name them any more."},
	{"weir_discovery_updates_total", "counter", "Answers of a registry that changed something."},
	{"weir_discovery_queries_total", "counter", "Queries that a registry has answered."},
	{"weir_discovery_failures_total", "counter", "Queries that were not answered, by reason: unreachable, timeout, refused (it answered with an error), limited (too many connections), denied (the token may not), malformed."},
	{"weir_discovery_last_success_timestamp_seconds", "gauge", "When a registry answered last, in seconds since 1970. Where nothing changes it does so once a minute."},
	{"weir_discovery_staleness_seconds", "gauge", "For how long there has been something that a registry cannot be asked about; 0 if there is nothing."},
	{"weir_discovery_lag_seconds", "histogram", "Time from the report of endpoints to the set that calls see."},
	{"weir_discovery_recalled_functions", "gauge", "Functions with endpoints from before weir was started, which no registry has confirmed since."},
	{"weir_discovery_recalled_declarations", "gauge", "1 if routes that services have declared, or keys of Consul, are from before weir was started and not confirmed since."},
	{"weir_discovery_recalled_age_seconds", "gauge", "Age of the oldest of these; 0 if there are none."},

	{"weir_config_reloads_total", "counter", "Times that the configuration was read again, by result."},
	{"weir_config_last_reload_successful", "gauge", "1 if the configuration was without mistakes when last read."},
	{"weir_config_info", "gauge", "1; the label has the hash of the configuration that stands."},
	{"weir_table_version", "gauge", "How often the table was built."},
	{"weir_table_refused", "gauge", "Entries of the configuration that weir does without."},
	{"weir_access_log_dropped_total", "counter", "Lines of the access log that are lost, by reason: full (the output is too slow), failed (it cannot be written)."},
	{"weir_trace_spans_exported_total", "counter", "Spans that the OTLP receiver has taken."},
	{"weir_trace_spans_dropped_total", "counter", "Spans that are lost, by reason: full (too many wait to be exported), failed (the receiver did not take them)."},
	{"weir_telemetry_functions_dropped_total", "counter", "Functions that came when there were as many as may have series of their own; they are counted together as _overflow."},
	{"weir_build_info", "gauge", "1; the labels tell what runs."},

	{"process_cpu_seconds_total", "counter", "User and system CPU time spent."},
	{"process_cpu_seconds_system_total", "counter", "System CPU time spent."},
	{"process_cpu_seconds_user_total", "counter", "User CPU time spent."},
	{"process_major_pagefaults_total", "counter", "Page faults that had to read from a disk."},
	{"process_minor_pagefaults_total", "counter", "Page faults that had not."},
	{"process_num_threads", "gauge", "Threads of the operating system."},
	{"process_open_fds", "gauge", "Open file descriptors."},
	{"process_max_fds", "gauge", "Most file descriptors that may be open."},
	{"process_start_time_seconds", "gauge", "When the process started, in seconds since 1970."},
	{"process_resident_memory_bytes", "gauge", "Resident memory."},
	{"process_resident_memory_peak_bytes", "gauge", "Most resident memory so far."},
	{"process_resident_memory_anon_bytes", "gauge", "Resident memory that is backed by no file."},
	{"process_resident_memory_file_bytes", "gauge", "Resident memory that is backed by files."},
	{"process_resident_memory_shared_bytes", "gauge", "Resident memory that is shared."},
	{"process_virtual_memory_bytes", "gauge", "Virtual memory."},
	{"process_virtual_memory_peak_bytes", "gauge", "Most virtual memory so far."},
	{"process_io_read_bytes_total", "counter", "Bytes read by system calls, sockets included."},
	{"process_io_written_bytes_total", "counter", "Bytes written by system calls, sockets included."},
	{"process_io_read_syscalls_total", "counter", "System calls that read."},
	{"process_io_write_syscalls_total", "counter", "System calls that wrote."},
	{"process_io_storage_read_bytes_total", "counter", "Bytes read from storage."},
	{"process_io_storage_written_bytes_total", "counter", "Bytes written to storage."},
	{"process_pressure_cpu_waiting_seconds_total", "counter", "Time in which some task of the cgroup waited for a CPU."},
	{"process_pressure_cpu_stalled_seconds_total", "counter", "Time in which all tasks of the cgroup waited for a CPU."},
	{"process_pressure_io_waiting_seconds_total", "counter", "Time in which some task of the cgroup waited for input or output."},
	{"process_pressure_io_stalled_seconds_total", "counter", "Time in which all tasks of the cgroup waited for input or output."},
	{"process_pressure_memory_waiting_seconds_total", "counter", "Time in which some task of the cgroup waited for memory."},
	{"process_pressure_memory_stalled_seconds_total", "counter", "Time in which all tasks of the cgroup waited for memory."},

	{"go_info", "gauge", "1; the label has the version of Go."},
	{"go_goroutines", "gauge", "Goroutines."},
	{"go_threads", "gauge", "Threads that the runtime has created."},
	{"go_gomaxprocs", "gauge", "Threads that may run Go code at once."},
	{"go_memlimit_bytes", "gauge", "The memory limit the runtime keeps to."},
	{"go_gc_duration_seconds", "summary", "Pauses of the garbage collector."},
	{"go_gc_pauses_seconds", "histogram", "Pauses of the garbage collector, as a distribution."},
	{"go_gc_cpu_seconds_total", "counter", "CPU time spent in the garbage collector, estimated."},
	{"go_gc_mark_assist_cpu_seconds_total", "counter", "CPU time that goroutines spent helping the garbage collector, estimated."},
	{"go_scavenge_cpu_seconds_total", "counter", "CPU time spent giving memory back, estimated."},
	{"go_sched_latencies_seconds", "histogram", "Time that goroutines were ready to run before they ran."},
	{"go_mutex_wait_seconds_total", "counter", "Time that goroutines waited for a mutex, estimated."},
	{"go_memstats_alloc_bytes", "gauge", "Bytes of live heap objects."},
	{"go_memstats_alloc_bytes_total", "counter", "Bytes allocated on the heap so far."},
	{"go_memstats_mallocs_total", "counter", "Heap objects allocated so far."},
	{"go_memstats_frees_total", "counter", "Heap objects freed so far."},
	{"go_memstats_gc_cpu_fraction", "gauge", "Share of the available CPU time that the garbage collector has used."},
	{"go_memstats_gc_sys_bytes", "gauge", "Memory for the garbage collector's own use."},
	{"go_memstats_heap_alloc_bytes", "gauge", "Bytes of live heap objects."},
	{"go_memstats_heap_idle_bytes", "gauge", "Bytes in heap spans that are not in use."},
	{"go_memstats_heap_inuse_bytes", "gauge", "Bytes in heap spans that are in use."},
	{"go_memstats_heap_objects", "gauge", "Heap objects."},
	{"go_memstats_heap_released_bytes", "gauge", "Heap bytes given back to the operating system."},
	{"go_memstats_heap_sys_bytes", "gauge", "Heap bytes obtained from the operating system."},
	{"go_memstats_last_gc_time_seconds", "gauge", "When the garbage collector last ended, in seconds since 1970."},
	{"go_memstats_next_gc_bytes", "gauge", "The size of the heap at which the garbage collector runs next."},
	{"go_memstats_mcache_inuse_bytes", "gauge", "Bytes of mcache structures in use."},
	{"go_memstats_mcache_sys_bytes", "gauge", "Bytes obtained for mcache structures."},
	{"go_memstats_mspan_inuse_bytes", "gauge", "Bytes of mspan structures in use."},
	{"go_memstats_mspan_sys_bytes", "gauge", "Bytes obtained for mspan structures."},
	{"go_memstats_buck_hash_sys_bytes", "gauge", "Bytes of the profiler's hash table."},
	{"go_memstats_other_sys_bytes", "gauge", "Bytes obtained for other runtime structures."},
	{"go_memstats_stack_inuse_bytes", "gauge", "Bytes in stack spans."},
	{"go_memstats_stack_sys_bytes", "gauge", "Bytes obtained for stacks."},
	{"go_memstats_sys_bytes", "gauge", "Bytes obtained from the operating system."},
}

// Buckets, in seconds. The first are OpenTelemetry's for HTTP servers, with
// three more: a call that waited for a start must not be lost in +Inf. The
// second go from a process that was paused to an image that had to be pulled.
var (
	callBuckets  = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 15, 30, 60}
	lagBuckets   = []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1}
	startBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}
)

// escape makes a text fit between the quotes of a label.
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// name writes a series' name: the family, and pairs of label and value.
func name(family string, labels ...string) string {
	var b strings.Builder
	b.WriteString(family)
	for i := 0; i < len(labels); i += 2 {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(labels[i])
		b.WriteString(`="`)
		_, _ = escape.WriteString(&b, labels[i+1])
		b.WriteByte('"')
	}
	if len(labels) > 0 {
		b.WriteByte('}')
	}
	return b.String()
}
