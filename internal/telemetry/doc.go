// Package telemetry is where finished calls go: counters and histograms, and
// the access log.
//
// A Telemetry is told of every call once, when it is over (proxy.Recorder), and
// of every start and stop (coldstart.Observer). What lives, as opposed to what
// has happened, is not kept here: a Scene brings it at the moment of a scrape,
// so weir_held is exact.
//
// Invariants
//
//   - Record allocates nothing when warm, takes no lock but the short one of
//     the access log's buffer, and never waits for a disk or a pipe.
//   - The metrics of a function hang on its State (table.Meter); nobody looks
//     them up by name while a call is in flight. They end with the function.
//   - Labels come from the configuration or from a closed list, never from a
//     client: an unknown method is _OTHER, a call without a route belongs to
//     the function _other.
//   - A log that cannot be written costs lines, which are counted, and never
//     memory or a call.
//   - families.go is the whole list of what is published. What a library adds
//     is left out until it has a line there.
//
// Not here: what weir itself does (log/slog, where it happens), listening for
// scrapes (internal/admin), spans (internal/tracing).
//
// Decision, 2026-11-23: each function has a metrics.Set of its own, and the
// page is sorted into families when it is written. One Set for all makes the
// end of a function a search through every series, twenty times; and promtool
// wants families in one piece with a HELP line, which the library does not
// write. A scrape of 1,000 functions takes 63 ms (BenchmarkPage, 2 vCPU AMD
// EPYC); if that hurts, a Set for each family is the other way.
//
// Decision, 2026-11-23: a function that comes under a name that is there
// already (its scaler has changed) goes on with the same series. Counters that
// start again from zero would hide the calls that are still on their way.
package telemetry
